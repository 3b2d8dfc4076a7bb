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


def within(option: str, value: int, allowed: range) -> int:
    """Check that the value of an option is ``allowed``, and return it.

    Raises:
        UsageError: it is out of range.
    """
    if value not in allowed:
        raise UsageError(f"{option} must be {allowed.start} to {allowed.stop - 1}, not {value}")
    return value


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


def listen_address(option: str, text: str) -> tuple[str, int]:
    """Parse an address and a TCP port to listen on; the host is empty for every address.

    Raises:
        UsageError: it is not ``ADDRESS:PORT``.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port[:6]) > 65535:
        raise UsageError(
            f'{option} "{printable(text)}" is not an address and port; give, for example, '
            "0.0.0.0:9586"
        )
    return host.strip("[]"), int(port)
