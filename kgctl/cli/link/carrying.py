"""A plan for clusters: shown, asked about, and carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.asking import ask
from kgctl.cli.link.clusters import ClusterRef
from kgctl.cli.output import answer
from kgctl.kube.errors import StatusError
from kgctl.link.applying import carry_out
from kgctl.link.mirrorplan import SERVICE, SLICE
from kgctl.link.plan import (
    ADD,
    CHANGE,
    PEER,
    REMOVE,
    SAME,
    SECRET,
    STALE,
    Step,
)
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kgctl.link.applying import Store
    from kgctl.reporter import Reporter

_SIGNS = {ADD: "+", CHANGE: "~", REMOVE: "-", STALE: "?"}
_WORDS = {ADD: "to add", CHANGE: "to change", REMOVE: "to remove"}
_DONE = {ADD: "added", CHANGE: "changed", REMOVE: "removed"}
_ORDER = (
    (SECRET, (ADD, CHANGE)),
    (PEER, (ADD, CHANGE)),
    (SERVICE, (ADD, CHANGE)),
    (SLICE, (ADD, CHANGE)),
    (SLICE, (REMOVE,)),
    (SERVICE, (REMOVE,)),
    (PEER, (REMOVE,)),
    (SECRET, (REMOVE,)),
)


class LinkError(KgctlError):
    """The clusters cannot be linked as they are, or were linked in part."""


Plan = list[tuple[ClusterRef, list[Step]]]
"""What is to be done in each of the clusters."""


def settle(found: Plan, *, dry_run: bool, yes: bool) -> None:
    """Show the plan, ask unless ``yes``, and carry it out.

    Raises:
        LinkError: it was carried out in part.
        KgctlError: nobody said yes.
    """
    number = _counts(found)
    if shown := _shown(found):
        answer(f"{shown}\n")
    if not any(number.values()):
        answer("nothing to do\n")
        return
    answer(f"{_summary(number, _WORDS)}{' (dry run)' if dry_run else ''}\n")
    if dry_run:
        return
    if not yes:
        ask("Do it?")
    _carry_out(found)
    answer(f"done: {_summary(number, _DONE)}\n")


def keep(found: Plan, reporter: Reporter) -> None:
    """Show what is to be done, if it is anything, and carry it out.

    A Peer that cannot be written keeps no other from being written, but none is removed in its
    cluster, where what stands for it may not be there. What else fails ends the work on a cluster;
    a key that cannot be kept, all of it.

    Raises:
        LinkError: it was carried out in part.
    """
    if not any(_counts(found).values()):
        return
    reporter.show(_shown(found))
    ordered = list(_in_order(found))
    failed: dict[str, KgctlError] = {}
    ended: set[str] = set()
    done = 0
    for ref, step in ordered:
        if ref.name in ended or (ref.name in failed and step.action == REMOVE):
            continue
        try:
            carry_out(step, _store(ref, step))
            done += 1
        except KgctlError as error:
            failed.setdefault(ref.name, error)
            if step.kind == SECRET:
                break
            if step.kind != PEER or not isinstance(error, StatusError):
                ended.add(ref.name)
    if failed:
        each = "; ".join(f"{printable(name)}: {error}" for name, error in failed.items())
        raise LinkError(f"{each}; {done} of {len(ordered)} steps were done, the rest follows")


def _summary(counts: Mapping[str, int], words: Mapping[str, str]) -> str:
    return ", ".join(f"{count} {words[action]}" for action, count in counts.items())


def _carry_out(found: Plan) -> None:
    """Make the steps: what is added and changed first, so that nobody is cut off in between.

    Raises:
        LinkError: one failed; it says what was done, and the next run does the rest.
    """
    ordered = list(_in_order(found))
    stores = {(ref.name, step.kind, step.namespace): _store(ref, step) for ref, step in ordered}
    for done, (ref, step) in enumerate(ordered):
        try:
            carry_out(step, stores[ref.name, step.kind, step.namespace])
        except KgctlError as error:
            raise LinkError(
                f"{printable(ref.name)}: {error}; {done} of {len(ordered)} steps were done, "
                "run it again for the rest"
            ) from error


def _in_order(found: Plan) -> Iterator[tuple[ClusterRef, Step]]:
    """Yield the steps in the order in which they are to be made.

    A key is kept before it is used, first in the cluster that is the first by name (see
    ``kgctl.link.presharedkeys``). What is removed comes last.
    """
    for kind, actions in _ORDER:
        by_name = sorted(found, key=lambda one: one[0].name) if kind == SECRET else found
        for ref, steps in by_name:
            for step in steps:
                if step.kind == kind and step.action in actions:
                    yield ref, step


def _store(ref: ClusterRef, step: Step) -> Store:
    if step.kind == PEER:
        return ref.store()
    if step.kind == SECRET:
        return ref.secrets(step.namespace)
    services = ref.services()
    of_kind = services.services if step.kind == SERVICE else services.slices
    return of_kind(step.namespace)


def _shown(found: Plan) -> str:
    """Return the plan as text, a line a step and its details below; what stays is left out."""
    lines = []
    for ref, steps in found:
        changes = [step for step in steps if step.action != SAME]
        if changes:
            lines.append(f"{printable(ref.name)}:")
        for step in changes:
            more = f" ({', '.join(step.fields)})" if step.fields else ""
            more += " is stale; --prune removes it" if step.action == STALE else ""
            name = f"{step.namespace}/{step.name}" if step.kind in (SERVICE, SLICE) else step.name
            lines.append(f"  {_SIGNS[step.action]} {step.kind} {printable(name)}{more}")
            lines += [f"      {detail}" for detail in step.details]
    return "\n".join(lines)


def _counts(found: Plan) -> dict[str, int]:
    actions = [step.action for _, steps in found for step in steps]
    return {action: actions.count(action) for action in _WORDS}
