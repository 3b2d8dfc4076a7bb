"""How an interface differs from what it should be, for a person and as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable


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
        peers = "1 peer" if count == 1 else f"{count} peers"
        return f"{printable(name)} is as it should be, with {peers}\n"
    faults = sum(line.is_fault for line in found)
    others = len(found) - faults
    places = "1 place" if faults == 1 else f"{faults} places"
    more = f"; {others} more {'is' if others == 1 else 'are'} no fault" if others else ""
    head = printable(name) + (f" differs in {places}{more}" if faults else ": nothing to mend")
    ordered = sorted(found, key=lambda line: not line.is_fault)
    return "".join(f"{text}\n" for text in (head, *map(_text, ordered)))


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


def _text(line: Line) -> str:
    """Return the one line in which a difference is listed."""
    if line.key is None:
        return f"  {_of_interface(line)}"
    who = printable(line.who) if line.who else "a key that nobody in the cluster has"
    found, wanted = printable(line.found or "none", 300), printable(line.wanted or "none", 300)
    match line.kind:
        case "missing":
            return f"- {who}: missing ({line.key})"
        case "extra":
            return f"+ {who}: should not be there ({line.key}, with {found})"
        case "allowed-ips":
            return f"  {who}: allowed IPs {_networks(wanted, found)}"
        case "besides":
            return f"  {who}: also carries {found}, which no part of the cluster has"
        case "roamed":
            return f"  {who}: roamed to {found} from {wanted}; it works"
        case "handshake":
            return f"  {who}: last handshake {found}, though there is a keepalive: the link is down"
    return f"  {who}: {line.kind.replace('-', ' ')} {found}, should be {wanted}"


def _of_interface(line: Line) -> str:
    found = printable(line.found or "none")
    if line.kind == "key" and line.found is None:
        return f"no key: nothing has set this interface up; it should have {line.wanted}"
    if line.kind == "obfuscation":
        return f"AmneziaWG's {found}: nodes speak plain WireGuard, and do not understand it"
    what = "key" if line.kind == "key" else "listen port"
    return f"{what}: {found}, should be {line.wanted}"


def _networks(lacking: str, more: str) -> str:
    texts = [f"lack {lacking}"] if lacking != "none" else []
    return "; ".join([*texts, f"too many: {more}"] if more != "none" else texts)
