"""Rules for linking clusters: shared networks, the layout of links, and obstacles.

Kilo links clusters through Peer objects: each segment of one cluster is a peer in the other
(kilo.squat.ai, "Multi-cluster Services"). Their networks must not overlap, since each of them is
an allowed IP on the other side, and at least one of two segments must be able to dial the other.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import Cidr, single
from kgctl.mesh.claims import Use, claims_of
from kgctl.mesh.dialability import is_dialable, is_dialable_from_elsewhere
from kgctl.mesh.overlap import nested
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kgctl.mesh.claims import Claim
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Segment, Topology


class Share(NamedTuple):
    """The networks that a cluster shares with others; ``cidrs`` are further networks behind it.

    WireGuard accepts packets only from networks that it would send to, so a network that is not
    shared can neither be reached nor reach others. WireGuard IPs are always shared, since nodes
    send from them.
    """

    pods: bool = True
    services: bool = True
    internal_ips: bool = True
    location_ips: bool = False
    cidrs: tuple[Cidr, ...] = ()

    def of_segment(self, segment: Segment) -> Iterator[Cidr]:
        """Yield the shared networks of a segment, in Kilo's order of allowed IPs."""
        for node in segment.nodes:
            if self.pods and node.subnet is not None:
                yield node.subnet
            if self.internal_ips and node.internal_ip is not None:
                yield single(node.internal_ip.address)
        yield single(segment.wireguard_ip)
        if self.location_ips:
            yield from segment.allowed_location_ips

    def of_cluster(self, service_cidrs: Iterable[Cidr]) -> Iterator[Cidr]:
        """Yield the shared networks of no particular segment, which any node can reach."""
        if self.services:
            yield from service_cidrs
        yield from self.cidrs


EVERYTHING = Share()
"""The default."""


class Layout(NamedTuple):
    """The pairs of clusters to link: all with each other, or only with the hubs, if there are any.

    Hubs are linked with each other, too. Packets between spokes pass through the first hub: Kilo's
    agents set it up as a router, since they forward from any peer to any other.
    """

    hubs: tuple[str, ...] = ()

    def linked(self, one: str, other: str) -> bool:
        """Return whether two clusters have Peers for each other's segments."""
        return one != other and (not self.hubs or one in self.hubs or other in self.hubs)

    def relays(self, hub: str, source: str, target: str) -> bool:
        """Return whether ``target`` reaches ``source`` through ``hub``."""
        first = self.hubs[:1] == (hub,)
        return first and source != target and not self.linked(source, target)


FULL_MESH = Layout()
"""All clusters are linked with each other."""


OVERLAP, ENDPOINTS, KEYS, GRANULARITY = "overlap", "endpoints", "keys", "granularity"
"""The checks before linking."""

_PEER = "peer "
_OWN_KEY = "give one of them a key of its own, WireGuard would take the two for one"
_SHOWN = 5  # findings of one kind between two clusters that are listed; the rest is counted


class Member(NamedTuple):
    """A cluster to link with others.

    ``links`` are the names of its peers that stand for segments of other clusters: linking makes
    these, so they are no obstacle. ``dialled`` are segments without a public endpoint for which a
    person configured one. ``granted``, if judged, are the networks of each segment that another
    cluster gets; a segment without an entry is left out.
    """

    name: str
    state: State
    topology: Topology
    service_cidrs: tuple[Cidr, ...] = ()
    links: frozenset[str] = frozenset()
    share: Share = EVERYTHING
    dialled: frozenset[str] = frozenset()
    granted: Mapping[str, tuple[Cidr, ...]] | None = None

    @property
    def gateway(self) -> Segment | None:
        """The segment for networks of no particular segment: the first that can be dialled.

        Such networks are services, and those of other clusters that a hub forwards to.
        """
        segments = self.topology.segments
        return next((one for one in segments if is_dialled(one)), next(iter(segments), None))

    def networks_of(self, segment: Segment) -> tuple[Cidr, ...]:
        """Return the networks of a segment that others get, in Kilo's order of allowed IPs."""
        if self.granted is not None:
            return self.granted.get(segment.name, ())
        return tuple(self.share.of_segment(segment))

    def leaves_out(self, segment: Segment) -> bool:
        """Return whether a segment is left out of what others get."""
        return self.granted is not None and segment.name not in self.granted

    def shared(self) -> Iterator[Cidr]:
        """Yield all networks of the cluster that others get."""
        for segment in self.topology.segments:
            yield from self.networks_of(segment)
        yield from self.share.of_cluster(self.service_cidrs)


class Effort(IntEnum):
    """The effort to change a kind of network: of two that clash, the lower one should change."""

    PEER = 0
    SHARED = 1
    LOCATION_IPS = 2
    WIREGUARD = 3
    INTERNAL_IP = 4
    SERVICES = 5
    PODS = 6


class Concession(NamedTuple):
    """The one of two clashing networks that is easier to change: its kind and its owner.

    ``owner`` is ``node NAME`` or ``peer NAME``, printable, or empty if the cluster owns it.
    """

    effort: Effort
    owner: str
    member: str

    @property
    def name(self) -> str:
        """The name of the owning node or peer."""
        return self.owner.partition(" ")[2]


class Obstacle(NamedTuple):
    """Something that prevents linking: the failed check, and a description.

    Of two clashing networks, ``concession`` is the one to change; ``kgctl.diagnosis.finding``
    describes how.
    """

    check: str
    text: str
    concession: Concession | None = None


class Conflict(NamedTuple):
    """A conflict between two clusters, in words, and the network to change, if it is about two."""

    sentence: str
    concession: Concession | None = None


_EFFORTS = {
    Use.WIREGUARD: Effort.WIREGUARD,
    Use.SERVICES: Effort.SERVICES,
    Use.LOCATION_IPS: Effort.LOCATION_IPS,
    Use.PODS: Effort.PODS,
    Use.PEER: Effort.PEER,
    Use.INTERNAL_IP: Effort.INTERNAL_IP,
}


class _Claim(NamedTuple):
    """A network of a member: it is ``what`` of ``owner``."""

    network: Cidr
    member: str
    effort: Effort
    what: str
    owner: str
    shared: bool
    machine: PublicKey | None = None

    def __str__(self) -> str:
        return f"{self.what}{self.owner} of {self.member}"


def obstacles(members: Sequence[Member], layout: Layout = FULL_MESH) -> list[Obstacle]:
    """Return all obstacles to linking the members, check by check."""
    return [
        *(Obstacle(OVERLAP, *one) for one in overlaps(members)),
        *(Obstacle(ENDPOINTS, text) for text in _never_meeting(members, layout)),
        *(Obstacle(KEYS, f"{one.sentence}: {_OWN_KEY}") for one in key_collisions(members)),
        *(Obstacle(GRANULARITY, text) for text in _mixed_granularities(members)),
    ]


def is_dialled(segment: Segment) -> bool:
    """Return whether other networks can dial a segment, at a public address or a DNS name."""
    return is_dialable_from_elsewhere(segment.leader.endpoint)


def is_written(endpoint: Endpoint | None, *, private: bool) -> bool:
    """Return whether to write an endpoint into the Peers of other clusters; False for None.

    They need an endpoint that they can dial. ``private`` means that they share a private network,
    so they can dial private addresses as well. No other machine can dial a loopback address.
    """
    return is_dialable_from_elsewhere(endpoint) or (private and is_dialable(endpoint))


# --- overlaps ---


def overlaps(members: Sequence[Member]) -> Iterator[Conflict]:
    """Yield the overlapping networks of two members, if at least one of the two is shared."""
    claims = [claim for member in members for claim in _claims(member)]
    found: dict[tuple[str, str], list[Conflict]] = {}
    for claim, around in nested(claims, lambda one: one.network):
        for other in around:
            # an outside machine that is a peer of both clusters is one owner
            one_machine = claim.machine is not None and claim.machine == other.machine
            met = other.member != claim.member and (other.shared or claim.shared)
            if met and not one_machine:
                pair = (min(other.member, claim.member), max(other.member, claim.member))
                found.setdefault(pair, []).append(_overlap(claim, other))
    for (first, second), conflicts in sorted(found.items()):
        yield from conflicts[:_SHOWN]
        more = len(conflicts) - _SHOWN
        if more > 0:
            yield Conflict(f"{first} and {second} have {more} more networks that overlap")


def _overlap(inner: _Claim, outer: _Claim) -> Conflict:
    """Return the conflict of two networks, with the one that is easier to change."""
    same = inner.network == outer.network
    relation = "is also" if same else f"lies in {outer.network},"
    easier = min(inner, outer, key=lambda one: one.effort)
    return Conflict(
        f"{inner.network}, {inner}, {relation} {outer}",
        Concession(easier.effort, easier.owner, easier.member),
    )


def claimed_by(cidr: Cidr, members: Iterable[Member]) -> str | None:
    """Describe a network of the members that intersects ``cidr``, or return None."""
    for member in members:
        for claim in _claims(member):
            if claim.network.intersects(cidr):
                return f"{claim.network}, {claim}"
    return None


def _claims(member: Member) -> list[_Claim]:
    """Return every network of a member once, with its first owner."""
    claims: dict[Cidr, _Claim] = {}
    for claim in _networks(member):
        claims.setdefault(claim.network, claim)
    return list(claims.values())


def _networks(member: Member) -> Iterator[_Claim]:
    """Yield the networks of a member, with their owners and whether they are shared."""
    name = member.name
    for cidr in member.share.cidrs:
        yield _Claim(cidr.masked(), name, Effort.SHARED, "a shared network", "", True)
    peers = {one.name: one for one in member.state.peers if one.name not in member.links}
    for claim in claims_of(member.state, member.service_cidrs):
        effort = _EFFORTS.get(claim.use)
        shared = _is_shared(claim, member)
        if effort is None or shared is None or (claim.use is Use.PEER and claim.name not in peers):
            continue
        noun = "peer" if claim.use is Use.PEER else "node"
        owner = f"{noun} {printable(claim.name)}" if claim.name else ""
        key = peers[claim.name].public_key if claim.use is Use.PEER else None
        what = claim.words.replace("a service", "the service").removesuffix(noun)
        yield _Claim(claim.network.masked(), name, effort, what, owner, shared, key)


def _is_shared(claim: Claim, member: Member) -> bool | None:
    """Return whether a member shares a network that it claims; None if it does not count."""
    share = member.share
    if claim.use is Use.LOCATION_IPS:
        return True if share.location_ips else None
    if claim.use is Use.WIREGUARD and claim.network != member.topology.subnet.masked():
        return None
    return {
        Use.PODS: share.pods,
        Use.INTERNAL_IP: share.internal_ips,
        Use.SERVICES: share.services,
    }.get(claim.use, True)


# --- endpoints, keys, granularities ---


def _never_meeting(members: Sequence[Member], layout: Layout) -> Iterator[str]:
    hidden = {
        member.name: [
            one
            for one in member.topology.segments
            if not is_dialled(one) and one.name not in member.dialled
        ]
        for member in members
    }
    for first, second in combinations(hidden, 2):
        ours, theirs = hidden[first], hidden[second]
        if ours and theirs and layout.linked(first, second):
            yield (
                f"{_some(ours)} of {first} and {_some(theirs)} of {second} have no public "
                "endpoint, so neither can dial the other: give one side a public address with "
                "the annotation kilo.squat.ai/force-endpoint"
            )


def _some(segments: Sequence[Segment]) -> str:
    more = f" and {len(segments) - 1} more" if len(segments) > 1 else ""
    return f"{printable(segments[0].name)}{more}"


def key_collisions(members: Sequence[Member]) -> Iterator[Conflict]:
    """Yield the machines of two members that have the same key."""
    owners: dict[PublicKey, tuple[str, str]] = {}
    for member in members:
        for key, owner in keys_of(member):
            name, before = owners.setdefault(key, (member.name, owner))
            # links carry segments only: an outside machine may be a peer of both clusters
            outside = owner.startswith(_PEER) and before.startswith(_PEER)
            if name != member.name and not outside:
                yield Conflict(f"{owner} of {member.name} has the public key of {before} of {name}")


def keys_of(member: Member) -> Iterator[tuple[PublicKey, str]]:
    """Yield the public keys of a cluster's machines except links, with the owner in words."""
    for node in member.state.nodes:
        if node.key is not None:
            yield node.key, f"node {printable(node.name)}"
    for peer in member.state.peers:
        if peer.public_key is not None and peer.name not in member.links:
            yield peer.public_key, f"{_PEER}{printable(peer.name)}"


def granularities(member: Member) -> dict[str, str]:
    """Return the granularities of a cluster's nodes, each with the last node that has it."""
    return {node.granularity: node.name for node in member.state.nodes if node.granularity}


def _mixed_granularities(members: Sequence[Member]) -> Iterator[str]:
    for member in members:
        said = granularities(member)
        if len(said) > 1:
            each = ", ".join(f"{printable(name)} {what}" for what, name in sorted(said.items()))
            yield (
                f"the nodes of {member.name} disagree about the granularity ({each}), so they "
                "build different networks: run all agents with the same one (kg --mesh-granularity)"
            )
