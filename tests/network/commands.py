"""Runs system tools with a time limit and readable failures."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TIMEOUT = 20.0
"""Seconds that a command gets unless it says otherwise."""

TOOLS = (
    "ip",
    "iperf3",
    "iptables",
    "nft",
    "ping",
    "resolvconf",
    "sysctl",
    "wg",
    "wg-quick",
    "wireguard-go",
)
"""Every program that the harness runs. Debian has resolvconf in openresolv."""


class CommandError(Exception):
    """A command that failed or took too long: what ran, how it ended, what it said."""


def run(
    argv: Sequence[str],
    *,
    stdin: str = "",
    timeout: float = TIMEOUT,
    check: bool = True,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command and return how it ended, with its output as text.

    ``env`` is added to our environment.

    Raises:
        CommandError: it took longer than ``timeout`` seconds, or (with ``check``) failed.
    """
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=cwd,
            env={**environment(), **(env or {})},
        )
    except subprocess.TimeoutExpired as expired:
        msg = f"{shlex.join(argv)}: still running after {timeout:g} s"
        raise CommandError(msg) from expired
    if check and done.returncode != 0:
        raise CommandError(describe(done))
    return done


def environment() -> dict[str, str]:
    """Return our environment, with the administrator's programs on the PATH, in English."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return {**os.environ, "PATH": path, "LC_ALL": "C"}


def describe(done: subprocess.CompletedProcess[str]) -> str:
    """Return the command, its exit code and both of its outputs, for a failure message."""
    said = "".join(f"\n  {line}" for line in (done.stdout + done.stderr).splitlines())
    return f"{shlex.join(done.args)}: exit {done.returncode}{said}"
