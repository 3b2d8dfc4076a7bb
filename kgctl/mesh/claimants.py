"""What segments and peers of a network claim, and who of a segment it is that claims it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.cidr import single
from kgctl.mesh.claims import Claim, Use

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Segment


def claims_of_segment(segment: Segment) -> Iterator[Claim]:
    """Yield what a segment claims, in the order of its allowed IPs, and who of it claims that.

    The WireGuard IP is the leader's.
    """
    for node in segment.nodes:
        if node.subnet is not None:
            yield Claim(node.subnet, Use.PODS, node.name, segment.name)
        if node.internal_ip is not None:
            own = single(node.internal_ip.address)
            yield Claim(own, Use.INTERNAL_IP, node.name, segment.name)
    wireguard_ip = single(segment.wireguard_ip)
    yield Claim(wireguard_ip, Use.WIREGUARD, segment.leader.name, segment.name)


def claims_to_locations(segment: Segment) -> Iterator[Claim]:
    """Yield the allowed location IPs of a segment, and the first of its nodes that claims each."""
    claimers: dict[Cidr, str] = {}
    if segment.allowed_location_ips:
        for node in segment.nodes:
            for cidr in node.allowed_location_ips:
                claimers.setdefault(cidr, node.name)
    for cidr in segment.allowed_location_ips:
        name = claimers.get(cidr, segment.leader.name)
        yield Claim(cidr, Use.LOCATION_IPS, name, segment.name)


def claims_of_peer(peer: Peer) -> Iterator[Claim]:
    """Yield the allowed IPs of a peer."""
    for cidr in peer.allowed_ips:
        yield Claim(cidr, Use.PEER, peer.name)
