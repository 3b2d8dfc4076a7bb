"""Asking a person whether to go on."""

from __future__ import annotations

import sys

from kgctl.cli.core.arguments import UsageError
from kgctl.mesh.errors import KgctlError


class DeclinedError(KgctlError):
    """Whoever was asked said no."""


def ask(question: str) -> None:
    """Ask on the terminal whether to go on; anything but y or yes is no.

    Raises:
        UsageError: there is nobody to ask.
        DeclinedError: the answer is no.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("nothing is changed without being asked for; give --yes, or --dry-run")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise DeclinedError("nothing was changed")
