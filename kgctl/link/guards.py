"""What a cluster needs itself or has in use: no link leads there, and Peers are narrowed by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.cidr import single
from kgctl.mesh.claims import Claim, Use, claims_of
from kgctl.mesh.guards import Guard, Reason
from kgctl.mesh.linking import is_written
from kgctl.mesh.policy import ANYBODY, MOST, Limits, Policy
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.linking import Member


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
