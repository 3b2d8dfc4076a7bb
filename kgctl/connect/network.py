"""What a network asks of this host: its peers, and its routes.

Which nodes' agents rewrite their WireGuard device for a change of the network.

Kilo's agent sets its whole device anew when anything of its configuration differs: all peers are
replaced, and so every session of that node ends. The node knows that it has none any more; the
other side does not, sends into the old one, and notices after 15 seconds without an answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import MeshError
from kgctl.mesh.leader import disputes
from kgctl.mesh.limiting import limited
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
    from kgctl.mesh.guards import Guard
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.limiting import Limited
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.policy import Limits, Refusal
    from kgctl.mesh.routes import Route
    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Topology
    from kgctl.wireguard.conf import PeerSection

    _Networks = tuple[Cidr, ...]


class Leading(NamedTuple):
    """What the devices of other leaders hold of a segment, and ``keepalive``, of its own device."""

    allowed_ips: _Networks
    allowed_location_ips: _Networks
    endpoint: Endpoint | None
    keepalive: int


class Devices(NamedTuple):
    """What the devices of all leaders are made of, by public key."""

    segments: Mapping[PublicKey, Leading]
    peers: Mapping[PublicKey, Peer]


def devices_of(topology: Topology) -> Devices:
    """Return what the agents of a network set up.

    Endpoints are the annotated ones: one that was discovered is where a device sends already.
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
    """Return the keys of the leaders whose agents rewrite the device that they had before.

    Each device holds all peers, and all segments but the leader's own.
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
"""The UDP port at which this host listens where nobody says another."""


class NotAMemberError(MeshError):
    """The network has no usable Peer of our name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to set up. ``names`` says who a peer is, by key.

    ``routes`` are by Kilo's rules; some may lead to an address at which a peer is dialled.
    ``sightings`` are where each can be reached; the endpoints of ``peers`` are by Kilo's rules.
    ``refusals`` are the claims that were not granted: ``peers`` and ``routes`` have none of them.
    ``listen_port`` is that at which the others call this host; None where they do not.
    ``devices`` is what the agents of nodes set up. ``doubts`` are the segments, and the possible
    leaders of each, where nothing tells which one the agents chose.
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
        """Return where a peer of ours can be reached."""
        known = self.sightings.get(section.public_key)
        return known or Sightings(section.endpoint, {})


class Memory:
    """What was wanted the last time: of many rounds, most have new heartbeats and nothing else."""

    def __init__(self) -> None:
        self._known: tuple[object, Wanted] | None = None

    def recall(self, asked: object) -> Wanted | None:
        """Return what was wanted when the same was ``asked``, if that was the last time."""
        if self._known is None or self._known[0] != asked:
            return None
        return self._known[1]

    def keep(self, asked: object, wanted: Wanted) -> None:
        """Take down what is wanted where that is asked."""
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
    """Return what the network at ``now`` (Unix seconds) asks of the peer ``name``.

    Where a DNS name decides who leads, that is whom the agents chose, as far as they wrote it down.
    ``extra`` are networks to be reached through the first ready node's segment, by node name.
    What the network claims besides is granted within ``limits``, and clear of ``guards``. A key or
    network that two have is left to whom this host is set up for already, by ``present``. With a
    ``memory`` nothing is worked out again where only heartbeats are new.

    Raises:
        NotAMemberError: there is no such peer, or it takes no part.
        MeshError: there is no network; the message says why.
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
    """Return what is asked of the peer ``own``; ``first`` is the node through which extra goes."""
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
    """Give ``extra`` to the segment of the node ``first``, from whoever has it."""
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
    return f'the Peer "{shown}" is not in the cluster any more: nodes do not answer this host'
