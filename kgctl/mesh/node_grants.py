"""The networks that the agent of a node grants to other nodes and to peers.

Like ``kgctl.mesh.granted``, for a machine that is itself a node: it shares a location with others.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import Cidr, single
from kgctl.mesh.claims import Claim, Use, claims_of_segment, claims_to_locations
from kgctl.mesh.granted import (
    Limited,
    dialled_at,
    joined,
    judged,
    judged_peer,
    take_down,
    with_granted,
)
from kgctl.mesh.guards import Guard, Reason
from kgctl.mesh.owners import NOTHING, Present, owned_once
from kgctl.mesh.policy import ANYBODY, Limits, Policy
from kgctl.mesh.sightings import with_near_endpoints, without_strange_sightings
from kgctl.mesh.state import granularity_of, viewpoints_of
from kgctl.mesh.topology import FULL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.policy import Refusal
    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Segment, Topology

_ANYTHING = Limits(accept={ANYBODY: (Cidr(IPv4Address(0), 0), Cidr(IPv6Address(0), 0))})


def granted_locations(
    nodes: Sequence[Node], limits: Limits | None = None
) -> tuple[tuple[Node, ...], list[Refusal]]:
    """Return nodes with the allowed location IPs that anybody may grant them, and the refusals.

    By Kilo's rules, the location IPs of two segments that overlap are nobody's: a default route
    would take those of all others away. So what no agent grants goes before a topology is built.
    """
    if not any(node.allowed_location_ips for node in nodes):
        return tuple(nodes), []
    policy = Policy(limits)
    refusals: list[Refusal] = []

    def judged_alone(node: Node) -> Node:
        claims = [Claim(cidr, Use.LOCATION_IPS, node.name) for cidr in node.allowed_location_ips]
        verdict = policy.judge(claims)
        refusals.extend(verdict.refusals)
        granted = joined(verdict.granted)
        if granted == node.allowed_location_ips:
            return node
        return node._replace(allowed_location_ips=granted)

    found = tuple(judged_alone(node) if node.allowed_location_ips else node for node in nodes)
    return found, refusals


def seen_by_node(
    state: State,
    node: Node,
    *,
    now: float,
    granularity: str,
    subnet: Cidr | None,
    limits: Limits | None = None,
    acting_leaders: bool = False,
) -> tuple[Topology, list[Refusal]]:
    """Return the topology as the agent of ``node`` sees it, and the refused claims to locations.

    Neighbours are dialled in their own network. The other arguments are those of
    ``kgctl.mesh.state.viewpoints_of``. ``limited_on_node`` judges all other claims.

    Raises:
        MeshError: as for ``viewpoints_of``.
    """
    nodes, refusals = granted_locations(state.nodes, limits)
    state = state._replace(nodes=nodes)
    ready: Sequence[Node] = state.ready_nodes(now)
    if ready and granularity_of(ready, granularity) == FULL:
        ready = without_strange_sightings(ready, node)
    views = viewpoints_of(
        state,
        now=now,
        granularity=granularity,
        acting_leaders=acting_leaders,
        subnet=subnet,
        ready=ready,
    )
    return with_near_endpoints(views.from_node(node.name), node), refusals


class NodeGuards(NamedTuple):
    """The guards of a node: its ``own`` addresses; those that it ``needs``; its ``networks``.

    It needs the API server and its gateways. Its networks are those that it is connected to.
    """

    own: tuple[Guard, ...] = ()
    needed: tuple[Guard, ...] = ()
    networks: tuple[Guard, ...] = ()


def limited_on_node(
    topology: Topology,
    name: str,
    limits: Limits | None = None,
    guards: NodeGuards | None = None,
    *,
    present: Present = NOTHING,
) -> Limited:
    """Return the topology that the agent of the node ``name`` may set up: the granted networks.

    Nobody gets what the node's own segment has. Pod subnets, which the control plane assigns, may
    be public or wide. Internal IPs may be the API server's, which often is a node, and in the
    machine's own networks: in full granularity, neighbours are there. Of the own segment's claims,
    those to its own networks are granted, and the node's own ones are not judged. A node without
    its pod subnet or internal IP in the result has lost it; a neighbour that lost its internal IP
    is left out of the own segment. See ``kgctl.mesh.granted.limited`` for the rest.
    """
    own = topology.segment_of(name)
    mine, needed, networks = guards or NodeGuards()
    refused: dict[str, list[Refusal]] = {}
    if own is not None:
        locations = Policy(limits, (*mine, *needed))
        near = _Policies(
            Policy(_ANYTHING, mine), Policy(limits, mine), locations, frozenset((name,))
        )
        own = _without_lost(near.granted(own, refused))
        reachable = (one for one in own.nodes if one.internal_ip or one.name == name)
        own = own._replace(nodes=tuple(reachable))
        mine += tuple(_held(own))
    everybody: list[Segment | Peer] = [*topology.segments, *topology.peers]
    dialled = tuple(guard for one in everybody for guard in dialled_at(one))
    locations = Policy(limits, (*mine, *needed, *networks, *dialled))
    far = _Policies(
        Policy(_ANYTHING, (*mine, *needed)), Policy(limits, (*mine, *dialled)), locations
    )
    by_peer: dict[str, list[Refusal]] = {}
    peers: list[Peer] = []
    for peer in topology.peers:
        kept_peer, refusals = judged_peer(peer, locations)
        peers.append(kept_peer)
        if refusals:
            by_peer[peer.name] = refusals
    others = [far.granted(one, refused) for one in topology.segments if not _is(one, own)]
    granted = topology._replace(segments=tuple(others), peers=tuple(peers))
    owned = owned_once(granted, present=present)
    kept = {one.name: _without_lost(one) for one in owned.topology.segments}
    if own is not None:
        kept[own.name] = own
    segments = tuple(kept[one.name] for one in topology.segments if one.name in kept)
    found = Limited(owned.topology._replace(segments=segments), refused, by_peer, [])
    take_down(found, owned._replace(topology=found.topology))
    return found


def _is(segment: Segment, own: Segment | None) -> bool:
    return own is not None and segment.name == own.name


def _without_lost(segment: Segment) -> Segment:
    """Return a segment whose nodes have only what is in its allowed IPs."""
    granted = set(segment.allowed_ips)

    def kept(node: Node) -> Node:
        subnet, internal = node.subnet, node.internal_ip
        lost = internal is not None and single(internal.address) not in granted
        if not lost and (subnet is None or subnet in granted):
            return node
        return node._replace(
            subnet=subnet if subnet in granted else None, internal_ip=None if lost else internal
        )

    nodes = tuple(map(kept, segment.nodes))
    return segment if nodes == segment.nodes else segment._replace(nodes=nodes)


def _held(own: Segment) -> Iterator[Guard]:
    """Yield guards of what a node's own segment has."""
    for cidr in (*own.allowed_ips, *own.allowed_location_ips):
        network = cidr.masked()
        yield Guard(network, Reason.OWN, str(network))


class _Policies(NamedTuple):
    """The policies for the claims of a segment, by their use; ``trusted`` nodes are not judged."""

    pods: Policy
    internal_ips: Policy
    locations: Policy
    trusted: frozenset[str] = frozenset()

    def granted(self, segment: Segment, refused: dict[str, list[Refusal]]) -> Segment:
        """Return the segment with the granted networks."""
        allowed = list(claims_of_segment(segment))
        locations = list(claims_to_locations(segment))
        parts: dict[int, tuple[Cidr, ...]] = {}
        claims = list(enumerate((*allowed, *locations)))
        for policy, uses in (
            (self.pods, (Use.PODS, Use.WIREGUARD)),
            (self.internal_ips, (Use.INTERNAL_IP,)),
            (self.locations, (Use.LOCATION_IPS,)),
        ):
            some = [(number, one) for number, one in claims if one.use in uses]
            asked = [(number, one) for number, one in some if one.name not in self.trusted]
            verdict = judged(segment, [one for _, one in asked], policy)
            parts.update((number, (one.network,)) for number, one in some)
            parts.update(zip((number for number, _ in asked), verdict.granted, strict=True))
            if verdict.refusals:
                refused.setdefault(segment.name, []).extend(verdict.refusals)
        return with_granted(segment, [parts[number] for number, _ in claims], len(allowed))
