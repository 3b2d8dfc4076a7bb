"""The ways of writing a flag that the reference's command line knows and Typer does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kgctl.mesh.errors import InputError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.mesh.cidr import Cidr

_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_SHORT_WITH_EQUALS = re.compile(r"(-[A-Za-z])=(.*)", re.DOTALL)


class UsageError(InputError):
    """An option has a value that it cannot have, or does not go with another one."""


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


def cidrs(option: str, values: Sequence[str] | None) -> list[Cidr]:
    """Return the networks that a flag names, repeatable and comma-separated.

    Raises:
        UsageError: one is not a CIDR.
    """
    from kgctl.mesh.cidr import parse_cidr

    found = []
    for text in split_values(values):
        cidr = parse_cidr(text)
        if cidr is None:
            raise UsageError(f'{option} "{printable(text)}" is not a CIDR, as 10.43.0.0/16 is')
        found.append(cidr)
    return found
