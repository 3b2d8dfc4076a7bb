"""Commands whose exit code is their answer: 0 and 1 are two answers, 2 is trouble.

The table marks them as ``verdict``.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kgctl.cli.core.table import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator

TROUBLE = 2
"""The exit code of a command that could not find its answer, as that of ``kubectl diff``."""


@contextmanager
def trouble_exits_2(context: Any) -> Iterator[None]:
    """Make every error of a command whose 1 is an answer exit with 2.

    ``context`` is Typer's, of the command.
    """
    try:
        yield
    except Exception as error:
        error.trouble = is_verdict(context)  # type: ignore[attr-defined]
        raise


def exit_code_of(error: Exception) -> int:
    """Return the exit code for an error: 1, or 2 where a command's 1 is an answer.

    A mistake on the command line knows the command that it was made for.
    """
    context = getattr(error, "ctx", None)
    if context is None:
        return TROUBLE if getattr(error, "trouble", False) else 1
    return TROUBLE if is_verdict(context) else 1


def is_verdict(context: Any) -> bool:
    """Tell whether the command that Typer's ``context`` is of has its exit code for an answer."""
    while context is not None:
        command = COMMANDS.get(context.info_name)
        if command is not None and command.verdict:
            return True
        context = context.parent
    return False
