"""Decisions between rival claims to a network, and the networks that no link may lead to.

A cluster routes each network to one Peer, so of two segments that claim it one gets it. The order
differs from that of ``kgctl.mesh.owners``, which decides between the machines of one cluster for a
machine outside:

* There, a segment's WireGuard IP goes before present holders, since its own cluster assigns it.
  Here another cluster does, where one node can decide on the network: the present holder wins.
* There, WireGuard decides on a network within another. Here it is lost to a better claim around
  it, unless the rule of claims allows both: else a node could get a part of others' pods.
* There, names decide, since they are unique. Here two clusters may have nodes and segments of the
  same name.
* There, the loser is left out. Here a Peer may stand for it already, which is narrowed or stays.

No link leads to the networks that a cluster dials or uses itself; Peers are narrowed by these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import single
from kgctl.mesh.claims import Claim, Use, claims_of, clash_of
from kgctl.mesh.guards import Guard, Reason
from kgctl.mesh.link_rules import is_written
from kgctl.mesh.overlap import nested
from kgctl.mesh.policy import ANYBODY, MOST, Limits, Policy, Refusal
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.link_rules import Member


_ORDER = {use: number for number, use in enumerate((Use.WIREGUARD, Use.PODS, Use.INTERNAL_IP))}


class Offer(NamedTuple):
    """A claim of a segment, and the parts of it that are granted so far.

    ``link`` is the name of the link to the segment.
    """

    source: str
    segment: str
    link: str
    claim: Claim
    parts: tuple[Cidr, ...]


class _Part(NamedTuple):
    """A network of the offer number ``number``; the lowest ``rank`` wins."""

    network: Cidr
    number: int
    rank: tuple[bool, int, int]


def settled(
    offers: Sequence[Offer], held: Mapping[str, Collection[Cidr]], *, across: bool
) -> tuple[list[Offer], list[tuple[str, Refusal]]]:
    """Return the offers without the networks that others get, and the refusals with their cluster.

    Of two claims to a network, the one whose link has it already wins; then WireGuard IPs go before
    pods, and pods before internal IPs; then the first wins. Within one cluster, the rule of claims
    decides which networks may overlap; between two clusters, none may if ``across``, else any.
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
    """Return whether a network within another conflicts with it."""
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
    """Yield the endpoints that nodes of the target dial, or may have to dial later."""
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
    """Yield all claims of the target's machines, ready or not, except of links and endpoints."""
    share = target.share
    for claim in claims_of(target.state, target.service_cidrs):
        unused = claim.use is Use.ENDPOINT or claim.peer in target.links
        if unused or (claim.use is Use.LOCATION_IPS and not share.location_ips):
            continue
        words = f"{claim.owner} of {printable(target.name)}"
        yield Guard(claim.network.masked(), Reason.IN_USE, words, cut=True)


class Narrowing:
    """Removes networks that nobody is granted from Peers that otherwise stay as they are.

    A Peer keeps the networks that a person gave for the cluster: service networks, shared ones,
    and those accepted for any of its nodes.
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
        """Return the parts of each network that a Peer for the cluster ``source`` keeps."""
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
