"""The Peers that each of the clusters is to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.link.plan import Object, link_name, relayed_networks, slug, wanted_peers
from kgctl.mesh.linking import ENDPOINTS, claimed_by, is_dialled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.cli.link.clusters import ClusterState
    from kgctl.cli.link.keys import LinkKeys
    from kgctl.cli.link.spec import LinkSpec
    from kgctl.link.adoption import Terms
    from kgctl.link.granting import Grants
    from kgctl.mesh.linking import Member


def wanted_peers_of(
    states: Sequence[ClusterState],
    target: ClusterState,
    found: Grants,
    spec: LinkSpec,
    keys: LinkKeys,
) -> dict[str, Object]:
    """Return the Peers that the cluster ``target`` is to hold, by their names there.

    ``found`` is what it gets of the others.
    """
    from kgctl.link.adoption import adoptions, placed

    taken = adoptions(target.links) if spec.adopt else ()
    wanted = _wanted_links(target, found.members, spec, keys)
    return placed(wanted, target.objects.peers, taken, _terms(states, spec))


def _terms(states: Sequence[ClusterState], spec: LinkSpec) -> Terms:
    """Return what Peers that were made by hand keep."""
    from kgctl.link.adoption import Terms

    members = [state.member for state in states]
    undialled = {
        link_name(member.name, segment)
        for member in members
        for segment in member.topology.segments
        if not is_dialled(segment)
    }
    settled = {
        slug(member.name)
        for member in members
        if member.name in spec.service_cidrs or not member.share.services
    }
    return Terms(undialled, lambda network: claimed_by(network, members) is None, settled)


def _wanted_links(
    target: ClusterState, members: Sequence[Member], spec: LinkSpec, keys: LinkKeys
) -> dict[str, Object]:
    """Return the Peers that the cluster ``target`` is to hold, by the names of the links."""
    wanted: dict[str, Object] = {}
    name = target.member.name
    for source in members:
        if spec.layout.linked(name, source.name):
            wanted |= wanted_peers(
                source,
                private_endpoints=ENDPOINTS in spec.allowed,
                relayed=relayed_networks(source, name, members, spec.layout),
                preshared_key=keys.keys.get(frozenset((name, source.name))),
            )
    return wanted
