"""Checks of the values of ``kgctl agent``'s options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.core.arguments import UsageError, cidrs, split_values, within
from kgctl.mesh.agent_plan import Compatibility
from kgctl.mesh.text import listed, parse_integer, printable
from kgctl.wireguard.conf import MTUS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.mesh.cidr import Cidr

AUTO = "auto"
"""The value of ``--mtu`` for that of the interface of the default route, less WireGuard's part."""


def node_name(given: str | None) -> str:
    """Return the name of the node: the given one, or this host's.

    Raises:
        UsageError: the name is invalid.
    """
    import socket

    from kgctl.mesh.endpoint import is_dns_name

    name = socket.gethostname() if given is None else given
    if not is_dns_name(name):
        raise UsageError(
            f'"{printable(name)}" cannot be the name of a node: lower case letters, digits, "-" '
            'and "."; give it with --hostname'
        )
    return name


def plugin(text: str) -> Compatibility:
    """Return the network plugin; the reference takes an unknown one for none, without a word.

    Raises:
        UsageError: it is unknown.
    """
    try:
        return Compatibility(text)
    except ValueError:
        known = [one.value for one in Compatibility if one.value]
        raise UsageError(
            f'--compatibility "{printable(text)}" is unknown; give {listed(known, "or")}, or '
            "leave it out"
        ) from None


def networks(option: str, values: Sequence[str] | None) -> list[Cidr]:
    """Return networks like ``cidrs``, of which an address is one by itself.

    A manifest cannot append the prefix length to a node's IP, which may be of either version.

    Raises:
        UsageError: a value is neither.
    """
    from kgctl.mesh.cidr import parse_address, single

    found = []
    for text in split_values(values):
        address = parse_address(text)
        found += cidrs(option, [text]) if address is None else [single(address)]
    return found


def interface_mtu(text: str) -> int | None:
    """Return the MTU in bytes, or None for ``auto``.

    Raises:
        UsageError: it is neither ``auto`` nor a valid number.
    """
    if text == AUTO:
        return None
    number = parse_integer(text)
    if number is None:
        raise UsageError(f'--mtu "{printable(text)}" is not a number of bytes; give {AUTO} or 1420')
    return within("--mtu", number, MTUS)
