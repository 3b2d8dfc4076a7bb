"""Which objects linked clusters are to hold, and what has to be done for that."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from kgctl.link.adoption import Terms, adoptions, placed
from kgctl.link.clusters import read_clusters, refuse_one_twice
from kgctl.link.foreign_links import refuse_other_links, tell_made_by_hand
from kgctl.link.grants import Granting, frozen_peers
from kgctl.link.keys import LinkKeys, link_keys, secrets_to_remove
from kgctl.link.mirror_steps import in_order
from kgctl.link.peers import (
    link_name,
    linked_source,
    peer_steps,
    relayed_networks,
    slug,
    wanted_peers,
)
from kgctl.link.service_mirrors import MirrorPlan, ServiceMirrors
from kgctl.link.service_networks import ServiceNetworksTold
from kgctl.link.steps import ADD, CHANGE, LinkError, Plan
from kgctl.mesh.linking import ENDPOINTS, claimed_by, is_dialled, obstacles
from kgctl.mesh.text import printable
from kgctl.reporter import LogReporter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kgctl.link.claim_policy import Grants
    from kgctl.link.clusters import ClusterState
    from kgctl.link.spec import LinkSpec
    from kgctl.link.steps import Object
    from kgctl.mesh.linking import Member, Obstacle
    from kgctl.reporter import Reporter


class ObstacleError(LinkError):
    """Something stands against linking that is not allowed: ``checks`` are those that failed."""

    def __init__(self, checks: Sequence[str]) -> None:
        super().__init__(f"not linked, nothing was changed: {', '.join(checks)} stand against it")
        self.checks = tuple(checks)


class Wanted(NamedTuple):
    """What the clusters are to hold: keys, mirrored services, and what each gets of the others."""

    keys: LinkKeys
    mirrors: MirrorPlan
    granting: Granting
    views: Mapping[str, Grants]


def plan_links(spec: LinkSpec, reporter: Reporter | None = None) -> Plan:
    """Read clusters, and return what links them; nothing is changed.

    Args:
        spec: the clusters, and how they are linked.
        reporter: gets what is found and what is left out. Default: the log ``kgctl``.

    Raises:
        kgctl.LinkError: something stands against it, which the reporter was told.
        kgctl.InputError: the spec is wrong.
        kgctl.KgctlError: a cluster cannot be read.
    """
    checked = _Checked(spec, reporter or LogReporter())
    return plan_of(checked.states, spec, checked.wanted(prune=spec.prune))


def plan_unlink(spec: LinkSpec, reporter: Reporter | None = None) -> Plan:
    """Read clusters, and return what removes the links between them; nothing is changed.

    Links that kgctl did not make stay; the reporter is told which.

    Args:
        spec: the clusters.
        reporter: gets what is found. Default: the log ``kgctl``.

    Raises:
        kgctl.KgctlError: a cluster cannot be read.
    """
    reporter = reporter or LogReporter()
    kept = secrets_to_remove(spec)
    mirrored = ServiceMirrors(spec, reporter).unlinked()
    objects = {one.name: one.source.read() for one in spec.clusters}
    refuse_one_twice(list(objects.items()))
    tell_made_by_hand(objects, reporter)
    found = []
    for one in spec.clusters:
        steps = peer_steps(objects[one.name].peers, {}, spec.others(one.name), prune=True)
        found.append((one, [*steps, *mirrored.get(one.name, ()), *kept.get(one.name, ())]))
    return Plan(found)


def wanted_objects(spec: LinkSpec, reporter: Reporter | None = None) -> dict[str, list[Object]]:
    """Read clusters, and return what each is to hold to be linked: objects, by its name.

    Args:
        spec: the clusters, and how they are linked.
        reporter: gets what is found and what is left out. Default: the log ``kgctl``.

    Raises:
        kgctl.LinkError: something stands against it, which the reporter was told; or a preshared
            key has to be generated, and kept in the clusters, first.
        kgctl.KgctlError: a cluster cannot be read.
    """
    checked = _Checked(spec, reporter or LogReporter())
    wanted = checked.wanted(prune=False)
    missing = [
        name
        for name, steps in wanted.keys.steps.items()
        if any(step.action in (ADD, CHANGE) for step in steps)
    ]
    if missing:
        raise LinkError(
            f"{', '.join(sorted(missing))} lack preshared keys that are to be generated: run it "
            "without --directory first, which makes them and keeps them in Secrets"
        )
    found = {}
    for target in checked.states:
        peers = _wanted_peers_of(checked.states, target, spec, wanted)
        others = wanted.mirrors.wanted.get(target.ref.name, {})
        found[target.ref.name] = [
            *(peers[name] for name in sorted(peers)),
            *(others[place] for place in in_order(others)),
        ]
    return found


class _Checked:
    """Clusters that were read and may be linked.

    Raises:
        LinkError: something stands against it.
        KgctlError: one cannot be read.
    """

    def __init__(self, spec: LinkSpec, reporter: Reporter) -> None:
        self._spec = spec
        self._mirrors = ServiceMirrors(spec, reporter)
        self.states = ServiceNetworksTold(spec, reporter).complete(read_clusters(spec))
        if spec.from_file:
            _report_unnamed(self.states, reporter)
        found = obstacles_between(self.states, spec)
        report_obstacles(found, spec, reporter)
        refused = sorted({one.check for one in found if one.check not in spec.allowed})
        if refused:
            raise ObstacleError(refused)
        refuse_other_links(self.states, spec, reporter)
        self._granting = Granting(spec, reporter)

    def wanted(self, *, prune: bool) -> Wanted:
        """Return what they are to hold.

        Raises:
            KgctlError: a key or a service cannot be had.
        """
        views = self._granting.judge(self.states)
        keys = link_keys(self._spec)
        return Wanted(keys, self._mirrors.find(views, prune=prune), self._granting, views)


def obstacles_between(states: Sequence[ClusterState], spec: LinkSpec) -> list[Obstacle]:
    """Return what stands against linking the clusters of a spec, allowed or not."""
    return obstacles([state.member for state in states], spec.layout)


def report_obstacles(found: Sequence[Obstacle], spec: LinkSpec, reporter: Reporter) -> None:
    """Report what stands against linking."""
    for one in found:
        allowed = "allowed: " if one.check in spec.allowed else ""
        reporter.warn(f"{allowed}{one.check}: {one.text}")


def _report_unnamed(states: Sequence[ClusterState], reporter: Reporter) -> None:
    """Report the links to clusters that a file does not name: they stay."""
    named = {slug(state.member.name) for state in states}
    for state in states:
        links = {linked_source(peer) for peer in state.objects.peers} - {None}
        for source in sorted(str(one) for one in links - named):
            name = printable(state.member.name)
            reporter.inform(
                f"{name} has links to {printable(source)}, which the file does not name; they stay "
                f"until: kgctl unlink {name} {printable(source)}"
            )


def plan_of(states: Sequence[ClusterState], spec: LinkSpec, wanted: Wanted) -> Plan:
    """Return what makes clusters hold what is wanted.

    Raises:
        ForeignPeerError: a Peer that is no link has the name of one.
    """
    found = []
    for target in states:
        name = target.ref.name
        granted = wanted.views[name]
        taken = [one.peer.name for one in target.links if not one.is_kept and spec.adopt]
        steps = peer_steps(
            target.objects.peers,
            _wanted_peers_of(states, target, spec, wanted),
            spec.others(name),
            prune=spec.prune,
            taken=taken,
            frozen=frozen_peers(target, granted),
            narrowed=partial(wanted.granting.narrowed, target, granted),
        )
        keys, mirrors = wanted.keys.steps, wanted.mirrors.steps
        found.append((target.ref, [*keys.get(name, ()), *steps, *mirrors.get(name, ())]))
    return Plan(found)


def _wanted_peers_of(
    states: Sequence[ClusterState], target: ClusterState, spec: LinkSpec, wanted: Wanted
) -> dict[str, Object]:
    """Return the Peers that the cluster ``target`` is to hold, by their names there."""
    taken = adoptions(target.links) if spec.adopt else ()
    links = _wanted_links(target, wanted.views[target.ref.name].members, spec, wanted.keys)
    return placed(links, target.objects.peers, taken, _terms(states, spec))


def _terms(states: Sequence[ClusterState], spec: LinkSpec) -> Terms:
    """Return what Peers that were made by hand keep."""
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
