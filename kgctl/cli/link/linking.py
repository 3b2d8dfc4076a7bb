"""Linking: check, plan, ask, and carry out."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.arguments import UsageError
from kgctl.cli.link.carrying import LinkError, Plan, keep, settle
from kgctl.cli.link.clusters import refuse_one_twice
from kgctl.cli.link.following import SLICES, WATCH_SECONDS, follow
from kgctl.cli.link.granted import Granting, frozen_peers
from kgctl.cli.link.keys import NO_KEYS, KeyRing, secrets_to_remove
from kgctl.cli.link.madebyhand import refuse_other_links, tell_made_by_hand
from kgctl.cli.link.mirrors import NOTHING, Found, Mirrors
from kgctl.cli.link.servicing import ServiceNetworksTold
from kgctl.cli.link.steady import Steady
from kgctl.cli.link.task import Task, Wish, task_of
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

    from kgctl.cli.link.clusters import Named, Read
    from kgctl.cli.shared import Shared
    from kgctl.link.granting import Grants
    from kgctl.reporter import Reporter


def link_clusters(shared: Shared, wish: Wish) -> None:
    """Link the clusters of a wish, once, or for as long as it is not interrupted.

    Raises:
        LinkError: something stands against it, or it was carried out in part.
        KgctlError: a cluster cannot be read or changed.
    """
    if wish.watch and not wish.yes:
        raise UsageError(
            "--watch changes clusters whenever there is something to change: add --yes"
        )
    if wish.watch and (wish.directory is not None or wish.dry_run or wish.rotate):
        raise UsageError(
            "--watch does not go with --directory, --dry-run or --rotate-preshared-keys"
        )
    if wish.output is not None and wish.directory is None:
        raise UsageError(f"-o {wish.output} writes a file for each cluster: add --directory DIR")
    task, reporter = task_of(shared, wish), Printer()
    mirrors = task.mirrors(reporter)
    if wish.watch:
        follow(task, _Keeper(shared, task, mirrors, reporter).look, reporter)
        return
    reads = ServiceNetworksTold(task, reporter).complete(task.read(shared))
    if wish.file is not None:
        _tell_unnamed(reads, reporter)
    found = _obstacles(reads, task)
    _tell(found, task.allowed, reporter)
    _refuse(found, task.allowed)
    refuse_other_links(reads, task, reporter)
    granting = Granting(task, reporter)
    if wish.directory is not None:
        _write(reads, granting.judge(reads), task, mirrors, wish.directory, wish.output or "yaml")
        return
    views = granting.judge(reads)
    ring, mirrored = task.key_ring(), mirrors.find(views, prune=task.prune)
    steps = _plan(reads, task, ring, mirrored, _View(granting, views))
    settle(steps, dry_run=wish.dry_run, yes=wish.yes)


def unlink_clusters(shared: Shared, wish: Wish) -> None:
    """Remove the links between the clusters of a wish.

    Raises:
        KgctlError: a cluster cannot be read or changed.
    """
    task, reporter = task_of(shared, wish), Printer()
    kept = secrets_to_remove(task.keys, task.clusters) if task.keys is not None else {}
    mirrored = task.mirrors(reporter).unlinked()
    objects = {one.name: one.source.read() for one in task.clusters}
    refuse_one_twice(list(objects.items()))
    tell_made_by_hand(objects, reporter)
    found = []
    for one in task.clusters:
        steps = plan(objects[one.name].peers, {}, task.others(one.name), prune=True)
        found.append((one, [*steps, *mirrored.get(one.name, ()), *kept.get(one.name, ())]))
    settle(found, dry_run=wish.dry_run, yes=wish.yes)


# --- check and plan ---


def _obstacles(reads: Sequence[Read], task: Task) -> list[Obstacle]:
    return obstacles([read.member for read in reads], task.layout)


def _tell(found: Sequence[Obstacle], allowed: Iterable[str], reporter: Reporter) -> None:
    """Say what stands against linking."""
    for one in found:
        reporter.warn(f"{'allowed: ' if one.check in allowed else ''}{one.check}: {one.text}")


def _tell_unnamed(reads: Sequence[Read], reporter: Reporter) -> None:
    """Say which links there are to clusters that a file does not name: they stay."""
    named = {slug(read.member.name) for read in reads}
    for read in reads:
        linked = {linked_source(peer) for peer in read.objects.peers} - {None}
        for source in sorted(str(one) for one in linked - named):
            name = printable(read.member.name)
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


def _plan(reads: Sequence[Read], task: Task, ring: KeyRing, mirrors: Found, view: _View) -> Plan:
    found = []
    for target in reads:
        name = target.member.name
        granted = view.by_cluster[name]
        taken = [one.peer.name for one in target.links if not one.is_kept and task.adopt]
        steps = plan(
            target.objects.peers,
            wanted_peers_of(reads, target, granted, task, ring),
            task.others(name),
            prune=task.prune,
            taken=taken,
            frozen=frozen_peers(target, granted),
            narrowed=partial(view.granting.narrowed, target, granted),
        )
        found.append(
            (target.named, [*ring.steps.get(name, ()), *steps, *mirrors.steps.get(name, ())])
        )
    return found


# --- keeping current, and writing files ---


class _Keeper:
    """Keeps links current, a look at a time, and says anew only what is new.

    Nobody looks at its plans: what stands against one segment leaves that one out, and what is new
    and takes a person is not carried along.
    """

    def __init__(self, shared: Shared, task: Task, mirrors: Mirrors, reporter: Reporter) -> None:
        self._reporter = reporter
        self._shared = shared
        self._task = task
        self._mirrors = mirrors
        self._services = ServiceNetworksTold(task, reporter)
        self._granting = Granting(task, reporter, unattended=True)
        self._steady = Steady(time.monotonic, reporter)
        self._told: list[Obstacle] = []
        self._ring = NO_KEYS
        self._looked = -WATCH_SECONDS

    def look(self, clusters: Sequence[Named], kinds: Collection[str]) -> None:
        """Read the clusters, and do what there is to do.

        Nodes say that they live all the time. Where nothing else changed, services and keys are
        not asked for again before ``WATCH_SECONDS`` are over.

        Raises:
            KgctlError: something stands against it, or it was done in part.
        """
        task, now = self._task, time.monotonic()
        reads = self._services.complete(task.read(self._shared, clusters))
        standing = _obstacles(reads, task)
        if standing != self._told:
            _tell(standing, task.allowed, self._reporter)
            self._told = standing
        refuse_other_links(reads, task, self._reporter)
        views = self._granting.judge(reads)
        if kinds and SLICES not in kinds and now < self._looked + WATCH_SECONDS:
            self._keep(reads, self._ring, NOTHING, views)
            return
        self._looked, amiss = -WATCH_SECONDS, None  # until all of it is done
        try:
            mirrors = self._mirrors.find(views, prune=task.prune)
        except MirrorError as error:  # which must not keep the links from being current
            mirrors, amiss = NOTHING, error
        ring = task.key_ring()
        self._keep(reads, ring, mirrors, views)
        self._ring, self._looked = ring._replace(steps={}), now
        if amiss is not None:
            raise amiss

    def _keep(
        self, reads: Sequence[Read], ring: KeyRing, mirrors: Found, views: Mapping[str, Grants]
    ) -> None:
        found = _plan(reads, self._task, ring, mirrors, _View(self._granting, views))
        keep(self._steady.only(found), self._reporter)


def _writes(step: Step) -> bool:
    return step.action in (ADD, CHANGE)


def _write(
    reads: Sequence[Read],
    views: Mapping[str, Grants],
    task: Task,
    mirrors: Mirrors,
    directory: Path,
    form: str,
) -> None:
    """Write what each cluster is to hold to a file of its own, as YAML or JSON."""
    from kgctl.cli.secret import warn_of_others
    from kgctl.files.writing import make_directory, write_private
    from kgctl.kube.codec.structured import to_json, to_yaml

    ring, mirrored = task.key_ring(), mirrors.find(views, prune=False)
    missing = [name for name, steps in ring.steps.items() if any(map(_writes, steps))]
    if missing:
        raise LinkError(
            f"{', '.join(sorted(missing))} lack preshared keys that are to be generated: run it "
            "without --directory first, which makes them and keeps them in Secrets"
        )
    make_directory(directory)
    warn_of_others(directory / "FILE")
    for target in reads:
        peers = wanted_peers_of(reads, target, views[target.member.name], task, ring)
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
