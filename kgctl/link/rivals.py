"""Networks that two segments claim, given to one: a cluster routes each to one Peer alone.

This is not the order of ``kgctl.mesh.owners``, which decides between the machines of one cluster
for a machine outside, and it cannot be:

* There a segment's WireGuard IP goes before what is held, since its own cluster gives it out. Here
  it comes from another cluster, where one node can decide on the network: what is held goes first.
* There a network within another is left to WireGuard. Here it is lost to a better claim around
  it, unless the rule of claims lets them go together: else a node gets a part of others' pods.
* There names decide, which are unique. Nodes and segments of two clusters may have the same names.
* There the loser is left out. Here a Peer may stand for it already, which is narrowed or stays.

What a cluster needs itself or has in use: no link leads there, and Peers are narrowed by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import single
from kgctl.mesh.claims import Claim, Use, claims_of, clash_of
from kgctl.mesh.guards import Guard, Reason
from kgctl.mesh.linking import is_written
from kgctl.mesh.overlap import nested
from kgctl.mesh.policy import ANYBODY, MOST, Limits, Policy, Refusal
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.linking import Member


_ORDER = {use: number for number, use in enumerate((Use.WIREGUARD, Use.PODS, Use.INTERNAL_IP))}


class Offer(NamedTuple):
    """A claim of a segment, and the parts of it that were granted so far.

    ``link`` is the name of the link to the segment.
    """

    source: str
    segment: str
    link: str
    claim: Claim
    parts: tuple[Cidr, ...]


class _Part(NamedTuple):
    """A network of the offer that is the ``number``-th, and how good its claim is: 0 is best."""

    network: Cidr
    number: int
    rank: tuple[bool, int, int]


def settled(
    offers: Sequence[Offer], held: Mapping[str, Collection[Cidr]], *, across: bool
) -> tuple[list[Offer], list[tuple[str, Refusal]]]:
    """Return the offers without what another segment has, and what was refused, by cluster.

    Of a network that two claim, the one whose link holds it already keeps it; then pods and
    WireGuard IPs go before internal IPs, and then the first. Within one cluster the rule of claims
    says which of them go together; between two clusters, ``across`` says whether any may overlap.
    """
    parts = _parts(offers, held)
    lost: dict[tuple[int, Cidr], Offer] = {}
    first: dict[tuple[Cidr, str], _Part] = {}
    for part in sorted(parts, key=lambda one: one.rank):
        offer = offers[part.number]
        owner = first.setdefault((part.network, "" if across else offer.source), part)
        if offers[owner.number].link != offer.link:
            lost[part.number, part.network] = offers[owner.number]
    for inner, around in nested(first.values(), lambda one: one.network):
        for outer in around:
            one, other = offers[outer.number], offers[inner.number]
            if outer.rank < inner.rank and _clash(one, other, across=across):
                lost.setdefault((inner.number, inner.network), one)
    return _without(offers, lost), _refusals(offers, lost)


def _parts(offers: Sequence[Offer], held: Mapping[str, Collection[Cidr]]) -> list[_Part]:
    found = []
    for number, offer in enumerate(offers):
        have = held.get(offer.link, ())
        order = _ORDER.get(offer.claim.use, len(_ORDER))
        found += [
            _Part(network, number, (network not in have, order, number))
            for network in (one.masked() for one in offer.parts)
        ]
    return found


def _clash(outer: Offer, inner: Offer, *, across: bool) -> bool:
    """Tell whether a network that lies in another one cannot be had beside it."""
    if outer.link == inner.link:
        return False
    if outer.source != inner.source:
        return across
    wide = outer.claim.use is Use.LOCATION_IPS  # behind which other segments may well lie
    return not wide and clash_of(outer.claim, inner.claim) is not None


def _without(offers: Sequence[Offer], lost: Collection[tuple[int, Cidr]]) -> list[Offer]:
    if not lost:
        return list(offers)
    return [
        offer._replace(
            parts=tuple(one for one in offer.parts if (number, one.masked()) not in lost)
        )
        for number, offer in enumerate(offers)
    ]


def _refusals(
    offers: Sequence[Offer], lost: Mapping[tuple[int, Cidr], Offer]
) -> list[tuple[str, Refusal]]:
    return [
        (offers[number].source, Refusal(_of(offers[number], network), Reason.IN_USE, _guard(owner)))
        for (number, network), owner in lost.items()
    ]


def _of(offer: Offer, network: Cidr) -> Claim:
    return offer.claim._replace(network=network)


def _guard(owner: Offer) -> Guard:
    claim = owner.claim
    words = claim.owner
    if claim.use is Use.WIREGUARD:
        words = f"the WireGuard IP of node {printable(claim.name)}"
    where = f"{words} of {printable(owner.source)}"
    return Guard(claim.network.masked(), Reason.IN_USE, where)


def dialled(target: Member, others: Sequence[Member], *, private: bool) -> Iterator[Guard]:
    """Yield the endpoints that nodes of the target dial, or may have to dial."""
    for node in target.state.nodes:
        yield from _endpoint(node.endpoint, f"node {printable(node.name)}", target)
    for peer in target.state.peers:
        if peer.name not in target.links:
            yield from _endpoint(peer.annotated_endpoint, f"peer {printable(peer.name)}", target)
    for source in others:
        for segment in source.topology.segments:
            leader = segment.leader
            if is_written(leader.endpoint, private=private):
                yield from _endpoint(leader.endpoint, f"node {printable(leader.name)}", source)


def _endpoint(endpoint: Endpoint | None, owner: str, member: Member) -> Iterator[Guard]:
    if endpoint is not None and endpoint.address is not None:
        words = f"the endpoint of {owner} of {printable(member.name)}"
        yield Guard(single(endpoint.address), Reason.ENDPOINT, words, cut=True)


def in_use(target: Member) -> Iterator[Guard]:
    """Yield all that machines of the target claim, ready or not, but for links and endpoints."""
    share = target.share
    for claim in claims_of(target.state, target.service_cidrs):
        unused = claim.use is Use.ENDPOINT or claim.peer in target.links
        if unused or (claim.use is Use.LOCATION_IPS and not share.location_ips):
            continue
        words = f"{claim.owner} of {printable(target.name)}"
        yield Guard(claim.network.masked(), Reason.IN_USE, words, cut=True)


class Narrowing:
    """Takes from a Peer that is there, and stays as it is, what nobody is granted.

    What a person gave for the cluster stays: its service networks, and those that it shares. So
    does what was accepted of any of its nodes.
    """

    def __init__(
        self, limits: Mapping[str, Limits], guards: Sequence[Guard], sources: Sequence[Member]
    ) -> None:
        self._limits, self._guards = limits, guards
        self._given = frozenset(
            network.masked()
            for source in sources
            for network in source.share.of_cluster(source.service_cidrs)
        )
        self._policies: dict[str, Policy] = {}

    def left(self, source: str, networks: Iterable[Cidr]) -> list[tuple[Cidr, ...]]:
        """Return what a Peer for the cluster ``source`` keeps of each of its networks."""
        claims = [Claim(one.masked(), Use.PEER) for one in networks]
        policy = self._policy(source)
        granted = [  # a Peer holds the networks of many machines
            parts
            for first in range(0, len(claims), MOST)
            for parts in policy.judge(claims[first : first + MOST]).granted
        ]
        return [
            (claim.network,) if claim.network in self._given else parts
            for claim, parts in zip(claims, granted, strict=True)
        ]

    def _policy(self, source: str) -> Policy:
        if source not in self._policies:
            limits = self._limits.get(source, Limits())
            accepted = tuple(one for networks in limits.accept.values() for one in networks)
            limits = limits._replace(accept={ANYBODY: accepted})
            self._policies[source] = Policy(limits, self._guards)
        return self._policies[source]
