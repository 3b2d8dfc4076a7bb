"""Networks that two segments claim, given to one: a cluster routes each to one Peer alone.

This is not the order of ``kgctl.mesh.owners``, which decides between the machines of one cluster
for a machine outside, and it cannot be:

* There a segment's WireGuard IP goes before what is held, since its own cluster gives it out. Here
  it comes from another cluster, where one node can decide on the network: what is held goes first.
* There a network within another is left to WireGuard. Here it is lost to a better claim around
  it, unless the rule of claims lets them go together: else a node gets a part of others' pods.
* There names decide, which are unique. Nodes and segments of two clusters may have the same names.
* There the loser is left out. Here a Peer may stand for it already, which is narrowed or stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.claims import Claim, Use, clash_of
from kgctl.mesh.guards import Guard, Reason
from kgctl.mesh.nesting import nested
from kgctl.mesh.policy import Refusal
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from kgctl.mesh.cidr import Cidr

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
