"""The topology that a joining machine may configure, after the policy of claims."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kgctl.mesh.cidr import Cidr, single
from kgctl.mesh.claims import claims_of_peer, claims_of_segment, claims_to_locations
from kgctl.mesh.guards import Guard, Guards, Reason
from kgctl.mesh.owners import NOTHING, Owned, Place, Present, claims_of_holder, owned_once
from kgctl.mesh.peer import Peer, is_own_address
from kgctl.mesh.policy import Policy, Verdict
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kgctl.mesh.claims import Claim
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.policy import Limits, Refusal
    from kgctl.mesh.topology import Segment, Topology


T = TypeVar("T")


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
    return Grants().limited(topology, limits, guards, beside=beside, present=present)


class _Known(NamedTuple):
    """A claimer, what it is granted, and its refusals.

    ``guards`` is the endpoint at which it is dialled. ``asked`` and ``numbers`` are the networks
    that it claims and is granted, each as ``Cidr.number``; none for the joining machine itself,
    whose claims nobody judges.
    """

    claimer: Segment | Peer
    granted: Segment | Peer
    refusals: list[Refusal]
    guards: tuple[Guard, ...]
    asked: frozenset[int]
    numbers: frozenset[int]


class Grants:
    """``limited`` for a network that changes: the result is the same, and takes less work.

    A claimer is judged again if it is another object than the last time, or if an endpoint in its
    networks comes or goes.
    """

    def __init__(self) -> None:
        self._terms: object = None
        self._known: dict[Place, _Known] = {}

    def limited(
        self,
        topology: Topology,
        limits: Limits | None = None,
        guards: Iterable[Guard] = (),
        *,
        beside: str | None = None,
        present: Present = NOTHING,
    ) -> Limited:
        """Return what the function ``limited`` returns."""
        fixed = tuple(guards)
        own = tuple(_own(topology.peer(beside) if beside is not None else None))
        terms = (limits, fixed, own, beside)
        known, self._known = (self._known if self._terms == terms else {}), {}
        self._terms = terms
        claimers = dict(_claimers(topology))
        kept = {
            place: old
            for place, one in claimers.items()
            if (old := known.get(place)) is not None and old.claimer is one
        }
        itself = None if beside is None else Place(beside, is_peer=True)
        dialled = {
            place: kept[place].guards if place in kept else dialled_at(one, place == itself)
            for place, one in claimers.items()
        }
        for place in _touched(known, dialled):
            kept.pop(place, None)
        again = [one for place, one in claimers.items() if place not in kept]
        relevant: Iterable[Guard] = chain.from_iterable(dialled.values())
        if kept:
            relevant = _around(again, relevant)
        policy = Policy(limits, (*fixed, *relevant, *own))
        for place, one in claimers.items():
            if place not in kept:
                judge = None if place == itself else policy
                kept[place] = _judged(one, judge, dialled[place])
        self._known = {place: kept[place] for place in claimers}
        return _with_owners(topology, self._known, beside, present)


def _claimers(topology: Topology) -> Iterator[tuple[Place, Segment | Peer]]:
    for segment in topology.segments:
        yield Place(segment.name), segment
    for peer in topology.peers:
        yield Place(peer.name, is_peer=True), peer


def _touched(
    known: Mapping[Place, _Known], dialled: Mapping[Place, tuple[Guard, ...]]
) -> list[Place]:
    """Return the known claimers that an endpoint concerns which comes or goes."""
    changed: set[Cidr] = set()
    for place in known.keys() | dialled.keys():
        before = known[place].guards if place in known else ()
        after = dialled.get(place, ())
        if before is not after and before != after:
            changed.update(guard.network for guard in (*before, *after))
    if not changed or not known:
        return []
    numbers = frozenset(
        Cidr(network.address, prefix).number
        for network in changed
        for prefix in range(network.prefix + 1)
    )
    return [place for place, one in known.items() if not one.asked.isdisjoint(numbers)]


def _around(claimers: Iterable[Segment | Peer], guards: Iterable[Guard]) -> Iterator[Guard]:
    """Yield the guards that concern these claimers: no other changes what they are granted."""
    claims = Guards(
        Guard(claim.network.masked(), Reason.OWN)
        for one in claimers
        for claim in claims_of_holder(one)
    )
    return (guard for guard in guards if claims.touches(guard.network))


def _judged(one: Segment | Peer, policy: Policy | None, guards: tuple[Guard, ...]) -> _Known:
    """Judge a claimer; without a policy it is the joining machine itself."""
    if policy is None:
        return _Known(one, one, [], guards, frozenset(), frozenset())
    granted, refusals = judged_peer(one, policy) if isinstance(one, Peer) else _segment(one, policy)
    asked = numbers = _numbers(one)
    if granted is not one:
        numbers = _numbers(granted)
    return _Known(one, granted, refusals, guards, asked, numbers)


def _numbers(one: Segment | Peer) -> frozenset[int]:
    networks = one.allowed_ips
    if not isinstance(one, Peer):
        networks += one.allowed_location_ips
    return frozenset(network.number for network in networks)


def _with_owners(
    topology: Topology, known: Mapping[Place, _Known], beside: str | None, present: Present
) -> Limited:
    """Return the granted topology in which each key and each network has one owner."""
    owners = [one.granted for one in known.values()]
    granted = topology._replace(
        segments=tuple(one for one in owners if not isinstance(one, Peer)),
        peers=tuple(one for one in owners if isinstance(one, Peer)),
    )
    refused = [(place, one.refusals) for place, one in known.items() if one.refusals]
    by_segment = {place.name: [*found] for place, found in refused if not place.is_peer}
    by_peer = {place.name: [*found] for place, found in refused if place.is_peer}
    owned = _owned(granted, known, beside, present)
    found = Limited(owned.topology, by_segment, by_peer, [])
    take_down(found, owned)
    return found


def _owned(
    granted: Topology, known: Mapping[Place, _Known], beside: str | None, present: Present
) -> Owned:
    """Return what ``owned_once`` returns; it looks only at those that share a key or a network."""
    keys = _twice([one.key for one in granted.segments] + [one.public_key for one in granted.peers])
    numbers = _twice([number for one in known.values() for number in one.numbers])
    if not keys and not numbers:
        return Owned(granted)
    rivals = {
        place
        for place, one in known.items()
        if _key(one.granted) in keys or not one.numbers.isdisjoint(numbers)
    }
    found = owned_once(
        granted._replace(
            segments=tuple(one for one in granted.segments if Place(one.name) in rivals),
            peers=tuple(one for one in granted.peers if Place(one.name, is_peer=True) in rivals),
        ),
        beside=beside,
        present=present,
    )
    segments = {one.name: one for one in found.topology.segments}
    peers = {one.name: one for one in found.topology.peers}
    topology = granted._replace(
        segments=tuple(
            segments.get(one.name, one)
            for one in granted.segments
            if one.name in segments or Place(one.name) not in rivals
        ),
        peers=tuple(
            peers.get(one.name, one)
            for one in granted.peers
            if one.name in peers or Place(one.name, is_peer=True) not in rivals
        ),
    )
    return Owned(topology, found.losses)


def _key(one: Segment | Peer) -> PublicKey | None:
    return one.public_key if isinstance(one, Peer) else one.key


def _twice(values: Sequence[T]) -> frozenset[T]:
    """Return the values that occur more than once."""
    if len(frozenset(values)) == len(values):
        return frozenset()
    return frozenset(value for value, count in Counter(values).items() if count > 1)


def take_down(found: Limited, owned: Owned) -> None:
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


def dialled_at(one: Segment | Peer, is_itself: bool = False) -> tuple[Guard, ...]:
    """Return the dialled endpoint as a guard: packets to it carry the tunnel."""
    if is_itself:
        return ()
    if isinstance(one, Peer):
        return tuple(_endpoint(one.endpoint, "peer", one.name))
    return tuple(_endpoint(one.endpoint, "node", one.leader.name))


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


def _segment(segment: Segment, policy: Policy) -> tuple[Segment, list[Refusal]]:
    allowed = list(claims_of_segment(segment))
    locations = list(claims_to_locations(segment))
    granted, refusals = judged(segment, (*allowed, *locations), policy)
    return with_granted(segment, granted, len(allowed)), refusals


def with_granted(segment: Segment, granted: Sequence[tuple[Cidr, ...]], count: int) -> Segment:
    """Return a segment with what was granted; the first ``count`` are its allowed IPs.

    It is the same object if it lost nothing.
    """
    allowed_ips, location_ips = joined(granted[:count]), joined(granted[count:])
    if allowed_ips == segment.allowed_ips and location_ips == segment.allowed_location_ips:
        return segment
    return segment._replace(allowed_ips=allowed_ips, allowed_location_ips=location_ips)


def joined(granted: Iterable[tuple[Cidr, ...]]) -> tuple[Cidr, ...]:
    """Return the granted networks of several claims as one sequence."""
    return tuple(part for parts in granted for part in parts)


# --- peers ---


def judged_peer(peer: Peer, policy: Policy) -> tuple[Peer, list[Refusal]]:
    """Return a peer with what a policy grants it, and the refusals."""
    verdict = policy.judge(list(claims_of_peer(peer)))
    networks = joined(verdict.granted)
    granted = peer if networks == peer.allowed_ips else peer._replace(allowed_ips=networks)
    return granted, verdict.refusals
