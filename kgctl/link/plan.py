"""Planning of links: the objects that linked clusters need, and the steps to get there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from kgctl.diagnosis.finding import in_words
from kgctl.link.clusters import read_clusters, refuse_one_twice, unbuilt_clusters
from kgctl.link.foreign_links import (
    Terms,
    adoptions,
    placed,
    refuse_foreign_links,
    report_foreign_links,
)
from kgctl.link.grants import Granting, frozen_peers
from kgctl.link.keys import LinkKeys, link_keys, secrets_to_remove
from kgctl.link.peers import (
    link_name,
    linked_source,
    peer_steps,
    relayed_networks,
    slug,
    wanted_peers,
)
from kgctl.link.service_mirrors import MirrorPlan, ServiceMirrors, in_order
from kgctl.link.service_networks import ServiceNetworkDiscovery
from kgctl.link.steps import ADD, CHANGE, LinkError, Plan
from kgctl.mesh.link_rules import ENDPOINTS, claimed_by, is_dialled, obstacles
from kgctl.mesh.text import printable
from kgctl.reporter import LogReporter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from kgctl.kube.stored import Object
    from kgctl.link.claim_policy import Grants
    from kgctl.link.clusters import ClusterState
    from kgctl.link.spec import LinkSpec
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.link_rules import Member, Obstacle
    from kgctl.reporter import Reporter


class ObstacleError(LinkError):
    """Checks failed that the spec does not allow to fail; ``checks`` are their names."""

    def __init__(self, checks: Sequence[str]) -> None:
        super().__init__(f"not linked, nothing was changed: failed checks: {', '.join(checks)}")
        self.checks = tuple(checks)


class MissingKeysError(LinkError):
    """Preshared keys of ``clusters`` must first be generated and kept in Secrets there."""

    def __init__(self, clusters: Sequence[str]) -> None:
        names = ", ".join(map(printable, clusters))
        super().__init__(f"{names} have no preshared keys yet: link them first to generate these")
        self.clusters = tuple(clusters)


class Wanted(NamedTuple):
    """The wanted state: keys, mirrored services, and what each cluster accepts of the others."""

    keys: LinkKeys
    mirrors: MirrorPlan
    granting: Granting
    views: Mapping[str, Grants]


def plan_links(spec: LinkSpec, reporter: Reporter | None = None) -> Plan:
    """Read the clusters, and return the plan that links them; nothing is changed.

    Args:
        spec: the clusters, and how they are linked.
        reporter: receives findings, and what is left out. Default: the log ``kgctl``.

    Raises:
        kgctl.link.LinkError: a check failed; the reporter got the details.
        kgctl.InputError: the spec is wrong.
        kgctl.KgctlError: a cluster cannot be read.
    """
    checked = _Checked(spec, reporter or LogReporter())
    return plan_of(checked.states, spec, checked.wanted(prune=spec.prune))


def plan_unlink(spec: LinkSpec, reporter: Reporter | None = None) -> Plan:
    """Read the clusters, and return the plan that removes their links; nothing is changed.

    Links that kgctl did not make stay and are reported.

    Args:
        spec: the clusters.
        reporter: receives findings. Default: the log ``kgctl``.

    Raises:
        kgctl.InputError: the spec is wrong.
        kgctl.KgctlError: a cluster cannot be read.
    """
    spec.check()
    reporter = reporter or LogReporter()
    kept = secrets_to_remove(spec)
    mirrored = ServiceMirrors(spec, reporter).unlinked()
    objects = {one.name: one.source.read() for one in spec.clusters}
    refuse_one_twice(list(objects.items()))
    report_foreign_links(objects, reporter)
    found = []
    for one in spec.clusters:
        steps = peer_steps(objects[one.name].peers, {}, spec.others(one.name), prune=True)
        found.append((one, [*steps, *mirrored.get(one.name, ()), *kept.get(one.name, ())]))
    return Plan(found)


def wanted_objects(spec: LinkSpec, reporter: Reporter | None = None) -> dict[str, list[Object]]:
    """Read the clusters, and return the objects that each needs to be linked, by its name.

    Args:
        spec: the clusters, and how they are linked.
        reporter: receives findings, and what is left out. Default: the log ``kgctl``.

    Raises:
        kgctl.link.LinkError: a check failed, and the reporter got the details; or a preshared key
            must first be generated and kept in the clusters.
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
        raise MissingKeysError(sorted(missing))
    found = {}
    terms = _terms(checked.states, spec)
    for target in checked.states:
        peers = _wanted_peers_of(checked.states, target, spec, wanted, terms)
        others = wanted.mirrors.wanted.get(target.ref.name, {})
        found[target.ref.name] = [
            *(peers[name] for name in sorted(peers)),
            *(others[place] for place in in_order(others)),
        ]
    return found


class _Checked:
    """Clusters that were read, and passed all checks.

    Raises:
        LinkError: a check failed.
        KgctlError: a cluster cannot be read.
    """

    def __init__(self, spec: LinkSpec, reporter: Reporter) -> None:
        spec.check()
        self._spec = spec
        self._mirrors = ServiceMirrors(spec, reporter)
        self.states = ServiceNetworkDiscovery(spec, reporter).complete(read_clusters(spec))
        if spec.from_file:
            _report_unnamed(self.states, reporter)
        found = obstacles_between(self.states, spec)
        report_obstacles(found, spec, reporter)
        refused = sorted({one.check for one in found if one.check not in spec.allowed})
        if refused:
            raise ObstacleError(refused)
        refuse_foreign_links(self.states, spec, reporter)
        self._granting = Granting(spec, reporter)

    def wanted(self, *, prune: bool) -> Wanted:
        """Return the wanted state of the clusters.

        Raises:
            KgctlError: a key or a service cannot be read.
        """
        views = self._granting.judge(self.states)
        keys = link_keys(self._spec)
        return Wanted(keys, self._mirrors.find(views, prune=prune), self._granting, views)


def obstacles_between(states: Sequence[ClusterState], spec: LinkSpec) -> list[Obstacle]:
    """Return the obstacles to linking the clusters of a spec, allowed or not."""
    return obstacles([state.member for state in states], spec.layout)


def report_obstacles(found: Sequence[Obstacle], spec: LinkSpec, reporter: Reporter) -> None:
    """Report the obstacles to linking."""
    for one in found:
        allowed = "allowed: " if one.check in spec.allowed else ""
        reporter.warn(f"{allowed}{one.check}: {in_words(one)}")


def _report_unnamed(states: Sequence[ClusterState], reporter: Reporter) -> None:
    """Report the links to clusters that the file does not name; they stay."""
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
    """Return the plan that brings the clusters to the wanted state.

    A cluster whose network cannot be built stays as it is, and so do the Peers for it.

    Raises:
        ForeignPeerError: a Peer that kgctl link did not make has the name of a link.
    """
    found = []
    unbuilt, terms = unbuilt_clusters(states), _terms(states, spec)
    for target in states:
        name = target.ref.name
        if name in unbuilt:
            continue
        granted = wanted.views[name]
        others = [one for one in target.links if not one.is_kept and one.source not in unbuilt]
        taken = [one.peer.name for one in others if spec.adopt]
        steps = peer_steps(
            target.objects.peers,
            _wanted_peers_of(states, target, spec, wanted, terms),
            spec.without(unbuilt).others(name),
            prune=spec.prune,
            taken=taken,
            frozen=frozen_peers(target, granted),
            narrowed=partial(wanted.granting.narrowed, target, granted),
        )
        keys, mirrors = wanted.keys.steps, wanted.mirrors.steps
        found.append((target.ref, [*keys.get(name, ()), *steps, *mirrors.get(name, ())]))
    return Plan(found)


def _wanted_peers_of(
    states: Sequence[ClusterState],
    target: ClusterState,
    spec: LinkSpec,
    wanted: Wanted,
    terms: Terms,
) -> dict[str, Object]:
    """Return the wanted Peers of the cluster ``target``, by their names there."""
    taken = adoptions(target.links) if spec.adopt else ()
    members = wanted.views[target.ref.name].members
    links = _wanted_links(states, target, members, spec, wanted.keys)
    return placed(links, target.objects.peers, taken, terms)


def _still_relayed(
    hub: ClusterState, target: ClusterState, sources: Sequence[str]
) -> Iterator[Cidr]:
    """Yield the networks that a hub relays from ``sources``, whose networks cannot be built.

    Those are the networks of the hub's Peers for them that the target sends to the hub already.
    """
    if not sources:
        return
    sent = set(_networks(target, target.peers_for([hub.member.name])))
    yield from (one for one in _networks(hub, hub.peers_for(sources)) if one in sent)


def _networks(state: ClusterState, names: Collection[str]) -> Iterator[Cidr]:
    for peer in state.member.state.peers:
        if peer.name in names:
            yield from (one.masked() for one in peer.allowed_ips)


def _terms(states: Sequence[ClusterState], spec: LinkSpec) -> Terms:
    """Return the terms on which Peers made by hand keep their fields."""
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
    states: Sequence[ClusterState],
    target: ClusterState,
    members: Sequence[Member],
    spec: LinkSpec,
    keys: LinkKeys,
) -> dict[str, Object]:
    """Return the wanted Peers of the cluster ``target``, by the names of the links."""
    wanted: dict[str, Object] = {}
    name = target.member.name
    unbuilt = unbuilt_clusters(states)
    known = [member for member in members if member.name not in unbuilt]
    for source in known:
        if spec.layout.linked(name, source.name):
            relayed = relayed_networks(source, name, known, spec.layout)
            hub = next(state for state in states if state.member.name == source.name)
            stays = [one for one in unbuilt if spec.layout.relays(source.name, one, name)]
            wanted |= wanted_peers(
                source,
                private_endpoints=ENDPOINTS in spec.allowed,
                relayed=(*relayed, *_still_relayed(hub, target, stays)),
                preshared_key=keys.keys.get(frozenset((name, source.name))),
            )
    return wanted
