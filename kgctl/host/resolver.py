"""DNS servers and search domains of an interface, through systemd-resolved's ``resolvectl``."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from kgctl.host.errors import HostError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.mesh.cidr import Address

PROGRAM = "resolvectl"
_SECONDS = 10.0


def commands(interface: str, servers: Sequence[Address], domains: Sequence[str]) -> list[list[str]]:
    """Return the commands that have names in ``domains`` asked of ``servers``, on ``interface``.

    Without domains every name is (``~.``), as wg-quick(8) does it.
    """
    found = []
    if servers:
        found.append([PROGRAM, "dns", interface, *map(str, servers)])
    if servers or domains:
        found.append([PROGRAM, "domain", interface, *(domains or ["~."])])
    return found


def require(path: str | None = None) -> None:
    """Make sure that name resolution can be set up. ``path`` stands for the PATH.

    Raises:
        HostError: there is no ``resolvectl`` on this machine.
    """
    if shutil.which(PROGRAM, path=path) is None:
        raise HostError(
            f"DNS settings take {PROGRAM} of systemd-resolved, which this machine does not have: "
            "leave them out, and set DNS as this machine does it",
            field="DNS settings",
        )


def run(argv: Sequence[str]) -> None:
    """Run one of the commands.

    Raises:
        HostError: it failed.
    """
    try:
        done = subprocess.run(  # noqa: S603 - arguments were parsed
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"cannot run {argv[0]}: {error}") from error
    if done.returncode != 0:
        said = printable(done.stderr.decode("utf-8", "replace").strip(), 300)
        raise HostError(f"{' '.join(argv)} failed: {said or done.returncode}")


def revert(interface: str) -> None:
    """Undo ``commands`` on an interface that stays: it has no DNS servers and domains then.

    Raises:
        HostError: it failed.
    """
    run([PROGRAM, "revert", interface])
