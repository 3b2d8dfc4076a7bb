"""The topology that a joining machine may configure, after the policy of claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import single
from kgctl.mesh.claims import claims_of_peer, claims_of_segment, claims_to_locations
from kgctl.mesh.guards import Guard, Reason
from kgctl.mesh.owners import NOTHING, Present, owned_once
from kgctl.mesh.peer import is_own_address
from kgctl.mesh.policy import Policy, Verdict
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.claims import Claim
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.owners import Owned
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.policy import Limits, Refusal
    from kgctl.mesh.topology import Segment, Topology


class Limited(NamedTuple):
    """A topology with the granted networks only, and the refusals.

    ``by_segment`` and ``by_peer`` map the name of a claimer to its refusals. The refusals of a
    machine that is left out are with the owner of its key, or in ``by_itself`` if that is the
    joining machine.
    """

    topology: Topology
    by_segment: dict[str, list[Refusal]]
    by_peer: dict[str, list[Refusal]]
    by_itself: list[Refusal]

    @property
    def refusals(self) -> list[Refusal]:
        """All refusals, in the order of segments and peers."""
        found = (*self.by_segment.values(), *self.by_peer.values(), self.by_itself)
        return [one for refusals in found for one in refusals]


def limited(
    topology: Topology,
    limits: Limits | None = None,
    guards: Iterable[Guard] = (),
    *,
    beside: str | None = None,
    present: Present = NOTHING,
) -> Limited:
    """Return the topology that the peer ``beside`` may configure: the granted networks.

    ``guards`` are networks that this machine needs itself; the endpoints that it dials and its own
    addresses are added here. ``present`` is its current configuration. Its own networks stay
    unchanged. The allowed IPs of a segment may lack its WireGuard IP. Each key and each network
    has one owner (:mod:`kgctl.mesh.owners`): a segment or a peer whose key another machine owns is
    left out. The others keep their order.
    """
    own = topology.peer(beside) if beside is not None else None
    policy = Policy(limits, (*guards, *_dialled(topology, beside), *_own(own)))
    by_segment: dict[str, list[Refusal]] = {}
    by_peer: dict[str, list[Refusal]] = {}
    segments = tuple(_segment(one, policy, by_segment) for one in topology.segments)
    peers = tuple(
        one if one.name == beside else _peer(one, policy, by_peer) for one in topology.peers
    )
    granted = topology._replace(segments=segments, peers=peers)
    owned = owned_once(granted, beside=beside, present=present)
    found = Limited(owned.topology, by_segment, by_peer, [])
    _take_down(found, owned)
    return found


def _take_down(found: Limited, owned: Owned) -> None:
    """Add the losses to the refusals of their places, in the order of the topology."""
    for refusal, place in owned.losses:
        if place is None:
            found.by_itself.append(refusal)
            continue
        by_name = found.by_peer if place.is_peer else found.by_segment
        by_name.setdefault(place.name, []).append(refusal)
    if owned.losses:
        for by_name, owners in (
            (found.by_segment, owned.topology.segments),
            (found.by_peer, owned.topology.peers),
        ):
            kept = {one.name: by_name[one.name] for one in owners if one.name in by_name}
            by_name.clear()
            by_name.update(kept)


def _dialled(topology: Topology, beside: str | None) -> Iterator[Guard]:
    """Yield the dialled endpoints as guards: packets to them carry the tunnel."""
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
    """Yield the machine's own addresses as guards; others may claim the networks behind it."""
    for cidr in () if peer is None else peer.allowed_ips:
        if is_own_address(cidr):
            yield Guard(single(cidr.address), Reason.OWN, "an address of the machine itself")


# --- segments ---


def judged(segment: Segment, claims: Sequence[Claim], policy: Policy) -> Verdict:
    """Return the verdict on the claims of a segment, judged node by node."""
    by_node: dict[str, list[int]] = {}
    for number, claim in enumerate(claims):
        by_node.setdefault(claim.name, []).append(number)
    own = {
        node.name: single(node.endpoint.address)
        for node in segment.nodes
        if node.endpoint is not None and node.endpoint.address is not None
    }
    found = Verdict([()] * len(claims), [])
    for name, numbers in by_node.items():
        of_node = [claims[number] for number in numbers]
        verdict = policy.judge(of_node, [own[name]] if name in own else ())
        for number, parts in zip(numbers, verdict.granted, strict=True):
            found.granted[number] = parts
        found.refusals.extend(verdict.refusals)
    return found


def _segment(segment: Segment, policy: Policy, refused: dict[str, list[Refusal]]) -> Segment:
    allowed = list(claims_of_segment(segment))
    locations = list(claims_to_locations(segment))
    both = (*allowed, *locations)
    granted, refusals = judged(segment, both, policy)
    if refusals:
        refused[segment.name] = refusals
    if all(parts == (claim.network,) for claim, parts in zip(both, granted, strict=True)):
        return segment
    count = len(allowed)
    return segment._replace(
        allowed_ips=_joined(granted[:count]), allowed_location_ips=_joined(granted[count:])
    )


def _joined(granted: Iterable[tuple[Cidr, ...]]) -> tuple[Cidr, ...]:
    return tuple(part for parts in granted for part in parts)


# --- peers ---


def _peer(peer: Peer, policy: Policy, refused: dict[str, list[Refusal]]) -> Peer:
    claims = list(claims_of_peer(peer))
    verdict = policy.judge(claims)
    if verdict.refusals:
        refused[peer.name] = verdict.refusals
    networks = _joined(verdict.granted)
    return peer if networks == peer.allowed_ips else peer._replace(allowed_ips=networks)
