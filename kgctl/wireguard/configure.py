"""The configuration that each machine of a network needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.wireguard.conf import Configuration, Interface, PeerSection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PresharedKey
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Segment, Topology


def node_configuration(topology: Topology, node: Node, *, listen_port: int) -> Configuration:
    """Return what the leader ``node`` sets on its interface: all other segments, all peers.

    The private key is left out: it never leaves the node, so nobody else knows it.
    """
    keepalive = node.persistent_keepalive
    segments = [
        _segment_section(segment, keepalive)
        for segment in topology.segments
        if segment.leader.name != node.name
    ]
    peers = [_peer_section(peer, keepalive, peer.preshared_key) for peer in topology.peers]
    return Configuration(interface=Interface(listen_port=listen_port), peers=(*segments, *peers))


def peer_configuration(topology: Topology, peer: Peer) -> Configuration:
    """Return what ``peer`` sets on its interface: every segment, and every other peer."""
    keepalive = peer.persistent_keepalive
    segments = [
        _segment_section(segment, keepalive, peer.preshared_key) for segment in topology.segments
    ]
    others = [
        _peer_section(other, keepalive) for other in topology.peers if other.name != peer.name
    ]
    return Configuration(peers=(*segments, *others))


def segment_as_peer(segment: Segment, extra: Iterable[Cidr]) -> PeerSection:
    """Return a segment as another machine's ``[Peer]``, with ``extra`` allowed IPs.

    Allowed location IPs stay out, and the endpoint is the annotated, not a discovered one.
    """
    return PeerSection(
        public_key=segment.key,
        allowed_ips=_unique((*segment.allowed_ips, *extra)),
        endpoint=segment.leader.endpoint,
    )


def peer_as_peer(peer: Peer, extra: Iterable[Cidr]) -> PeerSection:
    """Return a peer as another machine's ``[Peer]``, with ``extra`` allowed IPs."""
    section = _peer_section(peer, peer.persistent_keepalive, peer.preshared_key)
    return section._replace(allowed_ips=_unique((*section.allowed_ips, *extra)))


def _segment_section(
    segment: Segment, keepalive: int, preshared_key: PresharedKey | None = None
) -> PeerSection:
    return PeerSection(
        public_key=segment.key,
        allowed_ips=segment.allowed_ips + segment.allowed_location_ips,
        endpoint=segment.endpoint,
        persistent_keepalive=keepalive,
        preshared_key=preshared_key,
    )


def _peer_section(
    peer: Peer, keepalive: int, preshared_key: PresharedKey | None = None
) -> PeerSection:
    assert peer.public_key is not None  # a peer of a topology is ready
    return PeerSection(
        public_key=peer.public_key,
        allowed_ips=peer.allowed_ips,
        endpoint=peer.endpoint,
        persistent_keepalive=keepalive,
        preshared_key=preshared_key,
    )


def _unique(cidrs: Iterable[Cidr]) -> tuple[Cidr, ...]:
    return tuple({str(cidr): cidr for cidr in cidrs}.values())
