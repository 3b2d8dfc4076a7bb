"""Work of ``kgctl node set``: check annotations, show their effects, and write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.commands.agents import (
    look_up,
    note_hidden,
    refuse_unsettling,
    warn_of_address,
    warn_of_name,
)
from kgctl.cli.commands.whatif import changes_later, networks, note_effects, read_base
from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.hints import message
from kgctl.cli.core.output import answer, note
from kgctl.cli.core.output import ask as ask_whether
from kgctl.errors import MeshError
from kgctl.kilo import PREFIX
from kgctl.mesh.cidr import parse_cidr, single
from kgctl.mesh.endpoint import parse_endpoint
from kgctl.mesh.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kgctl.cli.core.shared import Shared
    from kgctl.diagnosis.finding import Finding
    from kgctl.kube.objects import NodeObject
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.topology import Topology
    from kgctl.state.interface import Objects

Changes = dict[str, str | None]
_DONE = {
    "none": "annotated",
    "client": "annotated (dry run)",
    "server": "annotated (server dry run)",
}


def annotations_of(given: Mapping[str, str | None], unset: Sequence[str]) -> Changes:
    """Return the annotations to change, by their full names; None for one to remove.

    Raises:
        UsageError: nothing is given, or an annotation is both set and removed.
        AnnotationError: Kilo would ignore an annotation.
    """
    from kgctl.edit.nodes import checked

    changes = dict(checked(key, value) for key, value in given.items() if value is not None)
    _note_host_bits(given.get("allowed-location-ips"))
    for key in unset:
        name, _ = checked(key, None)
        if name in changes:
            raise UsageError(f"--unset {printable(key)} conflicts with a value for it")
        changes[name] = None
    if not changes:
        raise UsageError("nothing to set; see: kgctl node set --help")
    return changes


def _note_host_bits(text: str | None) -> None:
    """Print on stderr which networks have host bits, and thus hold more than that address."""
    for part in (text or "").split(","):
        cidr = parse_cidr(part.strip())
        if cidr is not None and cidr != cidr.masked():
            note(
                f"{cidr} means the network {cidr.masked()}, so that is written; for the address "
                f"alone give {single(cidr.address)}"
            )


def set_nodes(
    shared: Shared,
    names: Sequence[str],
    selector: str | None,
    changes: Changes,
    *,
    ask: bool,
    dry_run: str,
) -> None:
    """Annotate nodes: show the effects on the network, ask, and write."""
    from kgctl.cli.core.source import live_cluster
    from kgctl.edit.nodes import NodeObjects
    from kgctl.state.overlay import annotated

    offline = bool(shared.filename or shared.example)
    if offline and dry_run != "client":
        raise UsageError("files and the example cannot be changed; give --dry-run=client")
    cluster = None if offline else live_cluster(shared, every_label=True)
    objects = cluster.read() if cluster is not None else read_base(shared, shared.filename)
    chosen = [node for node in _chosen(objects, names, selector) if _differs(node, changes)]
    if not chosen:
        note("nothing to change: everything is already set")
        return
    after = annotated(objects, [node.name for node in chosen], changes)
    networks = _show_difference(shared, objects, after, later=changes_later(chosen, changes))
    note_effects(chosen, changes)
    refuse_unsettling(*networks)
    _note_clashes(shared, objects, after)
    warn_of_address(_forced_endpoint(changes))
    if cluster is not None:
        warn_of_name(_forced_endpoint(changes), look_up)
    if dry_run == "none" and ask:
        ask_whether("Annotate 1 node?" if len(chosen) == 1 else f"Annotate {len(chosen)} nodes?")
    for node in chosen:
        if cluster is not None and dry_run != "client":
            NodeObjects(cluster.api()).annotate(
                node.name, changes, node.annotations, dry_run=dry_run == "server"
            )
        answer(f"node/{printable(node.name)} {_DONE[dry_run]}\n")
    note_hidden(*networks)


def _chosen(objects: Objects, names: Sequence[str], selector: str | None) -> list[NodeObject]:
    """Return the named nodes, and those that the selector matches.

    Raises:
        UsageError: neither is given, or nothing matches.
        UnknownNameError: no node has one of the names.
    """
    from kgctl.cli.core.names import UnknownNameError
    from kgctl.kube.objects import parse_selector

    if not names and selector is None:
        raise UsageError("no node is given; give names or -l LABELS")
    known = {node.name: node for node in objects.nodes}
    for name in names:
        if name not in known:
            found = nearest(name, known)
            hint = f'; did you mean "{printable(found)}"?' if found else ""
            raise UnknownNameError(f'there is no node named "{printable(name)}"{hint}')
    wanted = set(names)
    if selector is not None:
        matches = parse_selector(selector).matches
        wanted |= {node.name for node in objects.nodes if matches(node.labels)}
    if not wanted:
        raise UsageError(f'no node has the labels "{printable(str(selector))}"')
    return [known[name] for name in sorted(wanted)]


def _differs(node: NodeObject, changes: Changes) -> bool:
    return any(node.annotations.get(key) != value for key, value in changes.items())


def _show_difference(
    shared: Shared, objects: Objects, after: Objects, *, later: bool
) -> tuple[Topology | None, Topology | None]:
    """Print on stderr how the network changes; return it before and after the change."""
    from kgctl.mesh.difference import difference
    from kgctl.render.changes import difference_to_text

    try:
        found = networks(shared, objects, after, snapshots=bool(shared.filename))
    except MeshError as error:  # the change may fix it
        note(f"cannot show the effects: {message(error).splitlines()[0]}")
        return None, None
    text = difference_to_text(difference(*found)).rstrip("\n")
    note(text or f"the network stays as it is{', until agents check in' if later else ''}")
    return found


def _note_clashes(shared: Shared, objects: Objects, after: Objects) -> None:
    """Print on stderr which networks are claimed twice only after the change."""
    from kgctl.render.findings.formats import object_of

    known = _clashes(shared, objects)
    for key, finding in _clashes(shared, after).items():
        if key not in known:
            what = f"{object_of(finding)}: {finding.sentence}"
            note(f"warning: {what}: {finding.consequence} (kgctl explain {finding.code})")


def _clashes(shared: Shared, objects: Objects) -> dict[tuple[str, ...], Finding]:
    from kgctl.cli.core.source import NEWEST, reading_of
    from kgctl.diagnosis.check import check
    from kgctl.diagnosis.facts import Settings, Subject
    from kgctl.diagnosis.rules.claims import RULES

    if shared.filename and shared.at is None:
        shared = shared._replace(at=NEWEST)
    reading = reading_of(shared, objects)
    settings = Settings(reading.now, reading.granularity)
    return {
        (one.code, one.kind, one.name, one.sentence): one
        for one in check(Subject(reading.state), settings, RULES)
    }


def _forced_endpoint(changes: Changes) -> Endpoint | None:
    text = changes.get(f"{PREFIX}force-endpoint")
    return None if text is None else parse_endpoint(text)
