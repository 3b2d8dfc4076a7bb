"""Classification of endpoints by who can dial them, for all commands.

The ranges are those of IANA's special-purpose address registries (RFC 6890 and its updates). Kilo
has a narrower test, which it uses only for the election of leaders:
:meth:`kgctl.mesh.endpoint.Endpoint.counts_as_public_in_elections`.

Decisions of this module where the registries leave a choice:

* Documentation (RFC 5737, 3849, 9637) and benchmarking ranges (RFC 2544, 5180) count as public:
  examples and laboratories use them as their Internet.
* An IPv6 address that embeds an IPv4 address (4-in-6, 6to4, NAT64's well-known prefix) has the
  scope of that address.
* 240/4 is dialled nearby: Linux routes it, and some clouds assign it to machines.
* Link-local IPv4 is dialled nearby; link-local IPv6 needs a zone, which a Kilo endpoint cannot
  have.
* A DNS name may stand for any address, except ``localhost`` and ``invalid`` (RFC 6761).
"""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from kgctl.mesh.cidr import Cidr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.endpoint import Endpoint


class Dialled(Enum):
    """The places from which an address can be dialled, judging by the address alone."""

    ANYWHERE = "anywhere"
    """From every network, unless a firewall blocks it."""
    NEARBY = "nearby"
    """From a network of the machine; elsewhere it is unused, or another machine's address."""
    NEVER = "never"
    """From no other machine."""


class Scope(Enum):
    """The kind of an address by its range, or of a DNS name."""

    PUBLIC = ("a public address", Dialled.ANYWHERE)
    DOCUMENTATION = ("an address of documentation", Dialled.ANYWHERE)
    BENCHMARK = ("an address of benchmarks", Dialled.ANYWHERE)
    NAME = ("a DNS name", Dialled.ANYWHERE)
    PRIVATE = ("a private address", Dialled.NEARBY)
    SHARED = ("a shared address behind a provider's NAT", Dialled.NEARBY)
    UNIQUE_LOCAL = ("a unique local address", Dialled.NEARBY)
    RESERVED = ("a reserved address", Dialled.NEARBY)
    LINK_LOCAL = ("a link-local address", Dialled.NEARBY)
    ZONED = ("a link-local address without its zone", Dialled.NEVER)
    LOOPBACK = ("a loopback address", Dialled.NEVER)
    UNSPECIFIED = ("an unspecified address", Dialled.NEVER)
    MULTICAST = ("a multicast address", Dialled.NEVER)
    BROADCAST = ("the broadcast address", Dialled.NEVER)
    UNALLOCATED = ("an address that nobody has", Dialled.NEVER)
    NO_NAME = ("a DNS name that stands for no machine", Dialled.NEVER)

    @property
    def words(self) -> str:
        """Its name, with an article."""
        return self.value[0]

    @property
    def dialled(self) -> Dialled:
        """The places from which it can be dialled."""
        return self.value[1]


_Range = tuple[int, int, Scope]  # the number of host bits, the value of the network bits


def _range(network: IPv4Network | IPv6Network, scope: Scope) -> _Range:
    bits = network.max_prefixlen - network.prefixlen
    return bits, int(network.network_address) >> bits, scope


_IPV4 = tuple(
    _range(IPv4Network(network), scope)
    for network, scope in (
        ("255.255.255.255/32", Scope.BROADCAST),
        ("0.0.0.0/8", Scope.UNSPECIFIED),  # RFC 1122, 3.2.1.3: "this host", never a destination
        ("10.0.0.0/8", Scope.PRIVATE),
        ("172.16.0.0/12", Scope.PRIVATE),
        ("192.168.0.0/16", Scope.PRIVATE),
        ("100.64.0.0/10", Scope.SHARED),  # RFC 6598
        ("127.0.0.0/8", Scope.LOOPBACK),
        ("169.254.0.0/16", Scope.LINK_LOCAL),
        ("192.0.0.0/24", Scope.RESERVED),  # RFC 6890; DS-Lite and 464XLAT, between two routers
        ("192.0.2.0/24", Scope.DOCUMENTATION),
        ("198.51.100.0/24", Scope.DOCUMENTATION),
        ("203.0.113.0/24", Scope.DOCUMENTATION),
        ("198.18.0.0/15", Scope.BENCHMARK),
        ("224.0.0.0/4", Scope.MULTICAST),
        ("240.0.0.0/4", Scope.RESERVED),
    )
)
_IPV6 = tuple(
    _range(IPv6Network(network), scope)
    for network, scope in (
        ("::/128", Scope.UNSPECIFIED),
        ("::1/128", Scope.LOOPBACK),
        ("64:ff9b:1::/48", Scope.UNIQUE_LOCAL),  # RFC 8215: a NAT64 of one's own network
        ("2001:2::/48", Scope.BENCHMARK),
        ("2001::/23", Scope.UNALLOCATED),  # protocols' own: Teredo, ORCHID; no machine's address
        ("2001:db8::/32", Scope.DOCUMENTATION),
        ("3fff::/20", Scope.DOCUMENTATION),
        ("2000::/3", Scope.PUBLIC),
        ("fc00::/7", Scope.UNIQUE_LOCAL),
        ("fec0::/10", Scope.UNIQUE_LOCAL),  # site-local, RFC 3879
        ("fe80::/10", Scope.ZONED),
        ("ff00::/8", Scope.MULTICAST),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052


def scope_of(host: Address | str) -> Scope:
    """Return the scope of an endpoint's host."""
    if isinstance(host, str):
        return _scope_of_name(host)
    if isinstance(host, IPv6Address):
        inner = _held_by(host)
        if inner is None:
            return _found(_IPV6, int(host), Scope.UNALLOCATED)
        host = inner
    return _found(_IPV4, int(host), Scope.PUBLIC)


def ranges_of(*scopes: Scope) -> Iterator[tuple[Cidr, Scope]]:
    """Yield the networks of the tables that have one of the scopes."""
    for kind, table in ((IPv4Address, _IPV4), (IPv6Address, _IPV6)):
        for bits, value, scope in table:
            if scope in scopes:
                yield Cidr(kind(value << bits), kind(0).max_prefixlen - bits), scope


def _found(ranges: tuple[_Range, ...], value: int, otherwise: Scope) -> Scope:
    """Return the scope of the first range that contains the address ``value``."""
    for bits, network, scope in ranges:
        if value >> bits == network:
            return scope
    return otherwise


def _held_by(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address embeds, or None."""
    held = address.ipv4_mapped or address.sixtofour
    if held is None and address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return held


def _scope_of_name(name: str) -> Scope:
    last = name.rpartition(".")[2]
    if last == "localhost":
        return Scope.LOOPBACK
    return Scope.NO_NAME if last == "invalid" else Scope.NAME


def is_dialable(endpoint: Endpoint | None) -> bool:
    """Return whether any other machine can dial the endpoint; False for None."""
    return endpoint is not None and scope_of(endpoint.host).dialled is not Dialled.NEVER


def is_dialable_from_elsewhere(endpoint: Endpoint | None) -> bool:
    """Return whether a machine in another network can dial the endpoint; False for None."""
    return endpoint is not None and scope_of(endpoint.host).dialled is Dialled.ANYWHERE


def is_behind_nat(annotated: Endpoint | None, used: Endpoint | None) -> bool:
    """Return whether others reach a machine only after it calls them.

    ``annotated`` is the endpoint of its own object, ``used`` the endpoint that others dial: the
    same, or one that nodes discovered. It is behind a NAT if machines elsewhere cannot dial the
    annotated endpoint, if it has none, or if the two addresses differ. A DNS name may stand for
    the other address.
    """
    if not is_dialable_from_elsewhere(annotated):
        return True
    assert annotated is not None
    seen = None if used is None else used.address
    return annotated.address is not None and seen not in (None, annotated.address)
