"""Where a machine sends a packet: Kilo's routes beside those that it has anyway.

The rules are those of Kilo's agent (pkg/mesh/routes.go). A follower sends everything that is not
of its own location to its leader; a leader sends it into the tunnel. The longest prefix wins.
"""

from __future__ import annotations

from enum import Enum, auto
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import holding, single
from kgctl.mesh.path.machine import Machine, leader_of, tunnel_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.mesh.node import Node
    from kgctl.mesh.topology import Segment, Topology


class Way(Enum):
    """By what a packet goes on."""

    HERE = auto()
    """It has arrived: at the machine, its pods, or what is behind it."""
    LOCATION = auto()
    """The location's own network, to another node of the segment: not encrypted."""
    TUNNEL = auto()
    """WireGuard."""
    OUTSIDE = auto()
    """The machine's own default route: out of the Kilo network."""


class Route(NamedTuple):
    """A way, the network that it is for, and the node that it leads to in the location."""

    way: Way
    network: Cidr | None
    to: Machine | None = None


def route_to(topology: Topology, machine: Machine, address: Address) -> Route:
    """Return the route by which the machine sends a packet to ``address``."""
    if machine.segment is None:
        return _route_of_peer(topology, machine, address)
    own = _own_address(machine, address)
    if own is not None:
        return own
    best = Route(Way.OUTSIDE, None)
    for route in chain(
        _routes_at_home(topology, machine, machine.segment, address),
        _routes_away(topology, machine, machine.segment, address),
    ):
        if _length(route) >= _length(best):  # of two equal ones the later replaces the first
            best = route
    return best


def _length(route: Route) -> int:
    """Return the prefix length; what is left to the location's own routers comes last."""
    return -1 if route.network is None else route.network.prefix


def _own_address(machine: Machine, address: Address) -> Route | None:
    assert machine.node is not None
    assert machine.segment is not None
    own = [machine.node.internal_ip.address] if machine.node.internal_ip is not None else []
    if machine.leads:
        own.append(machine.segment.wireguard_ip)
    return Route(Way.HERE, single(address)) if address in own else None


def _routes_at_home(
    topology: Topology, machine: Machine, segment: Segment, address: Address
) -> Iterator[Route]:
    """Yield the routes of the node's own location that hold ``address``, the connected first."""
    own = machine.node
    assert own is not None
    if any(network.contains(address) for network in segment.allowed_location_ips):
        yield Route(Way.HERE, None)  # the location's own network, in which Kilo sets no route
    if own.subnet is not None and own.subnet.contains(address):
        yield Route(Way.HERE, own.subnet)
    neighbour = _neighbour(topology, own, address)
    connected = own.internal_ip
    if connected is not None and connected.contains(address):
        way = Way.HERE if neighbour is None else Way.LOCATION
        yield Route(way, connected.masked(), neighbour)
    elif neighbour is not None and neighbour.segment == segment:
        yield Route(Way.LOCATION, None, neighbour)
    for node in segment.nodes:
        if node is not own and node.subnet is not None and node.subnet.contains(address):
            yield Route(Way.LOCATION, node.subnet, Machine(node=node, segment=segment))


def _neighbour(topology: Topology, own: Node, address: Address) -> Machine | None:
    """Return the node of the same location that has ``address`` as its internal IP, or None."""
    for segment in topology.segments:
        for node in segment.nodes:
            internal = node.internal_ip
            found = internal is not None and internal.address == address
            if found and node.location == own.location:
                return Machine(node=node, segment=segment)
    return None


def _routes_away(
    topology: Topology, machine: Machine, segment: Segment, address: Address
) -> Iterator[Route]:
    """Yield the routes into other segments and to peers that hold ``address``."""
    leader = None if machine.leads else leader_of(segment)
    way = Way.TUNNEL if leader is None else Way.LOCATION
    if leader is None and topology.subnet.contains(address):
        yield Route(way, topology.subnet)  # the interface's own network
    for other in topology.segments:
        if leader is not None and other.wireguard_ip == address:
            yield Route(way, single(address), leader)
        if other.name != segment.name:
            for network in holding(_networks(machine, other), address):
                yield Route(way, network, leader)
    for peer in topology.peers:
        for network in holding(peer.allowed_ips, address):
            yield Route(way, network, leader)


def _networks(machine: Machine, segment: Segment) -> Iterator[Cidr]:
    """Yield the networks of another segment that have a route.

    A leader has none to an internal IP that is the endpoint itself: the tunnel would go through
    the tunnel.
    """
    called = machine.endpoint_of(leader_of(segment)) if machine.leads else None
    for node in segment.nodes:
        if node.subnet is not None:
            yield node.subnet
        if node.internal_ip is not None:
            internal = node.internal_ip.address
            if called is None or called.address != internal:
                yield single(internal)
    yield from segment.allowed_location_ips


def _route_of_peer(topology: Topology, machine: Machine, address: Address) -> Route:
    """Return the route of a peer that is configured as ``showconf peer -o wg-quick`` says.

    Its own networks come first, and an endpoint's address is never routed into the tunnel.
    """
    assert machine.peer is not None
    own = [cidr.masked() for cidr in machine.peer.allowed_ips if cidr.contains(address)]
    mine = max(own, key=lambda cidr: cidr.prefix, default=None)
    entry = tunnel_to(topology, machine, address)
    if mine is not None and (entry is None or mine.prefix >= entry.allowed_ip.prefix):
        return Route(Way.HERE, mine)
    if entry is None or _is_endpoint(topology, address):
        return Route(Way.OUTSIDE, None)
    return Route(Way.TUNNEL, entry.allowed_ip)


def _is_endpoint(topology: Topology, address: Address) -> bool:
    called = [segment.endpoint for segment in topology.segments]
    called += [peer.endpoint for peer in topology.peers]
    return any(endpoint is not None and endpoint.address == address for endpoint in called)
