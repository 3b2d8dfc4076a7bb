"""Addresses with a prefix length, as Kilo reads and writes them."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_OCTETS = {str(number): number for number in range(256)}
_PREFIXES = {str(number): number for number in range(129)}
_IPV4_BITS = 32
_IPV6_BITS = 128
_ZONE = re.compile(r"[A-Za-z0-9_.@:+-]{1,15}")
_MAPPED_BITS = 96  # a 4-in-6 address has 96 bits before the IPv4 address


class Cidr(NamedTuple):
    """An address and a prefix length; host bits are kept.

    Kilo keeps host bits everywhere except in a pod subnet: ``10.1.0.7/24`` is printed as
    ``10.1.0.7/24``. ``ipaddress.IPv4Interface`` has the same meaning, but takes four times as
    long to create, and a cluster of 5,000 nodes has 20,000 of them.
    """

    address: Address
    prefix: int

    def __str__(self) -> str:
        return f"{address_text(self.address)}/{self.prefix}"

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.address.version

    @property
    def host_bits(self) -> int:
        """The number of bits after the prefix."""
        return self.address.max_prefixlen - self.prefix

    @property
    def network_value(self) -> int:
        """The network's first address as an integer."""
        bits = self.host_bits
        return int(self.address) >> bits << bits

    @property
    def span(self) -> tuple[int, int]:
        """The network's first address, and the one after its last, as integers."""
        address, prefix = self
        bits = address.max_prefixlen - prefix
        first = int(address) >> bits << bits
        return first, first + (1 << bits)

    @property
    def number(self) -> int:
        """A unique integer for the network without host bits.

        As a dictionary key it takes a third of the time of the network itself.
        """
        address, prefix = self
        size = address.max_prefixlen
        return (1 << prefix | int(address) >> (size - prefix)) << 1 | (size == _IPV4_BITS)

    @property
    def network(self) -> Network:
        """The network that the address lies in."""
        first = self.network_value
        if self.address.version == 4:
            return IPv4Network((first, self.prefix))
        return IPv6Network((first, self.prefix))

    def masked(self) -> Cidr:
        """Return the same network, without host bits."""
        address, prefix = self
        value, bits = int(address), address.max_prefixlen - prefix
        first = value >> bits << bits
        return self if first == value else Cidr(type(address)(first), prefix)

    def contains(self, address: Address) -> bool:
        """Return whether the network contains ``address``; False for the other IP version."""
        if self.address.version != address.version:
            return False
        bits = self.host_bits
        return int(self.address) >> bits == int(address) >> bits

    def intersects(self, other: Cidr) -> bool:
        """Return whether either network contains the other's address."""
        return self.contains(other.address) or other.contains(self.address)


def holding(networks: Iterable[Cidr], address: Address) -> Iterator[Cidr]:
    """Yield the networks that contain ``address``, four times as fast as :meth:`Cidr.contains`."""
    kind, size, value = type(address), address.max_prefixlen, int(address)
    for network in networks:
        bits = size - network.prefix
        if type(network.address) is kind and int(network.address) >> bits == value >> bits:
            yield network


def single(address: Address) -> Cidr:
    """Return the network that holds ``address`` alone: a /32 or a /128."""
    return Cidr(address, _IPV4_BITS if type(address) is IPv4Address else _IPV6_BITS)


def address_text(address: Address) -> str:
    """Return ``str(address)``, for IPv4 twice as fast: a graph has two addresses per node.

    The files of a network have the same addresses over and over.
    """
    if type(address) is not IPv4Address:
        zoned = isinstance(address, IPv6Address) and address.scope_id is not None
        return str(address) if zoned else _ipv6_text(int(address))
    value = int(address)
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


@lru_cache(maxsize=4096)
def _ipv6_text(value: int) -> str:
    return str(IPv6Address(value))


def parse_address(text: str) -> Address | None:
    """Parse an IP address as strictly as Go does, or return None.

    Zones and leading zeros are invalid. A 4-in-6 address becomes the IPv4 address that it embeds.
    """
    if ":" not in text:
        return _parse_ipv4(text)
    if "%" in text:
        return None
    try:
        address = IPv6Address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address


def in_zone(address: Address, zone: str) -> Address:
    """Return a link-local address in a zone, which is an interface of this machine (RFC 4007).

    Only devices have such addresses: no parser here accepts a zone. The name or number of an
    interface may reach a terminal; one with other characters than Linux's usual ones is left out.
    """
    if isinstance(address, IPv6Address) and _ZONE.fullmatch(zone):
        return IPv6Address(f"{address}%{zone}")
    return address


def without_zone(address: Address) -> Address:
    """Return the address without its zone."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return IPv6Address(int(address))
    return address


def _parse_ipv4(text: str) -> IPv4Address | None:
    """Parse a dotted quad by octet look-up, three times as fast as the standard library."""
    octets = _OCTETS
    try:
        a, b, c, d = text.split(".")
        return IPv4Address(octets[a] << 24 | octets[b] << 16 | octets[c] << 8 | octets[d])
    except (KeyError, ValueError):
        return None


def parse_cidr(text: str) -> Cidr | None:
    """Parse ``address/prefix`` as strictly as Go's ``net.ParseCIDR``, or return None.

    Host bits are kept. A bare address, a dotted mask, a leading zero, a zone, a sign and white
    space are invalid. A 4-in-6 network becomes the IPv4 network that it embeds.
    """
    address_text, _, prefix_text = text.partition("/")
    prefix = _PREFIXES.get(prefix_text)
    if prefix is None:
        return None
    if ":" not in address_text:
        plain = _parse_ipv4(address_text) if prefix <= _IPV4_BITS else None
        return None if plain is None else Cidr(plain, prefix)
    address = parse_address(address_text)
    if address is None:
        return None
    if address.version == 4:
        prefix = max(0, prefix - _MAPPED_BITS)
    return Cidr(address, prefix)
