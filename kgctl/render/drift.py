"""How an interface differs from what it should be, for a person and as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Line(NamedTuple):
    """One difference: ``kind`` as JSON has it, the peer's key and who that is, both sides.

    ``who`` is untrusted. ``is_fault`` is False for what works all the same.
    """

    kind: str
    key: str | None
    who: str | None
    wanted: str | None
    found: str | None
    is_fault: bool


def drift_to_text(name: str, lines: Iterable[Line], count: int) -> str:
    """Return the differences of the machine ``name``, which should have ``count`` peers."""
    found = list(lines)
    if not found:
        return f"{printable(name)} is as it should be, with {count} peers\n"
    faults = sum(line.is_fault for line in found)
    places = "1 place" if faults == 1 else f"{faults} places"
    said = f" differs in {places}" if faults else ": nothing to mend"
    head = printable(name) + said
    return "".join(f"{text}\n" for text in (head, *(t for one in found for t in _texts(one))))


def drift_to_object(name: str, lines: Iterable[Line]) -> dict[str, Any]:
    """Return them as JSON has them."""
    items = [
        {
            "kind": line.kind,
            "key": line.key,
            "who": line.who,
            "wanted": line.wanted,
            "found": line.found,
            "fault": line.is_fault,
        }
        for line in lines
    ]
    return {"machine": name, "drifted": any(one["fault"] for one in items), "differences": items}


def _texts(line: Line) -> Iterator[str]:
    found = printable(line.found or "none")
    if line.key is None:
        what = "key" if line.kind == "key" else "listen port"
        yield f"  {what}: {found}, should be {line.wanted}"
        return
    who = printable(line.who) if line.who else "a key that nobody in the cluster has"
    if line.kind == "missing":
        yield f"- {who}: missing ({line.key})"
    elif line.kind == "extra":
        yield f"+ {who}: should not be there ({line.key}, with {printable(found, 300)})"
    elif line.kind == "allowed-ips":
        if line.wanted != "none":
            yield f"  {who}: allowed IPs lack {printable(line.wanted or '', 300)}"
        if line.found != "none":
            yield f"  {who}: allowed IPs too many: {printable(found, 300)}"
    elif line.kind == "roamed":
        yield f"  {who}: roamed to {found} from {line.wanted}; it works"
    elif line.kind == "handshake":
        yield f"  {who}: last handshake {found}, though there is a keepalive: the link is down"
    else:
        yield f"  {who}: {line.kind.replace('-', ' ')} {found}, should be {line.wanted}"
