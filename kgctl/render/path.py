"""Writers of a path: as text, as plain data, and as edges for the graph of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.diagnosis.paths import rule_of, rule_where_two_claim
from kgctl.mesh.text import printable
from kgctl.render.graph.dot import edge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.path.ends import End, Machine
    from kgctl.mesh.path.walk import Hop, Path, Walk


def path_to_text(path: Path) -> str:
    """Return the path hop by hop, there and back."""
    return "".join(f"{line}\n" for line in _lines(path))


def path_to_object(path: Path) -> dict[str, Any]:
    """Return the path for JSON."""
    return {
        "from": _end_object(path.start, path.there.source),
        "to": _end_object(path.target, path.there.destination),
        "reachable": path.reachable,
        "there": _walk_object(path.there),
        "back": None if path.back is None else _walk_object(path.back),
    }


def _lines(path: Path) -> Iterator[str]:
    source, target = _end(path.start, path.there.source), _end(path.target, path.there.destination)
    yield f"{source} {'reaches' if path.reachable else 'does not reach'} {target}"
    for end, what, rule in _claimed_twice(path):
        yield f"{end.addresses[0]} is {what} as well; more: kgctl explain {rule}"
    yield ""
    yield "there:"
    yield from _walk_lines(path.there)
    if path.back is not None:
        yield "back:"
        yield from _walk_lines(path.back)


def _claimed_twice(path: Path) -> Iterator[tuple[End, str, str]]:
    """Yield each end whose address another machine has too, its use there, and the rule."""
    for end in (path.start, path.target):
        for rival in end.rivals:
            if end.use is None or rival.use is None or end.machine is None or rival.machine is None:
                continue
            at_home = end.machine.segment == rival.machine.segment
            yield end, rival.what, rule_where_two_claim(end.use, rival.use, at_home=at_home)


def _end(end: End, address: Address | None) -> str:
    return end.what if address is None else f"{address} ({end.what})"


def _walk_lines(walk: Walk) -> Iterator[str]:
    for number, hop in enumerate(walk.hops, 1):
        yield f"  {number}. {_name(hop.start)} -> {_name(hop.end)}: {_medium(hop)}"
        for line in _details(hop):
            yield f"       {line}"
    if walk.failure is None:
        if not walk.hops:
            yield f"  it stays on {_name(walk.last)}"
        return
    yield f"  stops at {_name(walk.failure.machine)}: {walk.failure.why}"
    rule = rule_of(walk.failure)
    if rule is not None:
        yield f"       more: kgctl explain {rule}"


def _medium(hop: Hop) -> str:
    if hop.encrypted:
        return f"WireGuard to {hop.endpoint or 'its last known address'}, encrypted"
    location = "" if hop.end.node is None else printable(hop.end.node.location)
    return f"inside the location{f' {location}' if location else ''}, not encrypted"


def _details(hop: Hop) -> Iterator[str]:
    if hop.route is not None:
        yield f"route {hop.route}"
    if hop.encrypted:
        yield f"key {hop.key}"
        yield f"sent by allowed IP {hop.chosen_by}, accepted by {hop.let_in_by}"
        yield hop.how


def _name(machine: Machine) -> str:
    name = printable(machine.full_name)
    return f"peer {name}" if machine.kind == "peer" else name


def _end_object(end: End, address: Address | None) -> dict[str, Any]:
    return {
        "address": None if address is None else str(address),
        "is": end.what,
        **({"also": [rival.what for rival in end.rivals]} if end.rivals else {}),
        "machine": None if end.machine is None else _machine_object(end.machine),
    }


def _machine_object(machine: Machine) -> dict[str, str]:
    found = {"kind": machine.kind, "name": machine.name}
    return {"cluster": machine.cluster, **found} if machine.cluster else found


def _walk_object(walk: Walk) -> dict[str, Any]:
    failure = walk.failure
    return {
        "hops": [_hop_object(hop) for hop in walk.hops],
        "failure": None
        if failure is None
        else {
            "at": _machine_object(failure.machine),
            "reason": failure.reason.value,
            "rule": rule_of(failure),
            "why": failure.why,
        },
    }


def _hop_object(hop: Hop) -> dict[str, Any]:
    found: dict[str, Any] = {
        "from": _machine_object(hop.start),
        "to": _machine_object(hop.end),
        "route": None if hop.route is None else str(hop.route),
        "encrypted": hop.encrypted,
    }
    if hop.encrypted:
        found["tunnel"] = {
            "key": str(hop.key),
            "endpoint": None if hop.endpoint is None else str(hop.endpoint),
            "allowedIP": str(hop.chosen_by),
            "sourceAllowedIP": str(hop.let_in_by),
            "opened": hop.how,
        }
    return found


THERE, BACK, STOPPED = "forestgreen", "royalblue", "crimson"


def path_edges(path: Path) -> Iterator[str]:
    """Yield the DOT edges of the path there and back, numbered, dotted where unencrypted.

    A red edge with the reason marks the machine at which a packet stops.
    """
    for walk, colour in ((path.there, THERE), (path.back, BACK)):
        if walk is None:
            continue
        for number, hop in enumerate(walk.hops, 1):
            style = "bold" if hop.encrypted else "dotted"
            label = f"{number}" if colour == THERE else f"back {number}"
            yield edge(
                hop.start.full_name,
                hop.end.full_name,
                label,
                color=colour,
                style=style,
                constraint="false",
            )
        if walk.failure is not None:
            name = walk.failure.machine.full_name
            yield edge(name, name, walk.failure.why, color=STOPPED, fontcolor=STOPPED)
