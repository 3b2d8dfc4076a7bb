"""Routes of an outside machine into the tunnel, and the exclusion of addresses from networks."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kgctl.mesh.cidr import Address, Cidr, holding, single

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

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
    return Passages(routes).around(outside, others)


class Passages:
    """The passages of ``routes`` for changing addresses outside: see ``passage``.

    The routes are divided by the widest destination around each: an address that is cut out of one
    such region changes no other.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes: list[Route] = []  # sorted, one a destination
        self._parts: list[int] = []  # the place of the first route of each region
        self._starts: list[tuple[bool, int]] = []  # its IP version and first address
        self._ends: list[int] = []
        self._wide: set[int] = set()  # the regions of default routes
        last, end, version = None, 0, None
        for route in sorted(routes, key=_place):
            (address, prefix), value = route.destination, int(route.destination.address)
            place = is_six, first, _ = type(address) is IPv6Address, value, prefix
            if place == last:
                continue
            if is_six is not version or first >= end:
                if not prefix:
                    self._wide.add(len(self._parts))
                self._parts.append(len(self._routes))
                self._starts.append((is_six, first))
                end = first + (1 << (128 if is_six else 32) - prefix)
                self._ends.append(end)
            self._routes.append(route)
            last, version = place, is_six

    def around(self, outside: Iterable[Address], others: Collection[Cidr] = ()) -> Passage:
        """Return the passage around the addresses ``outside``."""
        inside: dict[int, set[Address]] = {}
        for address in outside:
            value = int(address)
            region = bisect_right(self._starts, (type(address) is IPv6Address, value)) - 1
            if region >= 0 and value < self._ends[region]:
                inside.setdefault(region, set()).add(address)
        found: list[Route] = []
        excluded: list[Exclusion] = []
        start = 0
        for region in sorted(inside.keys() | self._wide):
            first, end = (*self._parts, len(self._routes))[region : region + 2]
            cut = _cut(self._routes[first:end], inside.get(region, ()), others)
            found += (*self._routes[start:first], *cut.routes)
            excluded += cut.excluded
            start = end
        return Passage((*found, *self._routes[start:]), tuple(excluded))


def _cut(routes: Iterable[Route], outside: Iterable[Address], others: Collection[Cidr]) -> Passage:
    """Return the routes of one region without the addresses ``outside``."""
    gateways: dict[Cidr, Address | None] = {}
    for route in sorted(routes, key=lambda one: one.destination.prefix, reverse=True):
        whole = route.destination
        for part in (whole,) if whole.prefix else halves(whole):
            gateways.setdefault(part, route.gateway)
    # one search a prefix length and address: most networks have one of a few lengths
    prefixes = {network.prefix for network in gateways}
    excluded = []
    for address in sorted(outside, key=int):
        own = max((other.prefix for other in holding(others, address)), default=0)
        cut = exclude(gateways, address, wider_than=own, prefixes=prefixes)
        excluded += [Exclusion(address, network) for network, _ in cut]
    found = (Route(destination, gateway) for destination, gateway in gateways.items())
    return Passage(tuple(sorted(found, key=_place)), tuple(excluded))


def peer_routes(topology: Topology, name: str, extra: Iterable[Cidr] = ()) -> tuple[Route, ...]:
    """Return the routes of the peer ``name``, one per destination, sorted by destination.

    Networks of a segment have its WireGuard IP as gateway; that IP itself and the allowed IPs of
    other peers go to the device; ``extra`` has the first segment as gateway. If two routes have
    the same destination, the first in this order wins. (Kilo, pkg/mesh/routes.go.)
    """
    found: dict[Cidr, Route] = {}
    for route in (*_segment_routes(topology), *_other_peers(topology, name)):
        found.setdefault(route.destination, route)
    return with_extra_routes(tuple(sorted(found.values(), key=_place)), topology, extra)


def with_extra_routes(
    routes: tuple[Route, ...], topology: Topology, extra: Iterable[Cidr]
) -> tuple[Route, ...]:
    """Return sorted routes with those of ``extra``, except where there is a route already."""
    found = list(routes)
    for cidr in extra if topology.segments else ():
        route = _by(topology.segments[0].wireguard_ip, cidr)
        place = bisect_left(found, _place(route), key=_place)
        if found[place : place + 1] == [] or found[place].destination != route.destination:
            found.insert(place, route)
    return routes if len(found) == len(routes) else tuple(found)


_FEW = 100  # routes that are sooner inserted than all sorted


def sorted_routes(routes: Sequence[Route], before: tuple[Route, ...] = ()) -> tuple[Route, ...]:
    """Return routes sorted by destination.

    ``before`` is an earlier result: it spares the comparison of routes that are the same objects.
    """
    now, known = set(map(id, routes)), set(map(id, before))
    fresh = [route for route in routes if id(route) not in known]
    kept = [route for route in before if id(route) in now]
    if len(fresh) > _FEW:
        return tuple(sorted((*kept, *fresh), key=_place))
    for route in fresh:
        insort(kept, route, key=_place)
    return tuple(kept) if fresh or len(kept) < len(before) else before


def _place(route: Route) -> tuple[bool, int, int]:
    return order(route.destination)


def order(cidr: Cidr) -> tuple[bool, int, int]:
    """Return the sort key of a network: IP version, address, prefix length."""
    address, prefix = cidr
    return type(address) is IPv6Address, int(address), prefix


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
