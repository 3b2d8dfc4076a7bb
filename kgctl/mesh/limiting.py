"""A network as far as the machine that joins it lets it be: what the policy of claims leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import single
from kgctl.mesh.claims import Claim, Use
from kgctl.mesh.guards import Guard, Reason
from kgctl.mesh.peer import is_own_address
from kgctl.mesh.policy import Policy
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.policy import Limits, Refusal
    from kgctl.mesh.topology import Segment, Topology


class Limited(NamedTuple):
    """A network with what its claimers were granted, and what they were refused.

    ``by_segment`` and ``by_peer`` have the refusals by the name of whose networks they are not.
    """

    topology: Topology
    by_segment: dict[str, list[Refusal]]
    by_peer: dict[str, list[Refusal]]

    @property
    def refusals(self) -> list[Refusal]:
        """All that was refused, in the order of segments and peers."""
        found = (*self.by_segment.values(), *self.by_peer.values())
        return [one for refusals in found for one in refusals]


def limited(
    topology: Topology,
    limits: Limits | None = None,
    guards: Iterable[Guard] = (),
    *,
    beside: str | None = None,
) -> Limited:
    """Return the network as the peer ``beside`` may set it up: what each machine is granted.

    ``guards`` are what that machine needs itself, besides the endpoints that it dials and its own
    addresses, which are known here. Its own networks stay as they are. Order and names of segments
    and peers do too; of a segment the WireGuard IP may be missing in its allowed IPs.
    """
    own = topology.peer(beside) if beside is not None else None
    policy = Policy(limits, (*guards, *_dialled(topology, beside), *_own(own)))
    by_segment: dict[str, list[Refusal]] = {}
    by_peer: dict[str, list[Refusal]] = {}
    segments = tuple(_segment(one, policy, by_segment) for one in topology.segments)
    peers = tuple(
        one if one.name == beside else _peer(one, policy, by_peer) for one in topology.peers
    )
    return Limited(topology._replace(segments=segments, peers=peers), by_segment, by_peer)


def _dialled(topology: Topology, beside: str | None) -> Iterator[Guard]:
    """Yield the endpoints that are dialled: packets to them carry the tunnel."""
    for segment in topology.segments:
        yield from _endpoint(segment.endpoint, "node", segment.leader.name)
    for peer in topology.peers:
        if peer.name != beside:
            yield from _endpoint(peer.endpoint, "peer", peer.name)


def _endpoint(endpoint: Endpoint | None, kind: str, owner: str) -> Iterator[Guard]:
    if endpoint is not None and endpoint.address is not None:
        words = f"the endpoint of {kind} {printable(owner)}"
        yield Guard(single(endpoint.address), Reason.ENDPOINT, words, owner)


def _own(peer: Peer | None) -> Iterator[Guard]:
    """Yield the addresses of the machine itself; networks behind it may hold others'."""
    for cidr in () if peer is None else peer.allowed_ips:
        if is_own_address(cidr):
            yield Guard(single(cidr.address), Reason.OWN, "an address of the machine itself")


# --- segments ---


def claims_of_segment(segment: Segment) -> Iterator[tuple[Cidr, Claim]]:
    """Yield what a segment claims, in the order of its allowed IPs, and who of it claims that.

    The WireGuard IP is the leader's.
    """
    for node in segment.nodes:
        if node.subnet is not None:
            yield node.subnet, Claim(node.subnet, Use.PODS, node.name, segment.name)
        if node.internal_ip is not None:
            own = single(node.internal_ip.address)
            yield own, Claim(own, Use.INTERNAL_IP, node.name, segment.name)
    wireguard_ip = single(segment.wireguard_ip)
    yield wireguard_ip, Claim(wireguard_ip, Use.WIREGUARD, segment.leader.name, segment.name)


def claims_to_locations(segment: Segment) -> Iterator[tuple[Cidr, Claim]]:
    """Yield the allowed location IPs of a segment, and the first of its nodes that claims each."""
    claimers: dict[Cidr, str] = {}
    if segment.allowed_location_ips:
        for node in segment.nodes:
            for cidr in node.allowed_location_ips:
                claimers.setdefault(cidr, node.name)
    for cidr in segment.allowed_location_ips:
        name = claimers.get(cidr, segment.leader.name)
        yield cidr, Claim(cidr, Use.LOCATION_IPS, name, segment.name)


def judged(
    segment: Segment, claims: Iterable[Claim], policy: Policy
) -> tuple[dict[Claim, tuple[Cidr, ...]], list[Refusal]]:
    """Return what is granted of each claim of a segment, and what is refused, node by node."""
    by_node: dict[str, list[Claim]] = {}
    for claim in claims:
        by_node.setdefault(claim.name, []).append(claim)
    own = {
        node.name: single(node.endpoint.address)
        for node in segment.nodes
        if node.endpoint is not None and node.endpoint.address is not None
    }
    granted: dict[Claim, tuple[Cidr, ...]] = {}
    refusals: list[Refusal] = []
    for name, of_node in by_node.items():
        verdict = policy.judge(of_node, [own[name]] if name in own else ())
        granted.update(zip(of_node, verdict.granted, strict=True))
        refusals += verdict.refusals
    return granted, refusals


def _segment(segment: Segment, policy: Policy, refused: dict[str, list[Refusal]]) -> Segment:
    allowed = list(claims_of_segment(segment))
    locations = list(claims_to_locations(segment))
    both = (*allowed, *locations)
    granted, refusals = judged(segment, (claim for _, claim in both), policy)
    if refusals:
        refused[segment.name] = refusals
    if all(granted[claim] == (claim.network,) for _, claim in both):
        return segment
    return segment._replace(
        allowed_ips=_left(allowed, granted), allowed_location_ips=_left(locations, granted)
    )


def _left(
    claims: Sequence[tuple[Cidr, Claim]], granted: dict[Claim, tuple[Cidr, ...]]
) -> tuple[Cidr, ...]:
    return tuple(part for _, claim in claims for part in granted[claim])


# --- peers ---


def _peer(peer: Peer, policy: Policy, refused: dict[str, list[Refusal]]) -> Peer:
    claims = [Claim(cidr, Use.PEER, peer.name) for cidr in peer.allowed_ips]
    verdict = policy.judge(claims)
    if verdict.refusals:
        refused[peer.name] = verdict.refusals
    networks = tuple(part for parts in verdict.granted for part in parts)
    return peer if networks == peer.allowed_ips else peer._replace(allowed_ips=networks)
