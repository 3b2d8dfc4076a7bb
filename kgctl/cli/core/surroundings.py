"""The network in a folder that a command line means without naming it.

Options that name a source go first, then the environment variable, then a folder around the current
directory, then the kubeconfig. Every call of kgctl that names no source comes here, so this imports
little.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kgctl.cli.core.table import COMMANDS
from kgctl.state.network_folder import FILE, folder_around, is_network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.cli.core.line import Shared

VARIABLE = "KGCTL_NETWORK"
"""The environment variable that names the folder of a network."""


def surrounded(
    command: str, shared: Shared, environment: Mapping[str, str] | None = None
) -> Shared:
    """Return the options with the folder of a network, if they name no source themselves.

    Commands about nodes, which such a network has none of, always mean a cluster.

    Raises:
        kgctl.cli.core.arguments.UsageError: the variable names no network, or another user may
            have put the folder there.
    """
    known = COMMANDS.get(command)
    named = (shared.kubeconfig, shared.contexts, shared.named, shared.filename, shared.example)
    if known is None or not known.folder or any(named):
        return shared
    given = (os.environ if environment is None else environment).get(VARIABLE)
    if given:
        _check_given(Path(given))
        return shared._replace(filename=[given], around=True)
    found = folder_around()
    if found is None:
        return shared
    _check_found(found)
    return shared._replace(filename=[os.path.relpath(found)], around=True)


def _check_given(folder: Path) -> None:
    if is_network(folder):
        return
    from kgctl.cli.core.arguments import UsageError
    from kgctl.mesh.text import printable

    shown = printable(str(folder))
    raise UsageError(
        f"{VARIABLE} names {shown}, which has no {FILE} of kgctl; make one with: "
        f"kgctl init {shown}, or unset the variable"
    )


def _check_found(folder: Path) -> None:
    """Refuse a folder that another user put into a shared directory like /tmp."""
    from kgctl.files.walk import check_found

    try:
        check_found(folder / FILE)
    except OSError as error:
        from kgctl.cli.core.arguments import UsageError
        from kgctl.mesh.text import printable

        raise UsageError(
            f"{printable(str(folder / FILE))} is not read: {error.strerror}; name what you mean "
            "with -f or --context"
        ) from None
