"""The values of ``kgctl connect``'s options: what is valid, and what to say of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.core.arguments import UsageError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Address, Cidr

MTU = range(576, 65536)
"""Bytes; RFC 791: every IPv4 host takes 576."""

KEEPALIVE = range(65536)
"""Seconds; WireGuard keeps them in 16 bits."""

_NAME_BYTES = 15  # of an interface; the kernel's IFNAMSIZ has one more for the end


def peer_name(given: str | None) -> str:
    """Return the name of the Peer: the given one, or this host's.

    Raises:
        UsageError: it cannot be one.
    """
    import socket

    from kgctl.mesh.endpoint import is_dns_name

    name = socket.gethostname() if given is None else given
    if not is_dns_name(name):
        raise UsageError(
            f'"{printable(name)}" cannot be the name of a Peer: lower case letters, digits, "-" '
            'and "."; give one: kgctl connect NAME'
        )
    return name


def interface(name: str) -> str:
    """Return the name of an interface.

    Raises:
        UsageError: the kernel takes no such name.
    """
    bad = {"/", ":", "%"} & set(name) or name in ("", ".", "..") or not name.isprintable()
    if bad or " " in name or len(name.encode()) > _NAME_BYTES:
        raise UsageError(
            f'--interface "{printable(name)}" is no name of an interface: at most '
            f"{_NAME_BYTES} bytes, no blank, slash or colon"
        )
    return name


def within(option: str, value: int, allowed: range) -> int:
    """Return the value of an option.

    Raises:
        UsageError: it is out of range.
    """
    if value not in allowed:
        raise UsageError(
            f"{option} {value} is out of range; give one from {allowed.start} to {allowed.stop - 1}"
        )
    return value


def period(text: str) -> float:
    """Return the seconds of ``--resync-period``.

    Raises:
        UsageError: it is no duration above 0.
    """
    from kgctl.mesh.duration import parse_duration

    seconds = parse_duration(text)
    if not seconds:
        raise UsageError(
            f'--resync-period "{printable(text)}" is no duration above 0, as 30s and 1m30s are'
        )
    return seconds


def one_cidr(option: str, text: str) -> Cidr:
    """Return the value of an option as a CIDR.

    Raises:
        UsageError: it is none.
    """
    from kgctl.mesh.cidr import parse_cidr

    found = parse_cidr(text)
    if found is None:
        raise UsageError(f'{option} "{printable(text)}" is no CIDR, as 10.10.10.10/32 is')
    return found


def one_address(option: str, text: str) -> Address:
    """Return the value of an option as an IP address.

    Raises:
        UsageError: it is none.
    """
    from kgctl.mesh.cidr import parse_address

    found = parse_address(text)
    if found is None:
        raise UsageError(f'{option} "{printable(text)}" is no IP address')
    return found


def domain(text: str) -> str:
    """Return a domain as ``resolvectl`` takes it; ``~`` before it means not to search it.

    Raises:
        UsageError: it is none.
    """
    from kgctl.mesh.endpoint import is_dns_name

    if text != "~." and not is_dns_name(text.removeprefix("~").rstrip(".")):
        raise UsageError(f'--search-domain "{printable(text)}" is no domain')
    return text
