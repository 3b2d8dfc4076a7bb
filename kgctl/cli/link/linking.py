"""Linking: check, plan, ask, and carry out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kgctl.cli.arguments import UsageError
from kgctl.cli.asking import ask
from kgctl.cli.link.clusters import Named, Read
from kgctl.cli.link.keys import KeyRing, secrets_to_remove
from kgctl.cli.link.task import Task, Wish, task_of
from kgctl.cli.output import answer, note
from kgctl.link.plan import (
    ADD,
    CHANGE,
    PEER,
    REMOVE,
    SAME,
    SECRET,
    STALE,
    Object,
    Step,
    Store,
    carry_out,
    linked_source,
    plan,
    relayed_networks,
    slug,
    wanted_peers,
)
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.linking import ENDPOINTS, Obstacle, obstacles
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kgctl.cli.shared import Shared

WATCH_SECONDS = 10.0
"""Seconds between two looks at the clusters; a leader is stale after 60."""

_SIGNS = {ADD: "+", CHANGE: "~", REMOVE: "-", STALE: "?"}
_WORDS = {ADD: "to add", CHANGE: "to change", REMOVE: "to remove"}
_DONE = {ADD: "added", CHANGE: "changed", REMOVE: "removed"}
_ORDER = (
    (SECRET, (ADD, CHANGE)),
    (PEER, (ADD, CHANGE)),
    (PEER, (REMOVE,)),
    (SECRET, (REMOVE,)),
)


class LinkError(KgctlError):
    """The clusters cannot be linked as they are, or were linked in part."""


Plan = list[tuple[Named, list[Step]]]


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
    task = task_of(shared, wish)
    if wish.watch:
        _follow(lambda: task.read(shared), task)
        return
    reads = task.read(shared)
    if wish.file is not None:
        _tell_unnamed(reads)
    found = _obstacles(reads, task)
    _tell(found, task.allowed)
    _refuse(found, task.allowed)
    if wish.directory is not None:
        _write(reads, task, wish.directory)
        return
    _settle(_plan(reads, task, task.key_ring()), wish)


def unlink_clusters(shared: Shared, wish: Wish) -> None:
    """Remove the links between the clusters of a wish.

    Raises:
        KgctlError: a cluster cannot be read or changed.
    """
    task = task_of(shared, wish)
    kept = secrets_to_remove(task.keys, task.clusters) if task.keys is not None else {}
    found = []
    for one in task.clusters:
        steps = plan(one.source.read().peers, {}, task.others(one.name), prune=True)
        found.append((one, [*steps, *kept.get(one.name, ())]))
    _settle(found, wish)


# --- check and plan ---


def _obstacles(reads: Sequence[Read], task: Task) -> list[Obstacle]:
    return obstacles([read.member for read in reads], task.layout)


def _tell(found: Sequence[Obstacle], allowed: Iterable[str]) -> None:
    """Say what stands against linking."""
    for one in found:
        note(f"{'allowed: ' if one.check in allowed else ''}{one.check}: {one.text}")


def _tell_unnamed(reads: Sequence[Read]) -> None:
    """Say which links there are to clusters that a file does not name: they stay."""
    named = {slug(read.member.name) for read in reads}
    for read in reads:
        linked = {linked_source(peer) for peer in read.objects.peers} - {None}
        for source in sorted(str(one) for one in linked - named):
            name = printable(read.member.name)
            note(
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


def _wanted(reads: Sequence[Read], target: Read, task: Task, ring: KeyRing) -> dict[str, Object]:
    """Return the Peers that the cluster ``target`` is to hold."""
    wanted: dict[str, Object] = {}
    name, members = target.member.name, [read.member for read in reads]
    for source in members:
        if task.layout.linked(name, source.name):
            wanted |= wanted_peers(
                source,
                private_endpoints=ENDPOINTS in task.allowed,
                relayed=relayed_networks(source, name, members, task.layout),
                preshared_key=ring.keys.get(frozenset((name, source.name))),
            )
    return wanted


def _plan(reads: Sequence[Read], task: Task, ring: KeyRing) -> Plan:
    found = []
    for target in reads:
        others = task.others(target.member.name)
        wanted = _wanted(reads, target, task, ring)
        steps = plan(target.objects.peers, wanted, others, prune=task.prune)
        kept = ring.steps.get(target.member.name, ())
        found.append((target.named, [*kept, *steps]))
    return found


def _shown(found: Plan) -> str:
    """Return the plan as text, a line a step; what stays is left out."""
    lines = []
    for named, steps in found:
        changes = [step for step in steps if step.action != SAME]
        if changes:
            lines.append(f"{printable(named.name)}:")
        for step in changes:
            more = f" ({', '.join(step.fields)})" if step.fields else ""
            more += " is stale; --prune removes it" if step.action == STALE else ""
            lines.append(f"  {_SIGNS[step.action]} {step.kind} {printable(step.name)}{more}")
    return "".join(f"{line}\n" for line in lines)


def _counts(found: Plan) -> dict[str, int]:
    actions = [step.action for _, steps in found for step in steps]
    return {action: actions.count(action) for action in _WORDS}


# --- carrying out ---


def _settle(found: Plan, wish: Wish) -> None:
    """Show the plan, ask, and carry it out."""
    counts = _counts(found)
    answer(_shown(found))
    if not any(counts.values()):
        answer("nothing to do\n")
        return
    answer(f"{_summary(counts, _WORDS)}{' (dry run)' if wish.dry_run else ''}\n")
    if wish.dry_run:
        return
    if not wish.yes:
        ask("Do it?")
    _carry_out(found)
    answer(f"done: {_summary(counts, _DONE)}\n")


def _summary(counts: Mapping[str, int], words: Mapping[str, str]) -> str:
    return ", ".join(f"{count} {words[action]}" for action, count in counts.items())


def _carry_out(found: Plan) -> None:
    """Make the steps: what is added and changed first, so that nobody is cut off in between.

    Raises:
        LinkError: one failed; it says what was done, and the next run does the rest.
    """
    ordered = list(_in_order(found))
    stores = {(named.name, step.kind): _store(named, step) for named, step in ordered}
    for done, (named, step) in enumerate(ordered):
        try:
            carry_out(step, stores[named.name, step.kind])
        except KgctlError as error:
            raise LinkError(
                f"{printable(named.name)}: {error}; {done} of {len(ordered)} steps were done, "
                "run it again for the rest"
            ) from error


def _in_order(found: Plan) -> Iterator[tuple[Named, Step]]:
    """Yield the steps in the order in which they are to be made.

    A key is kept before it is used, first in the cluster that is the first by name (see
    ``kgctl.link.presharedkeys``). What is removed comes last.
    """
    for kind, actions in _ORDER:
        by_name = sorted(found, key=lambda one: one[0].name) if kind == SECRET else found
        for named, steps in by_name:
            for step in steps:
                if step.kind == kind and step.action in actions:
                    yield named, step


def _store(named: Named, step: Step) -> Store:
    return named.store() if step.kind == PEER else named.secrets(step.namespace)


def _follow(look: Callable[[], list[Read]], task: Task) -> None:
    """Keep the links current until interrupted; what goes wrong is told, and tried again."""
    said, told = "", list[Obstacle]()
    while True:
        try:
            reads = look()
            standing = _obstacles(reads, task)
            if standing != told:
                _tell(standing, task.allowed)
                told = standing
            _refuse(standing, task.allowed)
            found = _plan(reads, task, task.key_ring())
            if any(_counts(found).values()):
                answer(_shown(found))
                _carry_out(found)
            said = ""
        except KgctlError as error:
            if str(error) != said:
                note(str(error))
            said = str(error)
        time.sleep(WATCH_SECONDS)


def _writes(step: Step) -> bool:
    return step.action in (ADD, CHANGE)


def _write(reads: Sequence[Read], task: Task, directory: Path) -> None:
    """Write the Peers that each cluster is to hold to a file of its own."""
    from kgctl.cli.files import OutputFileError, write_private
    from kgctl.render.structured import to_yaml

    ring = task.key_ring()
    missing = [name for name, steps in ring.steps.items() if any(map(_writes, steps))]
    if missing:
        raise LinkError(
            f"{', '.join(sorted(missing))} lack preshared keys that are to be generated: run it "
            "without --directory first, which makes them and keeps them in Secrets"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFileError(f"cannot make {directory}: {error.strerror}") from None
    for target in reads:
        peers = _wanted(reads, target, task, ring)
        text = "---\n".join(to_yaml(peers[name]) for name in sorted(peers))
        path = directory / f"{slug(target.member.name)}.yaml"
        write_private(path, text.encode())
        answer(f"{path}\n")
