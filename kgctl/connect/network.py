"""The wanted state of this host, and the nodes whose agents rewrite their WireGuard device.

Kilo's agent writes its whole device when any part of its configuration differs. That replaces all
peers, and ends every session of the node. The other side keeps the old session, sends into it, and
notices after 15 seconds without an answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import MeshError
from kgctl.mesh.granted import limited
from kgctl.mesh.leader import disputes
from kgctl.mesh.owners import NOTHING, Present
from kgctl.mesh.routes import peer_routes
from kgctl.mesh.sightings import Sightings, sightings
from kgctl.mesh.state import network_of
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
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.policy import Limits, Refusal
    from kgctl.mesh.routes import Route
    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Topology
    from kgctl.wireguard.conf import PeerSection

    _Networks = tuple[Cidr, ...]


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

    Endpoints are the annotated ones: a device already sends to a discovered endpoint.
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
    peers = {peer.public_key: peer for peer in topology.peers if peer.public_key is not None}
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


class Memory:
    """A cache of the last wanted state: most rounds bring new heartbeats and nothing else."""

    def __init__(self) -> None:
        self._known: tuple[object, Wanted] | None = None

    def recall(self, asked: object) -> Wanted | None:
        """Return the last wanted state if ``asked`` is the same as for it."""
        if self._known is None or self._known[0] != asked:
            return None
        return self._known[1]

    def keep(self, asked: object, wanted: Wanted) -> None:
        """Store the wanted state for ``asked``."""
        self._known = asked, wanted


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
    topology = network_of(state, now=now, granularity=granularity, acting_leaders=True)
    own = next((peer for peer in topology.peers if peer.name == name), None)
    if own is None:
        raise NotAMemberError(_why_no_member(state, name))
    first = state.ready_nodes(now)[0].name if extra else ""
    guarded = tuple(guards)
    asked = (_without_heartbeats(topology), first, tuple(extra), limits, guarded, present)
    wanted = None if memory is None else memory.recall(asked)
    if wanted is None:
        found = limited(topology, limits, guarded, beside=name, present=present)
        wanted = _wanted(topology, found, own, first, extra)
        if memory is not None:
            memory.keep(asked, wanted)
    return wanted


def _without_heartbeats(topology: Topology) -> Topology:
    return topology._replace(
        segments=tuple(
            segment._replace(
                nodes=tuple(node._replace(last_seen=0) for node in segment.nodes),
                leader=segment.leader._replace(last_seen=0),
            )
            for segment in topology.segments
        )
    )


def _wanted(
    topology: Topology, found: Limited, own: Peer, first: str, extra: Sequence[Cidr]
) -> Wanted:
    """Return the wanted state of the peer ``own``; ``extra`` goes through the node ``first``."""
    sections = peer_configuration(found.topology, own).peers
    return Wanted(
        peers=_with_extra(topology, sections, first, extra),
        routes=peer_routes(found.topology, own.name, extra),
        names=_names(found.topology),
        listen_port=port_of(own),
        devices=devices_of(topology),
        doubts={
            one.segment.name: tuple(node.name for node in one.possible)
            for one in disputes(topology)
            if one.acting is None
        },
        refusals=tuple(found.refusals),
        sightings=sightings(found.topology),
    )


def _with_extra(
    topology: Topology,
    sections: tuple[PeerSection, ...],
    first: str,
    extra: Sequence[Cidr],
) -> tuple[PeerSection, ...]:
    """Move ``extra`` from the sections that have it to the segment of the node ``first``."""
    if not extra:
        return sections
    segment = topology.segment_of(first)
    assert segment is not None  # every ready node is in a segment
    networks = {cidr.masked() for cidr in extra}
    return tuple(
        section._replace(allowed_ips=(*section.allowed_ips, *extra))
        if section.public_key == segment.key
        else section._replace(
            allowed_ips=tuple(
                cidr for cidr in section.allowed_ips if cidr.masked() not in networks
            ),
        )
        for section in sections
    )


def _names(topology: Topology) -> dict[PublicKey, str]:
    names = {peer.public_key: peer.name for peer in topology.peers if peer.public_key is not None}
    return names | {segment.key: segment.leader.name for segment in topology.segments}


def _why_no_member(state: State, name: str) -> str:
    shown = printable(name)
    for invalid in state.invalid_peers:
        if invalid.name == name:
            return f'the Peer "{shown}" is invalid: {", ".join(invalid.problems)}'
    if state.peer(name) is not None:
        return f'the Peer "{shown}" takes no part: it has no allowed IPs, or no public key'
    return f'the Peer "{shown}" is no longer in the cluster: nodes do not answer this host'
