"""Commands whose exit code is their answer: 0 and 1 are two answers, 2 is trouble."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from kgctl.mesh.errors import KgctlError

if TYPE_CHECKING:
    from collections.abc import Callable

TROUBLE = 2
"""The exit code of a command that could not find its answer, as that of ``kubectl diff``."""


def trouble_exits_2(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make every error of a command exit with 2, so that 1 stays an answer."""

    @wraps(function)
    def command(**given: Any) -> Any:
        try:
            return function(**given)
        except KgctlError as error:
            error.exit_code = TROUBLE
            raise

    return command
