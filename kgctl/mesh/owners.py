"""Owners of public keys and networks that several machines claim.

WireGuard identifies a machine by its key, and assigns a network to one machine: the last one that
is configured with it. These rules pick the owner once, so that configuration files and live
connections agree.

* A key belongs, in this order, to the outside machine itself; to the machine that it already knows
  by this key; to the first leader by name; to the first peer by name. The others are left out with
  all their networks, because no packet could reach them.
* A network belongs to a segment if it is the segment's WireGuard IP, since Kilo assigns these.
  Otherwise it belongs to the machine that already receives its packets; to the first node by name,
  with pod subnets before internal IPs before allowed location IPs; to the first peer by name.

Kilo has no such rule: its agents leave it to WireGuard. Nested networks do not compete here: the
narrower one wins, as in WireGuard.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import Cidr
from kgctl.mesh.claims import Use, claims_of_peer, claims_of_segment, claims_to_locations
from kgctl.mesh.guards import Guard, Reason
from kgctl.mesh.peer import Peer
from kgctl.mesh.policy import Refusal
from kgctl.mesh.text import bytewise, printable

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from kgctl.mesh.claims import Claim
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.topology import Segment, Topology

_RANK = {
    Use.WIREGUARD: 0,
    Use.PODS: 1,
    Use.INTERNAL_IP: 2,
    Use.LOCATION_IPS: 3,
    Use.PEER: 4,
}


class Present(NamedTuple):
    """The current configuration of an outside machine.

    ``keys`` maps a key to the name of its leader or peer; ``networks`` maps a network without host
    bits to the key of the machine that receives its packets.
    """

    keys: Mapping[PublicKey, str] = {}
    networks: Mapping[Cidr, PublicKey] = {}


NOTHING = Present()
"""A machine that is not set up yet."""


class Place(NamedTuple):
    """A segment or a peer of a network, by name."""

    name: str
    is_peer: bool = False


class Loss(NamedTuple):
    """A claim that was refused because another machine owns it, and ``place``, where to report it.

    ``place`` is the machine that lost the network, or the one that owns the key of a machine that
    is left out; None if the outside machine itself owns the key.
    """

    refusal: Refusal
    place: Place | None


class Owned(NamedTuple):
    """A topology in which each key and each network has one owner, and the losses of the others."""

    topology: Topology
    losses: tuple[Loss, ...] = ()


class Holder(NamedTuple):
    """A segment or a peer, with its key. ``name`` is the name of the leader or the peer."""

    key: PublicKey
    name: str
    networks: tuple[Cidr, ...]
    owner: Segment | Peer
    place: Place

    @property
    def words(self) -> str:
        """Its kind and name, printable."""
        return f"{'peer' if self.place.is_peer else 'node'} {printable(self.name)}"

    def claims(self, networks: Iterable[Cidr]) -> Iterator[Claim]:
        """Yield the claim behind each of its ``networks``, which may be parts of claims."""
        known: dict[Cidr, Claim] = {}
        for claim in claims_of_holder(self.owner):
            known.setdefault(claim.network.masked(), claim)
        prefixes = sorted({network.prefix for network in known}, reverse=True)
        for network in networks:
            around = (Cidr(network.address, one) for one in prefixes if one <= network.prefix)
            claim = next(known[one] for one in (wide.masked() for wide in around) if one in known)
            yield claim._replace(network=network)


def claims_of_holder(owner: Segment | Peer) -> Iterator[Claim]:
    """Yield the claims of a segment, or of a peer."""
    if isinstance(owner, Peer):
        yield from claims_of_peer(owner)
        return
    yield from claims_of_segment(owner)
    yield from claims_to_locations(owner)


def owned_once(
    topology: Topology, *, beside: str | None = None, present: Present = NOTHING
) -> Owned:
    """Return the topology with one owner for each key and each network.

    ``beside`` is the peer that is being configured, which stays unchanged; ``present`` is its
    current configuration. Segments and peers keep their order. The work is linear except for
    keys and networks with several claimers.
    """
    itself = None if beside is None else Place(beside, is_peer=True)
    holders = list(holders_of(topology))
    losses = _lost_keys(holders, itself, present)
    if losses:
        holders = [holder for holder in holders if holder.place not in losses]
        topology = _without_holders(topology, losses)
    lost = _lost_networks([one for one in holders if one.place != itself], present)
    if lost:
        topology = _without_networks(topology, lost)
    with_keys = (loss for found in losses.values() for loss in found)
    return Owned(topology, (*with_keys, *lost.values()))


def holders_of(topology: Topology) -> Iterator[Holder]:
    """Yield the segments and peers of a topology as holders."""
    for segment in topology.segments:
        networks = segment.allowed_ips + segment.allowed_location_ips
        yield Holder(segment.key, segment.leader.name, networks, segment, Place(segment.name))
    for peer in topology.peers:
        assert peer.public_key is not None  # a peer of a topology is ready
        place = Place(peer.name, is_peer=True)
        yield Holder(peer.public_key, peer.name, peer.allowed_ips, peer, place)


# --- keys ---


def _lost_keys(
    holders: Sequence[Holder], itself: Place | None, present: Present
) -> dict[Place, list[Loss]]:
    """Return the segments and peers whose key another machine owns, with their losses."""
    counts = Counter(holder.key for holder in holders)
    by_key: dict[PublicKey, list[Holder]] = {}
    for holder in holders:
        if counts[holder.key] > 1:
            by_key.setdefault(holder.key, []).append(holder)
    lost: dict[Place, list[Loss]] = {}
    for key, rivals in by_key.items():
        known = present.keys.get(key)
        keeper = min(rivals, key=lambda one: _order_by_key(one, itself, known))
        for holder in rivals:
            if holder is not keeper:
                lost[holder.place] = list(_losses_with_key(holder, keeper, itself))
    return lost


def _order_by_key(
    holder: Holder, itself: Place | None, known: str | None
) -> tuple[bool, bool, bool, bytes]:
    place = holder.place
    return place != itself, holder.name != known, place.is_peer, bytewise(holder.name)


def _losses_with_key(holder: Holder, keeper: Holder, itself: Place | None) -> Iterator[Loss]:
    is_own = keeper.place == itself
    owner = "this machine itself" if is_own else keeper.words
    claims = list(holder.claims(holder.networks)) or list(claims_of_holder(holder.owner))
    for claim in claims:
        whose = "the same public key"
        if claim.name != holder.name:
            whose = f"the public key of its leader {printable(holder.name)}"
        guard = Guard(claim.network, Reason.KEY, f"{owner} has {whose}")
        yield Loss(Refusal(claim, Reason.KEY, guard), None if is_own else keeper.place)


def _without_holders(topology: Topology, lost: Container[Place]) -> Topology:
    return topology._replace(
        segments=tuple(one for one in topology.segments if Place(one.name) not in lost),
        peers=tuple(one for one in topology.peers if Place(one.name, is_peer=True) not in lost),
    )


# --- networks ---


class _Claimed(NamedTuple):
    """A network, its holder, and the claim behind it."""

    network: Cidr
    holder: Holder
    claim: Claim


def _lost_networks(holders: Sequence[Holder], present: Present) -> dict[tuple[Place, Cidr], Loss]:
    """Return the losses by loser and by network, which keeps its host bits."""
    counts = Counter(
        number for holder in holders for number in {one.number for one in holder.networks}
    )
    twice = {number for number, count in counts.items() if count > 1}
    if not twice:
        return {}
    rivals: dict[Cidr, list[_Claimed]] = {}
    for holder in holders:
        shared = list(dict.fromkeys(one for one in holder.networks if one.number in twice))
        if not shared:
            continue
        for network, claim in zip(shared, holder.claims(shared), strict=True):
            rivals.setdefault(network.masked(), []).append(_Claimed(network, holder, claim))
    lost: dict[tuple[Place, Cidr], Loss] = {}
    for network, claims in rivals.items():
        key = present.networks.get(network)
        keeper = min(claims, key=lambda one: _order_by_network(one, key))
        lost.update(_losses_of_network(claims, keeper))
    return lost


def _order_by_network(claimed: _Claimed, key: PublicKey | None) -> tuple[bool, bool, int, bytes]:
    use = claimed.claim.use
    away = claimed.holder.key != key
    return use is not Use.WIREGUARD, away, _RANK[use], bytewise(claimed.claim.name)


def _losses_of_network(
    claims: Iterable[_Claimed], keeper: _Claimed
) -> Iterator[tuple[tuple[Place, Cidr], Loss]]:
    kind = "peer" if keeper.claim.use is Use.PEER else "node"
    words = f"{kind} {printable(keeper.claim.name)}"
    for network, holder, claim in claims:
        if holder.place != keeper.holder.place:
            guard = Guard(network, Reason.TAKEN, words)
            yield (holder.place, network), Loss(Refusal(claim, Reason.TAKEN, guard), holder.place)


def _without_networks(topology: Topology, lost: Container[tuple[Place, Cidr]]) -> Topology:
    def kept(place: Place, networks: tuple[Cidr, ...]) -> tuple[Cidr, ...]:
        return tuple(one for one in networks if (place, one) not in lost)

    segments = []
    for segment in topology.segments:
        place = Place(segment.name)
        segments.append(
            segment._replace(
                allowed_ips=kept(place, segment.allowed_ips),
                allowed_location_ips=kept(place, segment.allowed_location_ips),
            )
        )
    peers = [
        peer._replace(allowed_ips=kept(Place(peer.name, is_peer=True), peer.allowed_ips))
        for peer in topology.peers
    ]
    return topology._replace(segments=tuple(segments), peers=tuple(peers))
