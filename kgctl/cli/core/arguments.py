"""Checks of option values that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.errors import InputError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.mesh.cidr import Cidr


class UsageError(InputError):
    """An option has an invalid value, or conflicts with another option."""


def split_values(values: Sequence[str] | None) -> list[str]:
    """Return the values of a repeatable, comma-separated option."""
    return [part.strip() for value in values or () for part in value.split(",") if part.strip()]


def cidrs(option: str, values: Sequence[str] | None) -> list[Cidr]:
    """Return the networks of a repeatable, comma-separated option.

    Raises:
        UsageError: a value is not a CIDR.
    """
    from kgctl.mesh.cidr import parse_cidr

    found = []
    for text in split_values(values):
        cidr = parse_cidr(text)
        if cidr is None:
            raise UsageError(f'{option} "{printable(text)}" is not a CIDR such as 10.43.0.0/16')
        found.append(cidr)
    return found
