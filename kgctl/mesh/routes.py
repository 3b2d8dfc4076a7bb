"""The routes by which an outside machine reaches a network through its tunnel.

Taking single addresses out of networks that are claimed.
"""

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
    """Replace each claim that contains ``address`` by what is around it; return those replaced.

    The most specific goes first, and a part that is claimed already stays with whom it belongs
    to, so that of two networks one within the other the smaller still wins. Claims are networks
    without host bits. Those whose prefix is ``wider_than`` or shorter stay as they are: 0 spares
    a default route, which has no prefix. ``prefixes`` are those that claims may have, where that
    is known: few, so it is faster. Those of what is around the address are added to them.
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
    """Yield the networks that cover all of ``network`` but ``address``: one a bit of the host."""
    size, value = address.max_prefixlen, int(address)
    for prefix in range(network.prefix + 1, size + 1):
        bits = size - prefix
        sibling = (value >> bits ^ 1) << bits
        yield Cidr(type(address)(sibling), prefix)


def without(network: Cidr, holes: Iterable[Cidr]) -> list[Cidr]:
    """Return the networks that cover all of ``network`` but the ``holes``, in order.

    Holes lie within it. Each adds at most two networks for a bit of what it is narrower.
    """
    parts: list[Cidr] = []
    start, end = network.network_value, network.network_value + (1 << network.host_bits)
    for hole in sorted(holes, key=lambda one: one.network_value):
        parts += _covering(network, start, hole.network_value)
        start = max(start, hole.network_value + (1 << hole.host_bits))
    return [*parts, *_covering(network, start, end)]


def _covering(network: Cidr, start: int, end: int) -> Iterator[Cidr]:
    """Yield the fewest networks of that family that are the addresses from start to the end."""
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
    """A way to ``destination``, which has no host bits, through the tunnel.

    ``gateway`` is a segment's WireGuard IP, reached on the link itself; None is straight to the
    device.
    """

    destination: Cidr
    gateway: Address | None = None

    def __str__(self) -> str:
        return f"{self.destination}" + ("" if self.gateway is None else f" via {self.gateway}")


class Exclusion(NamedTuple):
    """An address that was taken out of a network which is routed into the tunnel."""

    address: Address
    network: Cidr

    def __str__(self) -> str:
        return f"{self.address} of {self.network}"


class Passage(NamedTuple):
    """Routes that do not lead a tunnel into itself, and what was taken out of them for that."""

    routes: tuple[Route, ...]
    excluded: tuple[Exclusion, ...]


def passage(
    routes: Iterable[Route], outside: Iterable[Address], others: Collection[Cidr] = ()
) -> Passage:
    """Return ``routes`` without a way to the addresses ``outside``, sorted by destination.

    ``outside`` is where packets go that carry the tunnel. ``others`` are the networks that the
    machine has routes to besides: an address in one of them is safe from every wider network. A
    default route becomes two halves, which win over the machine's own and leave it as it is.
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
    """Return the routes of the peer ``name``, one a destination, sorted by destination.

    What is behind a segment goes by the segment's WireGuard IP; that IP itself and what other
    peers are allowed go straight to the device; ``extra`` goes by the first segment. Where two
    ask for one destination the first is given it, in that order. (Kilo, pkg/mesh/routes.go.)
    """
    found: dict[Cidr, Route] = {}
    for route in (*_segment_routes(topology), *_other_peers(topology, name)):
        found.setdefault(route.destination, route)
    for cidr in extra if topology.segments else ():
        route = _by(topology.segments[0].wireguard_ip, cidr)
        found.setdefault(route.destination, route)
    return tuple(sorted(found.values(), key=lambda route: order(route.destination)))


def order(cidr: Cidr) -> tuple[int, int, int]:
    """Return what to sort networks by: family, address, length of the prefix."""
    return cidr.version, int(cidr.address), cidr.prefix


def _segment_routes(topology: Topology) -> Iterator[Route]:
    for segment in topology.segments:
        gateway, own = segment.wireguard_ip, single(segment.wireguard_ip)
        networks = segment.allowed_ips
        if networks and networks[-1] == own:  # a segment's last one, where it was granted
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
    """A gateway of the other family is left out: WireGuard goes by the destination alone."""
    return Route(cidr.masked(), gateway if gateway.version == cidr.version else None)
