"""Which nodes' agents rewrite their WireGuard device for a change of the network.

Kilo's agent sets its whole device anew when anything of its configuration differs: all peers are
replaced, and so every session of that node ends. The node knows that it has none any more; the
other side does not, sends into the old one, and notices after 15 seconds without an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Topology

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
