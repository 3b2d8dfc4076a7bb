"""Routes of an outside machine into the tunnel, and the exclusion of addresses from networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kgctl.mesh.cidr import Address, Cidr, single

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from kgctl.mesh.topology import Topology


T = TypeVar("T")


def exclude(
    claims: dict[Cidr, T],
    address: Address,
    *,
    wider_than: int = 0,
    prefixes: set[int] | None = None,
) -> list[tuple[Cidr, T]]:
    """Replace each claim that contains ``address`` by the rest of it; return the replaced claims.

    The most specific claim goes first, and a part that is already claimed keeps its owner, so the
    smaller of two nested networks still wins. Claims are networks without host bits. Claims whose
    prefix length is ``wider_than`` or less stay: 0 keeps a default route. ``prefixes``, if known,
    is the set of prefix lengths of the claims, which makes the search faster; the prefix lengths
    of new parts are added to it.
    """
    replaced = []
    size, value = address.max_prefixlen, int(address)
    known = range(size + 1) if prefixes is None else prefixes
    for prefix in sorted((one for one in known if wider_than < one <= size), reverse=True):
        network = Cidr(type(address)(value >> (size - prefix) << (size - prefix)), prefix)
        if network in claims:
            claim = claims.pop(network)
            for part in around(network, address):
                claims.setdefault(part, claim)
                if prefixes is not None:
                    prefixes.add(part.prefix)
            replaced.append((network, claim))
    return replaced


def around(network: Cidr, address: Address) -> Iterator[Cidr]:
    """Yield the networks that cover ``network`` except ``address``: one per host bit."""
    size, value = address.max_prefixlen, int(address)
    for prefix in range(network.prefix + 1, size + 1):
        bits = size - prefix
        sibling = (value >> bits ^ 1) << bits
        yield Cidr(type(address)(sibling), prefix)


def without(network: Cidr, holes: Iterable[Cidr]) -> list[Cidr]:
    """Return the networks that cover ``network`` except the ``holes``, in order.

    Holes lie within it. Each adds at most two networks per bit of its longer prefix.
    """
    parts: list[Cidr] = []
    start, end = network.network_value, network.network_value + (1 << network.host_bits)
    for hole in sorted(holes, key=lambda one: one.network_value):
        parts += _covering(network, start, hole.network_value)
        start = max(start, hole.network_value + (1 << hole.host_bits))
    return [*parts, *_covering(network, start, end)]


def _covering(network: Cidr, start: int, end: int) -> Iterator[Cidr]:
    """Yield the fewest networks that cover the addresses from ``start`` up to ``end``."""
    kind, size = type(network.address), network.address.max_prefixlen
    while start < end:
        bits = (end - start).bit_length() - 1
        if start:
            bits = min(bits, (start & -start).bit_length() - 1)
        yield Cidr(kind(start), size - bits)
        start += 1 << bits


def halves(network: Cidr) -> tuple[Cidr, Cidr]:
    """Return both halves of a network of more than one address."""
    upper = network.network_value | 1 << (network.host_bits - 1)
    prefix = network.prefix + 1
    return Cidr(network.masked().address, prefix), Cidr(type(network.address)(upper), prefix)


class Route(NamedTuple):
    """A route through the tunnel to ``destination``, which has no host bits.

    ``gateway`` is a segment's WireGuard IP, which is on-link; None is a route to the device.
    """

    destination: Cidr
    gateway: Address | None = None

    def __str__(self) -> str:
        return f"{self.destination}" + ("" if self.gateway is None else f" via {self.gateway}")


class Exclusion(NamedTuple):
    """An address that was cut out of a network that is routed into the tunnel."""

    address: Address
    network: Cidr

    def __str__(self) -> str:
        return f"{self.address} of {self.network}"


class Passage(NamedTuple):
    """Routes that do not lead the tunnel into itself, and the addresses that were cut out."""

    routes: tuple[Route, ...]
    excluded: tuple[Exclusion, ...]


def passage(
    routes: Iterable[Route], outside: Iterable[Address], others: Collection[Cidr] = ()
) -> Passage:
    """Return ``routes`` that do not cover the addresses ``outside``, sorted by destination.

    ``outside`` are the destinations of the packets that carry the tunnel. ``others`` are the
    destinations of the machine's other routes: no wider network takes an address in one of them.
    A default route becomes two halves, which take precedence over the machine's own default route
    without replacing it.
    """
    gateways: dict[Cidr, Address | None] = {}
    for route in sorted(routes, key=lambda one: one.destination.prefix, reverse=True):
        whole = route.destination
        for part in (whole,) if whole.prefix else halves(whole):
            gateways.setdefault(part, route.gateway)
    excluded = []
    for address in sorted(set(outside), key=lambda one: order(single(one))):
        own = max((other.prefix for other in others if other.contains(address)), default=0)
        for network, _ in exclude(gateways, address, wider_than=own):
            excluded.append(Exclusion(address, network))
    found = (Route(destination, gateway) for destination, gateway in gateways.items())
    return Passage(
        tuple(sorted(found, key=lambda route: order(route.destination))), tuple(excluded)
    )


def peer_routes(topology: Topology, name: str, extra: Iterable[Cidr] = ()) -> tuple[Route, ...]:
    """Return the routes of the peer ``name``, one per destination, sorted by destination.

    Networks of a segment have its WireGuard IP as gateway; that IP itself and the allowed IPs of
    other peers go to the device; ``extra`` has the first segment as gateway. If two routes have
    the same destination, the first in this order wins. (Kilo, pkg/mesh/routes.go.)
    """
    found: dict[Cidr, Route] = {}
    for route in (*_segment_routes(topology), *_other_peers(topology, name)):
        found.setdefault(route.destination, route)
    for cidr in extra if topology.segments else ():
        route = _by(topology.segments[0].wireguard_ip, cidr)
        found.setdefault(route.destination, route)
    return tuple(sorted(found.values(), key=lambda route: order(route.destination)))


def order(cidr: Cidr) -> tuple[int, int, int]:
    """Return the sort key of a network: IP version, address, prefix length."""
    return cidr.version, int(cidr.address), cidr.prefix


def _segment_routes(topology: Topology) -> Iterator[Route]:
    for segment in topology.segments:
        gateway, own = segment.wireguard_ip, single(segment.wireguard_ip)
        networks = segment.allowed_ips
        if networks and networks[-1] == own:  # the segment's last allowed IP, if it was granted
            yield Route(own)
            networks = networks[:-1]
        for cidr in networks:
            yield _by(gateway, cidr)
        for cidr in segment.allowed_location_ips:
            yield _by(gateway, cidr)


def _other_peers(topology: Topology, name: str) -> Iterator[Route]:
    for peer in topology.peers:
        if peer.name != name:
            for cidr in peer.allowed_ips:
                yield Route(cidr.masked())


def _by(gateway: Address, cidr: Cidr) -> Route:
    """Leave out a gateway of the other IP version: WireGuard uses only the destination."""
    return Route(cidr.masked(), gateway if gateway.version == cidr.version else None)
