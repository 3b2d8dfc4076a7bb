"""The ways of writing a flag that the reference's command line knows and Typer does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_SHORT_WITH_EQUALS = re.compile(r"(-[A-Za-z])=(.*)", re.DOTALL)

SWITCHES = {
    name: name.replace("--", "--no-", 1)
    for name in ("--as-peer", "--clean-up", "--debug", "--dry-run", "--example", "--once")
}
"""The flags that may be given a truth value, and what switches them off."""


def normalised(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``--switch=true|false`` and ``-o=value`` as Typer takes them.

    Truth values are those of Go's ``strconv.ParseBool``; anything after ``--`` stays as it is.
    """
    if "--" not in arguments:
        return list(_rewritten(arguments))
    end = arguments.index("--")
    return [*_rewritten(arguments[:end]), *arguments[end:]]


def _rewritten(arguments: Sequence[str]) -> Iterator[str]:
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name in SWITCHES and value in _TRUE:
            yield name
        elif equals and name in SWITCHES and value in _FALSE:
            yield SWITCHES[name]
        elif match := _SHORT_WITH_EQUALS.fullmatch(argument):
            yield from match.groups()
        else:
            yield argument


def split_values(values: Sequence[str] | None) -> list[str]:
    """Return the values of a flag that is repeatable and comma-separated."""
    return [part.strip() for value in values or () for part in value.split(",") if part.strip()]
