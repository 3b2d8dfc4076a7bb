"""The wanted state of this host, and the nodes whose agents rewrite their WireGuard device.

Kilo's agent writes its whole device when any part of its configuration differs. That replaces all
peers, and ends every session of the node. The other side keeps the old session, sends into it, and
notices after 15 seconds without an answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kgctl.errors import MeshError
from kgctl.mesh.granted import Grants
from kgctl.mesh.leader import disputes
from kgctl.mesh.owners import NOTHING, Present
from kgctl.mesh.peer import NO_SETTINGS
from kgctl.mesh.readiness import why_peer_not_ready
from kgctl.mesh.routes import peer_routes, sorted_routes, with_extra_routes
from kgctl.mesh.sightings import Sightings, sightings
from kgctl.mesh.state import viewpoints_of
from kgctl.mesh.subnets import kilo_subnet
from kgctl.mesh.text import printable
from kgctl.wireguard.conf import peer_configuration
from kgctl.wireguard.quick import port_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.granted import Limited
    from kgctl.mesh.guards import Guard
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.policy import Limits, Refusal
    from kgctl.mesh.routes import Route
    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Segment, Topology
    from kgctl.wireguard.conf import PeerSection

    _Networks = tuple[Cidr, ...]

T = TypeVar("T")


class Leading(NamedTuple):
    """A segment in the devices of other leaders, and the ``keepalive`` of its own device."""

    allowed_ips: _Networks
    allowed_location_ips: _Networks
    endpoint: Endpoint | None
    keepalive: int


class Devices(NamedTuple):
    """The contents of the leaders' devices, by public key."""

    segments: Mapping[PublicKey, Leading]
    peers: Mapping[PublicKey, Peer]


def devices_of(topology: Topology) -> Devices:
    """Return what the agents of a network configure.

    Endpoints are the annotated ones: a device already sends to a discovered endpoint. Settings of
    peers are kgctl's own, and do not concern the agents.
    """
    segments = {
        segment.key: Leading(
            segment.allowed_ips,
            segment.allowed_location_ips,
            segment.leader.endpoint,
            segment.leader.persistent_keepalive,
        )
        for segment in topology.segments
    }
    peers = {
        peer.public_key: peer
        if peer.settings is NO_SETTINGS
        else peer._replace(settings=NO_SETTINGS)
        for peer in topology.peers
        if peer.public_key is not None
    }
    return Devices(segments, peers)


def rewritten(before: Devices, after: Devices) -> frozenset[PublicKey]:
    """Return the keys of the leaders whose agents rewrite their existing device.

    Each device holds all peers, and all segments except the leader's own.
    """
    stay = before.segments.keys() & after.segments.keys()
    if before.peers != after.peers:
        return frozenset(stay)
    changed = before.segments.keys() ^ after.segments.keys()
    changed |= {key for key in stay if before.segments[key][:3] != after.segments[key][:3]}
    if len(changed) > 1:
        return frozenset(stay)
    own = {key for key in stay if before.segments[key].keepalive != after.segments[key].keepalive}
    return frozenset(stay - changed | own) if changed else frozenset(own)


DEFAULT_PORT = 51820
"""The UDP port on which this host listens by default."""


class NotAMemberError(MeshError):
    """The network has no usable Peer of this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The wanted state of this host. ``names`` maps keys to the names of peers.

    ``routes`` follow Kilo's rules; some may cover an address at which a peer is dialled.
    ``sightings`` are the endpoints at which each peer may be reachable; the endpoints of ``peers``
    follow Kilo's rules. ``refusals`` are the claims that were not granted, and are not part of
    ``peers`` and ``routes``. ``listen_port`` is the port to which the others send; None if they
    have no endpoint of this host. ``devices`` is what the nodes' agents configure. ``doubts`` are
    the possible leaders of each segment for which the agents' choice is unknown.
    """

    peers: tuple[PeerSection, ...]
    routes: tuple[Route, ...]
    names: Mapping[PublicKey, str]
    listen_port: int | None = None
    devices: Devices = field(default_factory=lambda: Devices({}, {}))
    doubts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    sightings: Mapping[PublicKey, Sightings] = field(default_factory=dict)

    def sightings_of(self, section: PeerSection) -> Sightings:
        """Return the endpoints at which a peer may be reachable."""
        known = self.sightings.get(section.public_key)
        return known or Sightings(section.endpoint, {})


class _Part(NamedTuple):
    """What this host has of a segment or another peer, its ``owner``.

    ``numbers`` are the allowed IPs of ``section``, each as ``Cidr.number``.
    """

    owner: Segment | Peer
    section: PeerSection
    routes: tuple[Route, ...]
    numbers: frozenset[int]


class Memory:
    """The last wanted state and its parts: what stays the same stays the same object.

    So a change in a large network costs little here, and where the parts are applied. Most rounds
    bring new heartbeats and nothing else.
    """

    def __init__(self) -> None:
        self._known: tuple[object, Wanted] | None = None
        self._nodes: dict[str, tuple[Node, Node]] = {}
        self._annotated: Topology | None = None
        self._segments: dict[str, Segment] = {}
        self._peers: dict[str, Peer] = {}
        self._own: Peer | None = None
        self._parts: dict[PublicKey, _Part] = {}
        self._routes: tuple[Route, ...] = ()
        self._sightings: dict[PublicKey, Sightings] = {}
        self.grants = Grants()

    def recall(self, asked: object) -> Wanted | None:
        """Return the last wanted state if ``asked`` is the same as for it."""
        if self._known is None or self._known[0] != asked:
            return None
        return self._known[1]

    def keep(self, asked: object, wanted: Wanted) -> None:
        """Store the wanted state for ``asked``."""
        self._known = asked, wanted

    def ready_nodes(self, state: State, now: float) -> tuple[Node, ...]:
        """Return the nodes that are ready at ``now``, without their heartbeats."""
        before, self._nodes = self._nodes, {}
        for node in state.nodes:
            if node.is_ready(now):
                known = before.get(node.name)
                if known is None or known[0] is not node:
                    still = node._replace(last_seen=0)
                    known = node, still if known is None else _same(known[1], still)
                self._nodes[node.name] = known
        return tuple(still for _, still in self._nodes.values())

    def topology(
        self, state: State, ready: Sequence[Node], *, now: float, granularity: str, subnet: Cidr
    ) -> Topology:
        """Return the topology of the ``ready`` nodes, as the first of them sees it."""
        views = viewpoints_of(
            state,
            now=now,
            granularity=granularity,
            acting_leaders=True,
            subnet=subnet,
            ready=ready,
            before=self._annotated,
        )
        self._annotated, found = views.annotated, views.from_node()
        segments, peers = self._segments, self._peers
        self._segments = {one.name: _same(segments.get(one.name), one) for one in found.segments}
        self._peers = {one.name: _same(peers.get(one.name), one) for one in found.peers}
        return found._replace(
            segments=tuple(self._segments.values()), peers=tuple(self._peers.values())
        )

    def parts(self, topology: Topology, own: Peer) -> list[_Part]:
        """Return the parts of a granted topology that the peer ``own`` configures."""
        before, self._parts = self._parts if self._own is own else {}, {}
        self._own = own
        nothing = topology._replace(segments=(), peers=())
        for segment in topology.segments:
            known = before.get(segment.key)
            if known is None or known.owner is not segment:
                known = _part(segment, nothing._replace(segments=(segment,)), own, known)
            self._parts[segment.key] = known
        for peer in topology.peers:
            if peer.name != own.name and peer.public_key is not None:
                known = before.get(peer.public_key)
                if known is None or known.owner is not peer:
                    known = _part(peer, nothing._replace(peers=(peer,)), own, known)
                self._parts[peer.public_key] = known
        return list(self._parts.values())

    def routes(self, parts: Sequence[_Part]) -> tuple[Route, ...]:
        """Return the routes of all parts, sorted by destination."""
        found = [route for part in parts for route in part.routes]
        self._routes = sorted_routes(found, self._routes)
        return self._routes

    def sightings(self, topology: Topology) -> dict[PublicKey, Sightings]:
        """Return the sightings of leaders and peers, by public key."""
        before = self._sightings
        self._sightings = {
            key: _same(before.get(key), one) for key, one in sightings(topology).items()
        }
        return self._sightings


def _same(before: T | None, now: T) -> T:
    """Return the object of ``before`` if it is equal."""
    return before if before is not None and before == now else now


def _part(owner: Segment | Peer, alone: Topology, own: Peer, known: _Part | None) -> _Part:
    """Return the part of an owner that is ``alone`` in a topology."""
    (section,) = peer_configuration(alone, own).peers
    routes = peer_routes(alone, own.name)
    if known is not None:
        section, routes = _same(known.section, section), _same(known.routes, routes)
    return _Part(owner, section, routes, frozenset(one.number for one in section.allowed_ips))


def wanted_of(
    state: State,
    *,
    name: str,
    now: float,
    granularity: str,
    extra: Sequence[Cidr] = (),
    limits: Limits | None = None,
    guards: Iterable[Guard] = (),
    present: Present = NOTHING,
    memory: Memory | None = None,
) -> Wanted:
    """Return the wanted state of the peer ``name`` at ``now`` (Unix seconds).

    If a DNS name decides which node leads, the agents' recorded choice counts, where there is one.
    ``extra`` networks go through the segment of the first ready node, by node name. Other claims of
    the network are granted within ``limits`` and outside ``guards``. If two have the same key or
    network, the one in ``present``, for which this host is configured, keeps it. With a ``memory``,
    nothing is computed again if only heartbeats are new.

    Raises:
        NotAMemberError: the peer does not exist, or is not ready.
        MeshError: there is no network; the message gives the reason.
    """
    memory = Memory() if memory is None else memory
    ready, subnet = memory.ready_nodes(state, now), kilo_subnet(state.nodes)
    guarded = tuple(guards)
    asked = (ready, state.peers, subnet, name, granularity, tuple(extra), limits, guarded, present)
    wanted = memory.recall(asked)
    if wanted is None:
        topology = memory.topology(state, ready, now=now, granularity=granularity, subnet=subnet)
        own = topology.peer(name)
        if own is None:
            raise NotAMemberError(_why_no_member(state, name, now))
        found = memory.grants.limited(topology, limits, guarded, beside=name, present=present)
        wanted = _wanted(topology, found, own, ready[0].name, tuple(extra), memory)
        memory.keep(asked, wanted)
    return wanted


def _wanted(
    topology: Topology,
    found: Limited,
    own: Peer,
    first: str,
    extra: tuple[Cidr, ...],
    memory: Memory,
) -> Wanted:
    """Return the wanted state of the peer ``own``; ``extra`` goes through the node ``first``."""
    parts = memory.parts(found.topology, own)
    return Wanted(
        peers=_with_extra(topology, parts, first, extra),
        routes=with_extra_routes(memory.routes(parts), found.topology, extra),
        names=_names(found.topology),
        listen_port=port_of(own),
        devices=devices_of(topology),
        doubts={
            one.segment.name: tuple(node.name for node in one.possible)
            for one in disputes(topology)
            if one.acting is None
        },
        refusals=tuple(found.refusals),
        sightings=memory.sightings(found.topology),
    )


def _with_extra(
    topology: Topology, parts: Sequence[_Part], first: str, extra: tuple[Cidr, ...]
) -> tuple[PeerSection, ...]:
    """Move ``extra`` from the sections that have it to the segment of the node ``first``."""
    if not extra:
        return tuple(part.section for part in parts)
    segment = topology.segment_of(first)
    assert segment is not None  # every ready node is in a segment
    numbers = {cidr.number for cidr in extra}
    sections = []
    for part in parts:
        section = part.section
        if section.public_key == segment.key:
            section = section._replace(allowed_ips=(*section.allowed_ips, *extra))
        elif not part.numbers.isdisjoint(numbers):
            kept = tuple(cidr for cidr in section.allowed_ips if cidr.number not in numbers)
            section = section._replace(allowed_ips=kept)
        sections.append(section)
    return tuple(sections)


def _names(topology: Topology) -> dict[PublicKey, str]:
    names = {peer.public_key: peer.name for peer in topology.peers if peer.public_key is not None}
    return names | {segment.key: segment.leader.name for segment in topology.segments}


def refuse_expired(peer: Peer, now: float) -> None:
    """Make sure that the time of a peer is not over at ``now``, in Unix seconds.

    Raises:
        NotAMemberError: it is.
    """
    if peer.is_expired(now):
        name, reasons = printable(peer.name), ", ".join(why_peer_not_ready(peer, now))
        raise NotAMemberError(
            f'the Peer "{name}" takes no part: {reasons}; kgctl peer set {name} gives it more time'
        )


def _why_no_member(state: State, name: str, now: float) -> str:
    shown = printable(name)
    for invalid in state.invalid_peers:
        if invalid.name == name:
            return f'the Peer "{shown}" is invalid: {", ".join(invalid.problems)}'
    if (peer := state.peer(name)) is not None:
        refuse_expired(peer, now)
        return f'the Peer "{shown}" takes no part: it has no allowed IPs, or no public key'
    return f'the Peer "{shown}" is no longer in the cluster: nodes do not answer this host'
