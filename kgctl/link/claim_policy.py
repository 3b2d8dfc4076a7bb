"""The policy of claims for linked clusters: which networks a cluster accepts from the others.

In a cluster that runs Kilo, every agent may write the annotations of every Node, so one
compromised node can forge the claims of its whole cluster. The claims are therefore judged for the
cluster that receives them, where they become routes and allowed IPs of all nodes. Besides the
networks that nobody may claim, the policy guards the endpoints that the receiving nodes dial,
since packets to these carry the tunnel, and, where nobody reviews the plan, every network that is
in use there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.link.peers import link_name, link_prefix
from kgctl.link.rivals import Narrowing, Offer, dialled, in_use, settled
from kgctl.mesh.claims import Claim, Use, claims_of_segment, claims_to_locations
from kgctl.mesh.granted import judged
from kgctl.mesh.guards import Guards, Reason
from kgctl.mesh.link_rules import ENDPOINTS, GRANULARITY, KEYS, OVERLAP, granularities, keys_of
from kgctl.mesh.policy import Limits, Policy, Refusal
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.link_rules import Member
    from kgctl.mesh.topology import Segment

_BY_ANNOTATION = (Use.INTERNAL_IP, Use.LOCATION_IPS)


class Held(NamedTuple):
    """The links that a cluster has: networks by the link's name, and links by public key."""

    networks: Mapping[str, Collection[Cidr]] = {}
    keys: Mapping[str, str] = {}


class Terms(NamedTuple):
    """The terms on which clusters accept the claims of others.

    ``limits`` are the limits for a cluster's claims, by its name. ``allowed`` are the checks that
    may fail. Where nobody reviews the plan, ``is_confirmed`` returns for a target, a source, the
    name of a link and a network whether a person agreed to it before; else it is None.
    """

    limits: Mapping[str, Limits] = {}
    allowed: Collection[str] = ()
    is_confirmed: Callable[[str, str, str, Cidr], bool] | None = None

    @property
    def is_unattended(self) -> bool:
        """Whether nobody reviews the plan."""
        return self.is_confirmed is not None

    def refuses(self, check: str) -> bool:
        """Return whether to leave out what fails a check: unattended, and not allowed to fail."""
        return self.is_unattended and check not in self.allowed


class LeftOut(NamedTuple):
    """A segment whose Peers in another cluster stay as they are, and the reason."""

    source: str
    segment: str
    link: str
    why: str

    def __str__(self) -> str:
        where = f"{printable(self.segment)} of {printable(self.source)}"
        return f"left out: {where}, whose Peers stay as they are: {self.why}"


class Grants(NamedTuple):
    """What one cluster accepts of the others: ``members``, reduced to what it accepts.

    ``refusals`` are grouped by the name of the cluster that made the claims.
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
        """Return the networks of segments that it accepts from the cluster ``source``."""
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
    """Return what ``target`` accepts of the claims of the other clusters.

    The cost is that of sorting all claims.
    """
    return _Judge(target, others, terms, held or Held()).grants()


class _Judge:
    """Judges the claims of the other clusters for one cluster."""

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
        """Return a cluster reduced to what the target accepts."""
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
        """Return the parts of a network from a node's annotation that a person agreed to."""
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
        """Leave out segments whose key another machine has: agents identify Peers by keys.

        ``kgctl.mesh.owners`` does not decide here, since it prefers leaders to peers. Here every
        machine of the target, including its peers and nodes that are not ready, goes before any
        segment of another cluster: a node elsewhere must not replace it. A segment that is left
        out for another reason does not block the key for an honest one.
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
    """Yield the claims of a segment that its cluster shares, in Kilo's order of allowed IPs."""
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
    """Return why a whole segment is left out: its pods or WireGuard IP are in use elsewhere."""
    for one in refused:
        if one.reason is Reason.IN_USE and one.claim.use in (Use.PODS, Use.WIREGUARD):
            return f"{one.claim.network.masked()}: {one.why}"
    return ""


def _as_expected(refusal: Refusal, segment: Segment) -> Refusal:
    """Return a refusal, marked as expected where it concerns the claimer's own endpoint."""
    if refusal.reason is not Reason.ENDPOINT or refusal.claim.use is not Use.INTERNAL_IP:
        return refusal
    address = refusal.claim.network.address
    for node in segment.nodes:
        endpoint = node.endpoint
        if node.name == refusal.claim.name and endpoint and endpoint.address == address:
            return refusal._replace(is_expected=True)
    return refusal


def _keeps_its_network(source: Member, held: Held) -> bool:
    """Return whether the WireGuard IPs of a cluster are still in the same network.

    The first node by name decides on that network for all nodes, and Kilo hands out its first
    addresses: in a network that a hostile node chose, one of these may be somebody's gateway.
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
