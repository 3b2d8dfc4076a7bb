"""Values of flags that are checked, or split, in the same way by several commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.errors import InputError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.mesh.cidr import Cidr


class UsageError(InputError):
    """An option has a value that it cannot have, or does not go with another one."""


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
