"""What a cluster gets of the claims of those it is linked with: the policy of claims, per cluster.

In each cluster that runs Kilo every agent may write the annotations of every Node. So what a
cluster claims may come from one node that was taken over, and it is judged for the cluster that is
to hold it: there it becomes routes and allowed IPs of all nodes. Besides what nobody gets, these
are guarded: the endpoints that the nodes of that cluster dial, for a packet to one carries the
tunnel; and where nobody looks at the plan, all that is in use there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.link.peers import link_name, link_prefix
from kgctl.link.rivals import Narrowing, Offer, dialled, in_use, settled
from kgctl.mesh.claims import Claim, Use, claims_of_segment, claims_to_locations
from kgctl.mesh.guards import Guards, Reason
from kgctl.mesh.limiting import judged
from kgctl.mesh.linking import ENDPOINTS, GRANULARITY, KEYS, OVERLAP, granularities, keys_of
from kgctl.mesh.policy import Limits, Policy, Refusal
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.linking import Member
    from kgctl.mesh.topology import Segment

_BY_ANNOTATION = (Use.INTERNAL_IP, Use.LOCATION_IPS)


class Held(NamedTuple):
    """What a cluster holds of links: networks by the name of the link, and links by public key."""

    networks: Mapping[str, Collection[Cidr]] = {}
    keys: Mapping[str, str] = {}


class Terms(NamedTuple):
    """On what terms clusters take over what others claim.

    ``limits`` has what is granted of a cluster's claims, by its name. ``allowed`` are checks that
    may fail. Where nobody looks at the plan, ``is_confirmed`` says by the target, the source, the
    name of a link and a network whether a person agreed to it before; else it is None.
    """

    limits: Mapping[str, Limits] = {}
    allowed: Collection[str] = ()
    is_confirmed: Callable[[str, str, str, Cidr], bool] | None = None

    @property
    def is_unattended(self) -> bool:
        """Whether nobody looks at the plan."""
        return self.is_confirmed is not None

    def refuses(self, check: str) -> bool:
        """Tell whether what fails a check is left out, for nobody looks, and nobody allowed it."""
        return self.is_unattended and check not in self.allowed


class LeftOut(NamedTuple):
    """A segment of which another cluster learns nothing new, and why, in words."""

    source: str
    segment: str
    link: str
    why: str

    def __str__(self) -> str:
        where = f"{printable(self.segment)} of {printable(self.source)}"
        return f"left out: {where}, whose Peers stay as they are: {self.why}"


class Grants(NamedTuple):
    """What one cluster gets of the others: as ``members`` it may know them.

    ``refusals`` are by the name of the cluster whose claims they are.
    """

    members: tuple[Member, ...]
    refusals: Mapping[str, Sequence[Refusal]]
    left_out: tuple[LeftOut, ...]
    narrowing: Narrowing

    @property
    def frozen(self) -> frozenset[str]:
        """The names of the links that stay as they are."""
        return frozenset(one.link for one in self.left_out)

    def networks_of(self, source: str) -> list[Cidr]:
        """Return the networks of segments that it gets of one of the others."""
        return [
            cidr
            for member in self.members
            if member.name == source
            for segment in member.topology.segments
            for cidr in member.networks_of(segment)
        ]


def grants(
    target: Member, others: Sequence[Member], terms: Terms, held: Held | None = None
) -> Grants:
    """Return what ``target`` gets of the claims of the other clusters.

    The work is that of sorting all claims.
    """
    return _Judge(target, others, terms, held or Held()).grants()


class _Judge:
    """Judges what the others claim, for one cluster."""

    def __init__(self, target: Member, others: Sequence[Member], terms: Terms, held: Held) -> None:
        self._target, self._others, self._terms, self._held = target, others, terms, held
        self._dialled = list(dialled(target, others, private=ENDPOINTS in terms.allowed))
        taken = list(in_use(target)) if terms.refuses(OVERLAP) else []
        self._in_use = Guards(taken)
        self._guards = [*self._dialled, *taken]
        self._policies: dict[int, Policy] = {}
        self._refusals: dict[str, list[Refusal]] = {one.name: [] for one in others}
        self._left_out: dict[str, LeftOut] = {}

    def grants(self) -> Grants:
        offers = [offer for source in self._others for offer in self._offers(source)]
        across = self._terms.refuses(OVERLAP)
        offers, clashes = settled(offers, self._held.networks, across=across)
        for source, refusal in clashes:
            self._refusals[source].append(refusal)
        self._leave_out_keys()
        granted: dict[str, dict[str, list[Cidr]]] = {one.name: {} for one in self._others}
        for offer in offers:
            granted[offer.source].setdefault(offer.segment, []).extend(offer.parts)
        members = tuple(self._seen(one, granted[one.name]) for one in self._others)
        narrowing = Narrowing(self._terms.limits, self._dialled, self._others)
        return Grants(members, self._refusals, tuple(self._left_out.values()), narrowing)

    def _seen(self, source: Member, granted: Mapping[str, Sequence[Cidr]]) -> Member:
        """Return a cluster as the target may know it."""
        by_segment = {
            segment.name: tuple(granted.get(segment.name, ()))
            for segment in source.topology.segments
            if link_name(source.name, segment) not in self._left_out
        }
        share = source.share._replace(cidrs=self._unused(source.share.cidrs))
        services = self._unused(source.service_cidrs)
        return source._replace(granted=by_segment, share=share, service_cidrs=services)

    def _unused(self, networks: tuple[Cidr, ...]) -> tuple[Cidr, ...]:
        return tuple(one for one in networks if not self._in_use.touches(one))

    # --- the claims of segments ---

    def _policy(self, source: Member) -> Policy:
        limits = self._terms.limits.get(source.name)
        if id(limits) not in self._policies:
            self._policies[id(limits)] = Policy(limits, self._guards)
        return self._policies[id(limits)]

    def _offers(self, source: Member) -> Iterator[Offer]:
        policy = self._policy(source)
        mixed = self._is_mixed(source)
        moved = self._terms.is_unattended and not _keeps_its_network(source, self._held)
        for segment in source.topology.segments:
            link = link_name(source.name, segment)
            claims = list(_shared_claims(source, segment))
            granted, refused = judged(segment, claims, policy)
            refused = [_as_expected(one, segment) for one in refused]
            self._refusals[source.name] += refused
            why = _in_the_way(refused)
            if moved and not any(policy.consents(one) for one in claims if _is_tunnel(one)):
                why = f"its WireGuard IP is {segment.wireguard_ip}, and nobody confirmed that"
            if mixed:
                why = "its nodes disagree about the granularity"
            if why:
                self._leave_out(source, segment, why)
                continue
            for claim, given in zip(claims, granted, strict=True):
                parts = self._confirmed(source.name, link, claim, given, policy)
                yield Offer(source.name, segment.name, link, claim, parts)

    def _confirmed(
        self, source: str, link: str, claim: Claim, parts: tuple[Cidr, ...], policy: Policy
    ) -> tuple[Cidr, ...]:
        """Return what a person agreed to of a network that a node's annotation names."""
        is_confirmed = self._terms.is_confirmed
        if is_confirmed is None or claim.use not in _BY_ANNOTATION or policy.consents(claim):
            return parts
        target = self._target.name
        known = tuple(one for one in parts if is_confirmed(target, source, link, one.masked()))
        if known != parts:
            self._refusals[source].append(Refusal(claim, Reason.UNCONFIRMED))
        return known

    def _is_mixed(self, source: Member) -> bool:
        return self._terms.refuses(GRANULARITY) and len(granularities(source)) > 1

    def _leave_out(self, source: Member, segment: Segment, why: str) -> None:
        link = link_name(source.name, segment)
        self._left_out.setdefault(link, LeftOut(source.name, segment.name, link, why))

    # --- keys ---

    def _leave_out_keys(self) -> None:
        """Leave out segments with a key that another machine has: agents know Peers by keys.

        Who keeps a key is not asked of ``kgctl.mesh.owners``: there leaders go before peers. Here
        all machines of the target go before any segment of another cluster, its peers and what is
        not ready included: they are there already, and a node elsewhere must not replace them.
        And a segment that is left out for something else keeps no key from an honest one.
        """
        if KEYS in self._terms.allowed:
            return
        owners = {}
        if self._terms.is_unattended:
            target = self._target
            where = printable(target.name)
            owners = {key: f"{owner} of {where}" for key, owner in keys_of(target)}
        segments = [(one, segment) for one in self._others for segment in one.topology.segments]
        segments.sort(key=self._is_newcomer)
        for source, segment in segments:
            owner = owners.get(segment.key)
            if owner is not None:
                self._leave_out(source, segment, f"it has the public key of {owner}")
            elif link_name(source.name, segment) not in self._left_out:
                where = f"{printable(segment.name)} of {printable(source.name)}"
                owners[segment.key] = where

    def _is_newcomer(self, one: tuple[Member, Segment]) -> bool:
        source, segment = one
        return self._held.keys.get(str(segment.key)) != link_name(source.name, segment)


def _shared_claims(source: Member, segment: Segment) -> Iterator[Claim]:
    """Yield what a segment claims of what its cluster shares, in Kilo's order of allowed IPs."""
    share = source.share
    left = {Use.PODS: share.pods, Use.INTERNAL_IP: share.internal_ips}
    for claim in claims_of_segment(segment):
        if left.get(claim.use, True):
            yield claim
    if share.location_ips:
        yield from claims_to_locations(segment)


def _is_tunnel(claim: Claim) -> bool:
    return claim.use is Use.WIREGUARD


def _in_the_way(refused: Iterable[Refusal]) -> str:
    """Return why a segment cannot be known at all: what it lives by is in use elsewhere."""
    for one in refused:
        if one.reason is Reason.IN_USE and one.claim.use in (Use.PODS, Use.WIREGUARD):
            return f"{one.claim.network.masked()}: {one.why}"
    return ""


def _as_expected(refusal: Refusal, segment: Segment) -> Refusal:
    """Return a refusal, which says nothing new where it is the claimer's own endpoint."""
    if refusal.reason is not Reason.ENDPOINT or refusal.claim.use is not Use.INTERNAL_IP:
        return refusal
    address = refusal.claim.network.address
    for node in segment.nodes:
        endpoint = node.endpoint
        if node.name == refusal.claim.name and endpoint and endpoint.address == address:
            return refusal._replace(is_expected=True)
    return refusal


def _keeps_its_network(source: Member, held: Held) -> bool:
    """Tell whether the WireGuard IPs of a cluster are in the network where they were.

    The first node by name decides on that network for all, and the first addresses of it are
    handed out: in a network of its choice, one is somebody's gateway.
    """
    own = {node.internal_ip.address for node in source.state.nodes if node.internal_ip}
    prefix = link_prefix(source.name)
    known = [networks for link, networks in held.networks.items() if link.startswith(prefix)]
    addresses = [
        int(one.address)
        for networks in known
        for one in networks
        if not one.host_bits and one.address not in own
    ]
    first = source.topology.subnet.network_value
    most = 2 * (len(source.topology.segments) + len(known))
    return not addresses or any(first <= one <= first + most for one in addresses)
