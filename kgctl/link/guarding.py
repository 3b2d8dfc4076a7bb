"""What a cluster needs itself, or has in use: nobody that it is linked with gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.cidr import single
from kgctl.mesh.claims import Use, claims_of
from kgctl.mesh.guards import Guard, Reason
from kgctl.mesh.linking import is_written
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
