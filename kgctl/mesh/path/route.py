"""Routes of a machine for a packet, and whether the tunnel between two machines comes up.

The rules for routes are those of Kilo's agent (pkg/mesh/routes.go), besides the machine's own
routes. A follower sends packets for other locations to its leader; a leader sends them into the
tunnel. The longest prefix wins. A tunnel depends on who can dial whom, and who keeps it open.
"""

from __future__ import annotations

from enum import Enum, StrEnum, auto
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import holding, single
from kgctl.mesh.dialability import (
    is_behind_nat,
    is_dialable,
    is_dialable_from_elsewhere,
    scope_of,
)
from kgctl.mesh.path.ends import Machine, leader_of, tunnel_to
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.node import Node
    from kgctl.mesh.topology import Segment, Topology


class Way(Enum):
    """The way in which a packet continues."""

    HERE = auto()
    """It has arrived: at the machine, at its pods, or at a network behind it."""
    LOCATION = auto()
    """Through the location's own network to another of its nodes, unencrypted."""
    TUNNEL = auto()
    """Through WireGuard."""
    OUTSIDE = auto()
    """By the machine's own default route, out of the Kilo network."""


class Route(NamedTuple):
    """A way, its destination network, and the next node within the location."""

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
    """Return the prefix length; routes of the location's own routers come last."""
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
    """Yield the routes to ``address`` within the node's own location."""
    own = machine.node
    assert own is not None
    if any(network.contains(address) for network in segment.allowed_location_ips):
        yield Route(Way.HERE, None)  # the location's own network, where Kilo sets no routes
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
    """Yield the routes to ``address`` in other segments and at peers."""
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

    A leader has no route to an internal IP that is also the endpoint: the tunnel would run through
    itself.
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
    """Return the route of a peer with the configuration of ``showconf peer -o wg-quick``.

    Its own networks come first, and the address of an endpoint is never routed into the tunnel.
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


class Reason(StrEnum):
    """The reason why a packet fails at a hop."""

    NO_ROUTE = "no-route"
    OUTSIDE = "outside-the-tunnel"
    NO_ALLOWED_IP = "no-allowed-ip"
    SOURCE_REFUSED = "source-refused"
    NO_ENDPOINT = "no-endpoint"
    PRIVATE_ENDPOINT = "private-endpoint"
    UNDIALABLE = "undialable-endpoint"
    SAME_NAT = "same-nat"
    NO_KEEPALIVE = "no-keepalive"
    ROUTING_LOOP = "routing-loop"
    ELSEWHERE = "elsewhere"
    LOOP = "loop"
    NO_COMMON_FAMILY = "no-common-family"
    NO_ADDRESS = "no-address"
    ONE_SIDED_LINK = "one-sided-link"
    STALE_LINK = "stale-link"
    LINK_REFUSES_SOURCE = "link-refuses-source"


class Reach(Enum):
    """The way in which a call reaches an endpoint."""

    OPEN = auto()
    """Directly."""
    MAPPED = auto()
    """Through a NAT, while the other side keeps calling from behind it."""


class Dial(NamedTuple):
    """The result of dialling: ``how`` the tunnel comes up, in words, or why it does not."""

    endpoint: Endpoint | None
    how: str
    failure: Reason | None = None


def dial(topology: Topology | None, caller: Machine, called: Machine) -> Dial:
    """Return whether ``caller`` reaches ``called`` if nothing was sent between them before.

    Without a ``topology``, endpoints that are routed into the tunnel are not detected: that check
    needs every route. DNS names and public endpoints are assumed to be reachable: the state of the
    cluster does not show firewalls.
    """
    endpoint = caller.endpoint_of(called)
    there = _reach(topology, caller, called)
    back = _reach(topology, called, caller)
    name = printable(called.name)
    for one, whom, found in ((caller, called, there), (called, caller, back)):
        # a call from the other side does not help: WireGuard updates the endpoint to the source of
        # a packet from inside the tunnel, and from then on each packet loops in it
        if found is Reason.ROUTING_LOOP:
            return Dial(endpoint, _why(one, whom, found), found)
    if there is Reach.OPEN:
        return Dial(endpoint, f"{printable(caller.name)} can call {name} at any time")
    if called.keepalive > 0 and back is Reach.OPEN:
        return Dial(endpoint, f"{name} keeps it open, every {called.keepalive} s")
    if there is Reach.MAPPED and back is Reach.MAPPED:
        return Dial(endpoint, "both call through their NATs, where nodes discovered them")
    if back is Reach.OPEN:
        return Dial(
            endpoint,
            f"{_why(caller, called, there)}; {name} could call, but has no persistent keepalive, "
            "so nothing keeps the tunnel open",
            Reason.NO_KEEPALIVE,
        )
    why = Reason.PRIVATE_ENDPOINT if isinstance(there, Reach) else there
    other = _why(called, caller, back)
    return Dial(endpoint, f"{_why(caller, called, there)}, nor the other way: {other}", why)


def _reach(topology: Topology | None, caller: Machine, called: Machine) -> Reach | Reason:
    endpoint = caller.endpoint_of(called)
    if endpoint is None:
        return Reason.NO_ENDPOINT
    address = endpoint.address
    if not is_dialable(endpoint):
        return Reason.UNDIALABLE
    near = _at_one_place(caller, called)
    if topology is not None and address is not None and _loops(topology, caller, address):
        return Reason.ROUTING_LOOP
    if not is_dialable_from_elsewhere(endpoint):
        near = near or _are_near_peers(caller, called)
        return Reach.OPEN if near else Reason.PRIVATE_ENDPOINT
    if address is None or not is_behind_nat(called.annotated_endpoint, endpoint):
        return Reach.OPEN
    return Reason.SAME_NAT if near else Reach.MAPPED


def _loops(topology: Topology, caller: Machine, address: Address) -> bool:
    """Return whether a node routes the packets that carry the tunnel into a tunnel."""
    return caller.node is not None and route_to(topology, caller, address).way is Way.TUNNEL


def _at_one_place(one: Machine, other: Machine) -> bool:
    """Return whether two machines are nodes of one location on a private network."""
    if one.node is None or other.node is None or one.node.location != other.node.location:
        return False
    return _is_on_one(one.node) and _is_on_one(other.node)


def _are_near_peers(one: Machine, other: Machine) -> bool:
    """Return whether two machines are peers of one location, by their annotations."""
    peer, neighbour = one.peer, other.peer
    if peer is None or neighbour is None or one.node is not None or other.node is not None:
        return False
    return bool(peer.location) and peer.location == neighbour.location


def _is_on_one(node: Node) -> bool:
    """Return whether a node is on a private network, judging by its addresses."""
    hidden = node.endpoint is not None and not is_dialable_from_elsewhere(node.endpoint)
    return node.internal_ip is not None or hidden


def _why(caller: Machine, called: Machine, found: Reach | Reason) -> str:
    """Return why a call does not arrive, in words."""
    who, whom = printable(caller.name), printable(called.name)
    endpoint = caller.endpoint_of(called)
    if endpoint is None:
        return f"{who} cannot call {whom}, which has no endpoint"
    if found is Reason.ROUTING_LOOP:
        return (
            f"{who} cannot call {whom}: its endpoint {endpoint} is inside a network that {who} "
            "sends into the tunnel"
        )
    if found is Reason.SAME_NAT:
        return f"{who} cannot call {whom} at {endpoint}: both are behind that NAT"
    if found is Reach.MAPPED:
        return (
            f"{who} cannot call {whom} at {endpoint}: it is behind a NAT, and does not call first"
        )
    words = scope_of(endpoint.host).words
    if found is Reason.UNDIALABLE:
        return f"{who} cannot call {whom}: nobody can dial its endpoint {endpoint}, {words}"
    return f"{who} cannot call {whom}: its endpoint {endpoint} is {words}"
