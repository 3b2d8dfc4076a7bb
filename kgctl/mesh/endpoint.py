"""Endpoints of WireGuard interfaces, a host and a UDP port, and their parsers."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from kgctl.mesh.cidr import Address, parse_address

PORTS = range(1, 1 << 16)
"""The valid UDP ports of an endpoint."""

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_MAX_NAME = 253

_PRIVATE4 = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_PRIVATE6 = IPv6Network("fd00::/16")


def is_dns_name(text: str) -> bool:
    """Return whether ``text`` is a lower-case RFC 1123 subdomain of at most 253 characters."""
    return len(text) <= _MAX_NAME and _SUBDOMAIN.fullmatch(text) is not None


def counts_as_public(address: Address) -> bool:
    """Return whether Kilo treats an address as public.

    It treats only 10/8, 172.16/12, 192.168/16 and fd00::/16 as private.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _PRIVATE4)
    return address not in _PRIVATE6


class Endpoint(NamedTuple):
    """A host, which is an IP address or an unresolved DNS name, and a port from 1 to 65535."""

    host: Address | str
    port: int

    def __str__(self) -> str:
        if isinstance(self.host, IPv6Address):
            return f"[{self.host}]:{self.port}"
        return f"{self.host}:{self.port}"

    @property
    def address(self) -> Address | None:
        """The IP address, or None if the host is a DNS name."""
        return None if isinstance(self.host, str) else self.host

    @property
    def counts_as_public_in_elections(self) -> bool:
        """Whether Kilo treats the host as a public address when it elects a leader.

        Kilo treats only 10/8, 172.16/12, 192.168/16 and fd00::/16 as private, so a loopback
        address counts as public; a DNS name does not. :mod:`kgctl.mesh.dialability` decides which
        machines can dial it.
        """
        return not isinstance(self.host, str) and counts_as_public(self.host)


def parse_port(text: str) -> int | None:
    """Parse a port from 1 to 65535, written with the digits 0 to 9 only, or return None."""
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        return None
    port = int(text)
    return port if port in PORTS else None


def parse_host(text: str) -> Address | str | None:
    """Parse an IP address or an RFC 1123 subdomain, or return None."""
    address = parse_address(text)
    if address is not None:
        return address
    return text if is_dns_name(text) else None


def parse_endpoint(text: str) -> Endpoint | None:
    """Parse ``host:port`` or ``[IPv6]:port``, or return None. No name is ever resolved."""
    host_text, colon, port_text = text.rpartition(":")
    port = parse_port(port_text) if colon else None
    if port is None:
        return None
    if host_text.startswith("[") and host_text.endswith("]"):
        inner = host_text[1:-1]
        address = parse_address(inner) if ":" in inner else None
        return None if address is None else Endpoint(address, port)
    if ":" in host_text:
        return None
    host = parse_host(host_text)
    return None if host is None else Endpoint(host, port)
