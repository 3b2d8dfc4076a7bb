"""The Peers that each of the clusters is to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.link.clusters import unbuilt_clusters
from kgctl.link.plan import Object, link_name, relayed_networks, slug, wanted_peers
from kgctl.mesh.linking import ENDPOINTS, claimed_by, is_dialled

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from kgctl.cli.link.clusters import Read
    from kgctl.cli.link.keys import KeyRing
    from kgctl.cli.link.task import Task
    from kgctl.link.adoption import Terms
    from kgctl.link.granting import Grants
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.linking import Member


def wanted_peers_of(
    reads: Sequence[Read], target: Read, found: Grants, task: Task, ring: KeyRing
) -> dict[str, Object]:
    """Return the Peers that the cluster ``target`` is to hold, by their names there.

    ``found`` is what it gets of the others.
    """
    from kgctl.link.adoption import adoptions, placed

    taken = adoptions(target.links) if task.adopt else ()
    wanted = _wanted_links(reads, target, found.members, task, ring)
    return placed(wanted, target.objects.peers, taken, _terms(reads, task))


def _still_relayed(hub: Read, target: Read, sources: Sequence[str]) -> Iterator[Cidr]:
    """Yield the networks of clusters, of which nothing new is known, that a hub leads to.

    Those are what the hub's Peers have for them, as far as the target sends it to the hub already.
    """
    if not sources:
        return
    sent = set(_networks(target, target.peers_for([hub.member.name])))
    yield from (one for one in _networks(hub, hub.peers_for(sources)) if one in sent)


def _networks(read: Read, names: Collection[str]) -> Iterator[Cidr]:
    for peer in read.member.state.peers:
        if peer.name in names:
            yield from (one.masked() for one in peer.allowed_ips)


def _terms(reads: Sequence[Read], task: Task) -> Terms:
    """Return what Peers that were made by hand keep."""
    from kgctl.link.adoption import Terms

    members = [read.member for read in reads]
    undialled = {
        link_name(member.name, segment)
        for member in members
        for segment in member.topology.segments
        if not is_dialled(segment)
    }
    settled = {
        slug(member.name)
        for member in members
        if member.name in task.service_cidrs or not member.share.services
    }
    return Terms(undialled, lambda network: claimed_by(network, members) is None, settled)


def _wanted_links(
    reads: Sequence[Read], target: Read, members: Sequence[Member], task: Task, ring: KeyRing
) -> dict[str, Object]:
    """Return the Peers that the cluster ``target`` is to hold, by the names of the links."""
    wanted: dict[str, Object] = {}
    name = target.member.name
    unbuilt = unbuilt_clusters(reads)
    known = [member for member in members if member.name not in unbuilt]
    for source in known:
        if task.layout.linked(name, source.name):
            relayed = relayed_networks(source, name, known, task.layout)
            hub = next(read for read in reads if read.member.name == source.name)
            stays = [one for one in unbuilt if task.layout.relays(source.name, one, name)]
            wanted |= wanted_peers(
                source,
                private_endpoints=ENDPOINTS in task.allowed,
                relayed=(*relayed, *_still_relayed(hub, target, stays)),
                preshared_key=ring.keys.get(frozenset((name, source.name))),
            )
    return wanted
