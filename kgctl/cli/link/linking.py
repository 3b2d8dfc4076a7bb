"""Linking: check, plan, ask, and carry out."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.arguments import UsageError
from kgctl.cli.link.carrying import LinkError, Plan, keep, settle
from kgctl.cli.link.clusters import read_clusters, refuse_one_twice
from kgctl.cli.link.following import SLICES, WATCH_SECONDS, follow
from kgctl.cli.link.granted import Granting, frozen_peers
from kgctl.cli.link.keys import NO_KEYS, LinkKeys, link_keys, secrets_to_remove
from kgctl.cli.link.madebyhand import refuse_other_links, tell_made_by_hand
from kgctl.cli.link.mirrors import NO_MIRRORS, MirrorPlan, ServiceMirrors
from kgctl.cli.link.options import LinkOptions, as_judged
from kgctl.cli.link.servicing import ServiceNetworksTold
from kgctl.cli.link.steady import Steady
from kgctl.cli.link.wanted import wanted_peers_of
from kgctl.cli.output import Printer, answer
from kgctl.link.mirroring import MirrorError
from kgctl.link.mirrorplan import in_order
from kgctl.link.plan import (
    ADD,
    CHANGE,
    Step,
    linked_source,
    plan,
    slug,
)
from kgctl.mesh.linking import Obstacle, obstacles
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from kgctl.cli.link.clusters import ClusterRef, ClusterState
    from kgctl.cli.link.spec import LinkSpec
    from kgctl.cli.shared import Shared
    from kgctl.link.granting import Grants
    from kgctl.reporter import Reporter


def link_clusters(shared: Shared, options: LinkOptions) -> None:
    """Link the clusters of a options, once, or for as long as it is not interrupted.

    Raises:
        LinkError: something stands against it, or it was carried out in part.
        KgctlError: a cluster cannot be read or changed.
    """
    if options.watch and not options.yes:
        raise UsageError(
            "--watch changes clusters whenever there is something to change: add --yes"
        )
    if options.watch and (options.directory is not None or options.dry_run or options.rotate):
        raise UsageError(
            "--watch does not go with --directory, --dry-run or --rotate-preshared-keys"
        )
    if options.output is not None and options.directory is None:
        raise UsageError(f"-o {options.output} writes a file for each cluster: add --directory DIR")
    spec, reporter = as_judged(options.spec(shared), shared), Printer()
    mirrors = ServiceMirrors(spec, reporter)
    if options.watch:
        follow(spec, _Keeper(spec, mirrors, reporter).look, reporter)
        return
    states = ServiceNetworksTold(spec, reporter).complete(read_clusters(spec))
    if options.file is not None:
        _tell_unnamed(states, reporter)
    found = _obstacles(states, spec)
    _tell(found, spec.allowed, reporter)
    _refuse(found, spec.allowed)
    refuse_other_links(states, spec, reporter)
    granting = Granting(spec, reporter)
    if options.directory is not None:
        _write(
            states,
            granting.judge(states),
            spec,
            mirrors,
            options.directory,
            options.output or "yaml",
        )
        return
    views = granting.judge(states)
    keys, mirrored = link_keys(spec), mirrors.find(views, prune=spec.prune)
    steps = _plan(states, spec, keys, mirrored, _View(granting, views))
    settle(steps, dry_run=options.dry_run, yes=options.yes)


def unlink_clusters(shared: Shared, options: LinkOptions) -> None:
    """Remove the links between the clusters of a options.

    Raises:
        KgctlError: a cluster cannot be read or changed.
    """
    spec, reporter = options.spec(shared), Printer()
    kept = secrets_to_remove(spec)
    mirrored = ServiceMirrors(spec, reporter).unlinked()
    objects = {one.name: one.source.read() for one in spec.clusters}
    refuse_one_twice(list(objects.items()))
    tell_made_by_hand(objects, reporter)
    found = []
    for one in spec.clusters:
        steps = plan(objects[one.name].peers, {}, spec.others(one.name), prune=True)
        found.append((one, [*steps, *mirrored.get(one.name, ()), *kept.get(one.name, ())]))
    settle(found, dry_run=options.dry_run, yes=options.yes)


# --- check and plan ---


def _obstacles(states: Sequence[ClusterState], spec: LinkSpec) -> list[Obstacle]:
    return obstacles([state.member for state in states], spec.layout)


def _tell(found: Sequence[Obstacle], allowed: Iterable[str], reporter: Reporter) -> None:
    """Say what stands against linking."""
    for one in found:
        reporter.warn(f"{'allowed: ' if one.check in allowed else ''}{one.check}: {one.text}")


def _tell_unnamed(states: Sequence[ClusterState], reporter: Reporter) -> None:
    """Say which links there are to clusters that a file does not name: they stay."""
    named = {slug(state.member.name) for state in states}
    for state in states:
        linked = {linked_source(peer) for peer in state.objects.peers} - {None}
        for source in sorted(str(one) for one in linked - named):
            name = printable(state.member.name)
            reporter.inform(
                f"{name} has links to {printable(source)}, which the file does not name; they stay "
                f"until: kgctl unlink {name} {printable(source)}"
            )


def _refuse(found: Sequence[Obstacle], allowed: Iterable[str]) -> None:
    """Make sure that what stands against linking is allowed.

    Raises:
        LinkError: some of it is not.
    """
    refused = sorted({one.check for one in found if one.check not in allowed})
    if refused:
        raise LinkError(
            f"not linked, nothing was changed: mend what is said above, or allow it with "
            f"{' '.join(f'--allow {check}' for check in refused)}"
        )


class _View(NamedTuple):
    """What each cluster gets of the others, and who judged that."""

    granting: Granting
    by_cluster: Mapping[str, Grants]


def _plan(
    states: Sequence[ClusterState], spec: LinkSpec, keys: LinkKeys, mirrors: MirrorPlan, view: _View
) -> Plan:
    found = []
    for target in states:
        name = target.member.name
        granted = view.by_cluster[name]
        taken = [one.peer.name for one in target.links if not one.is_kept and spec.adopt]
        steps = plan(
            target.objects.peers,
            wanted_peers_of(states, target, granted, spec, keys),
            spec.others(name),
            prune=spec.prune,
            taken=taken,
            frozen=frozen_peers(target, granted),
            narrowed=partial(view.granting.narrowed, target, granted),
        )
        found.append(
            (target.ref, [*keys.steps.get(name, ()), *steps, *mirrors.steps.get(name, ())])
        )
    return found


# --- keeping current, and writing files ---


class _Keeper:
    """Keeps links current, a look at a time, and says anew only what is new.

    Nobody looks at its plans: what stands against one segment leaves that one out, and what is new
    and takes a person is not carried along.
    """

    def __init__(self, spec: LinkSpec, mirrors: ServiceMirrors, reporter: Reporter) -> None:
        self._reporter = reporter
        self._spec = spec
        self._mirrors = mirrors
        self._services = ServiceNetworksTold(spec, reporter)
        self._granting = Granting(spec, reporter, unattended=True)
        self._steady = Steady(time.monotonic, reporter)
        self._told: list[Obstacle] = []
        self._keys = NO_KEYS
        self._looked = -WATCH_SECONDS

    def look(self, clusters: Sequence[ClusterRef], kinds: Collection[str]) -> None:
        """Read the clusters, and do what there is to do.

        Nodes say that they live all the time. Where nothing else changed, services and keys are
        not asked for again before ``WATCH_SECONDS`` are over.

        Raises:
            KgctlError: something stands against it, or it was done in part.
        """
        spec, now = self._spec, time.monotonic()
        states = self._services.complete(read_clusters(spec, clusters))
        standing = _obstacles(states, spec)
        if standing != self._told:
            _tell(standing, spec.allowed, self._reporter)
            self._told = standing
        refuse_other_links(states, spec, self._reporter)
        views = self._granting.judge(states)
        if kinds and SLICES not in kinds and now < self._looked + WATCH_SECONDS:
            self._keep(states, self._keys, NO_MIRRORS, views)
            return
        self._looked, amiss = -WATCH_SECONDS, None  # until all of it is done
        try:
            mirrors = self._mirrors.find(views, prune=spec.prune)
        except MirrorError as error:  # which must not keep the links from being current
            mirrors, amiss = NO_MIRRORS, error
        keys = link_keys(spec)
        self._keep(states, keys, mirrors, views)
        self._keys, self._looked = keys._replace(steps={}), now
        if amiss is not None:
            raise amiss

    def _keep(
        self,
        states: Sequence[ClusterState],
        keys: LinkKeys,
        mirrors: MirrorPlan,
        views: Mapping[str, Grants],
    ) -> None:
        found = _plan(states, self._spec, keys, mirrors, _View(self._granting, views))
        keep(self._steady.only(found), self._reporter)


def _writes(step: Step) -> bool:
    return step.action in (ADD, CHANGE)


def _write(
    states: Sequence[ClusterState],
    views: Mapping[str, Grants],
    spec: LinkSpec,
    mirrors: ServiceMirrors,
    directory: Path,
    form: str,
) -> None:
    """Write what each cluster is to hold to a file of its own, as YAML or JSON."""
    from kgctl.cli.secret import warn_of_others
    from kgctl.files.writing import make_directory, write_private
    from kgctl.kube.codec.structured import to_json, to_yaml

    keys, mirrored = link_keys(spec), mirrors.find(views, prune=False)
    missing = [name for name, steps in keys.steps.items() if any(map(_writes, steps))]
    if missing:
        raise LinkError(
            f"{', '.join(sorted(missing))} lack preshared keys that are to be generated: run it "
            "without --directory first, which makes them and keeps them in Secrets"
        )
    make_directory(directory)
    warn_of_others(directory / "FILE")
    for target in states:
        peers = wanted_peers_of(states, target, views[target.member.name], spec, keys)
        others = mirrored.wanted.get(target.member.name, {})
        objects = [
            *(peers[name] for name in sorted(peers)),
            *(others[one] for one in in_order(others)),
        ]
        text = "---\n".join(map(to_yaml, objects))
        if form == "json":
            text = to_json({"apiVersion": "v1", "kind": "List", "items": objects})
        path = directory / f"{slug(target.member.name)}.{form}"
        write_private(path, text.encode())
        answer(f"{path}\n")
