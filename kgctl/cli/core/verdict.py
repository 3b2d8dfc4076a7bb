"""Commands whose exit code is their answer: 0 and 1 are two answers, 2 is trouble."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

VERDICTS = frozenset(("check", "path", "diff", "drift"))
"""The commands whose exit code is their answer, 0 or 1."""

TROUBLE = 2
"""The exit code of a command that could not find its answer, as that of ``kubectl diff``."""


def trouble_exits_2(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make every error that a command raises exit with 2, so that 1 stays an answer."""

    @wraps(function)
    def command(**given: Any) -> Any:
        try:
            return function(**given)
        except Exception as error:
            error.trouble = True  # type: ignore[attr-defined]
            raise

    return command


def exit_code_of(error: Exception) -> int:
    """Return the exit code for an error: 1, or 2 where a command's 1 is an answer.

    A mistake on the command line knows the command that it was made for.
    """
    context = getattr(error, "ctx", None)
    if context is None:
        return TROUBLE if getattr(error, "trouble", False) else 1
    while context is not None:
        if context.info_name in VERDICTS:
            return TROUBLE
        context = context.parent
    return 1
