"""Writers of differences: between two networks, and between a machine and its wanted state.

Both have text and plain data; differences of networks also have Markdown, for pull requests.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from kgctl.mesh.difference import Change, Difference, Link
    from kgctl.mesh.relay_changes import RelayChanges


_SHOWN = 12
"""Maximum number of names in a list."""
_LIMIT = 1000


def difference_to_text(found: Difference) -> str:
    """Return the difference per object, new ones with a plus, removed ones with a minus."""
    return "".join(f"{line}\n" for line in _lines(found))


def difference_to_object(found: Difference) -> dict[str, Any]:
    """Return the difference for JSON; ``links`` is null if there are too many differences."""
    return {
        "changes": [change._asdict() for change in found.changes],
        "links": {
            "lost": [list(link) for link in found.lost],
            "gained": [list(link) for link in found.gained],
        }
        if found.links_compared
        else None,
        "configuredAnew": list(found.configured_anew),
        **({"relays": _relays_object(found.relays)} if found.relays else {}),
    }


def _relays_object(found: RelayChanges) -> dict[str, Any]:
    return {
        "cutOff": list(found.cut_off),
        "joined": list(found.joined),
        "moved": [
            {"from": one.before, "to": one.after, "peers": list(one.names)} for one in found.moved
        ],
    }


def difference_to_markdown(found: Difference) -> str:
    """Return the difference as Markdown, for a comment on a pull request."""
    if not found:
        return "No difference in the network.\n"
    lines = ["| | what | before | after |", "|---|---|---|---|"]
    for change in found.changes:
        what = change.field or ("new" if change.before is None else "gone")
        cells = (_code(_title(change)), what, _code(change.before), _code(change.after))
        lines.append(f"| {' | '.join(cells)} |")
    for title, links in (("Links lost", found.lost), ("Links gained", found.gained)):
        if links:
            lines += ["", f"{title}: " + ", ".join(f"{_code(a)} and {_code(b)}" for a, b in links)]
    for words, names in _of_relays(found.relays, _code):
        lines += ["", f"{words}: " + ", ".join(map(_code, names))]
    lines += ["", *_aftermath(found)]
    return "".join(f"{line}\n" for line in lines).rstrip("\n") + "\n"


def _code(text: str | None) -> str:
    """Return text as code in a table cell, without active markup."""
    if text is None:
        return ""
    shown = printable(text, _LIMIT).replace("`", "'").replace("|", "\\|")
    return f"`{shown}`" if shown.strip() else ""


def _lines(found: Difference) -> Iterator[str]:
    for title, changes in groupby(found.changes, _title):
        yield from _of_object(printable(title, _LIMIT), list(changes))
    for sign, word, links in (("-", "lost", found.lost), ("+", "gained", found.gained)):
        for one, others in _by_end(links):
            yield f"{sign} link {word}: {one} and {some(others, _SHOWN)}"
    for words, names in _of_relays(found.relays, printable):
        yield f"{words}: {some([printable(name) for name in names], _SHOWN)}"
    yield from _aftermath(found)


def _of_relays(
    found: RelayChanges, shown: Callable[[str], str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what becomes of peers that use a relay, and their names; ``shown`` prints a name."""
    if found.cut_off:
        yield "- no relay left, so these do not reach each other", found.cut_off
    if found.joined:
        yield "+ by a relay, these reach each other", found.joined
    for one in found.moved:
        yield f"  relay {shown(one.before)} -> {shown(one.after)}, for", one.names


def _title(change: Change) -> str:
    return f"{change.kind} {change.name}".strip()


def _of_object(title: str, changes: Sequence[Change]) -> Iterator[str]:
    if not changes[0].field:
        sign, text = ("+", changes[0].after) if changes[0].before is None else ("-", "")
        yield f"{sign} {title}" + (f": {printable(text, _LIMIT)}" if text else "")
        return
    yield f"  {title}"
    for change in changes:
        before, after = (printable(text or "", _LIMIT) for text in (change.before, change.after))
        yield f"    {change.field}: {before} -> {after}"


def _by_end(links: Sequence[Link]) -> Iterator[tuple[str, list[str]]]:
    """Yield the links grouped by an end that they share, the most common end first."""
    left = list(links)
    while left:
        ends = Counter(end for link in left for end in link)
        most = max(sorted(ends), key=ends.__getitem__)
        yield (
            printable(most),
            [
                printable(link.other if link.one == most else link.one)
                for link in left
                if most in link
            ],
        )
        left = [link for link in left if most not in link]


def _aftermath(found: Difference) -> Iterator[str]:
    if not found.links_compared:
        yield "Too many differences to show lost and gained links."
    if found.configured_anew:
        names = [printable(name) for name in found.configured_anew]
        yield f"Reconfigured: {some(names, _SHOWN)}"


class Line(NamedTuple):
    """One difference: ``kind`` as in JSON, the peer's key and name, and both sides.

    ``who`` is untrusted. ``is_fault`` is False for a difference that does no harm. A difference of
    the machine besides WireGuard has no key; ``about`` names the interface, chain or parameter, or
    says why a route or rule cannot be set.
    """

    kind: str
    key: str | None
    who: str | None
    wanted: str | None
    found: str | None
    is_fault: bool
    about: str = ""


def drift_to_text(name: str, lines: Iterable[Line], count: int) -> str:
    """Return the differences of the machine ``name``, which should have ``count`` peers."""
    found = list(lines)
    if not found:
        peers = "1 peer" if count == 1 else f"{count} peers"
        return f"{printable(name)} matches the cluster, with {peers}\n"
    faults = sum(line.is_fault for line in found)
    others = len(found) - faults
    places = "1 place" if faults == 1 else f"{faults} places"
    more = f"; {others} more {'is' if others == 1 else 'are'} harmless" if others else ""
    head = printable(name) + (f" differs in {places}{more}" if faults else ": nothing to fix")
    ordered = sorted(found, key=lambda line: not line.is_fault)
    return "".join(f"{text}\n" for text in (head, *map(line_text, ordered)))


def drift_to_object(name: str, lines: Iterable[Line]) -> dict[str, Any]:
    """Return the differences for JSON."""
    items = [
        {
            "kind": line.kind,
            "key": line.key,
            "who": line.who,
            "wanted": line.wanted,
            "found": line.found,
            "fault": line.is_fault,
            **({"about": line.about} if line.about else {}),
        }
        for line in lines
    ]
    return {"machine": name, "drifted": any(one["fault"] for one in items), "differences": items}


def line_text(line: Line) -> str:
    """Return the line of a difference, printable."""
    if line.kind in _OF_MACHINE:
        return machine_line(line.kind, line.about, line.wanted, line.found)
    if line.key is None:
        return f"  {_of_interface(line)}"
    who = printable(line.who) if line.who else "a key unknown to the cluster"
    found, wanted = printable(line.found or "none", 300), printable(line.wanted or "none", 300)
    match line.kind:
        case "missing":
            return f"- {who}: missing ({line.key})"
        case "extra":
            return f"+ {who}: unexpected ({line.key}, with {found})"
        case "allowed-ips":
            return f"  {who}: allowed IPs {_networks(wanted, found)}"
        case "besides":
            return f"  {who}: also carries {found}, which nothing in the cluster has"
        case "roamed":
            return f"  {who}: roamed to {found} from {wanted}; it works"
        case "handshake":
            return f"  {who}: last handshake {found} despite a keepalive: the link is down"
    return f"  {who}: {line.kind.replace('-', ' ')} {found}, should be {wanted}"


_OF_MACHINE = {
    "interface": "interface ",
    "address": "address ",
    "mtu": "MTU ",
    "state": "",
    "route": "route ",
    "rule": "policy rule ",
    "firewall": "",
    "parameter": "",
}
"""The words before both sides of a difference of a machine besides WireGuard, by its kind."""


def machine_line(kind: str, about: str, wanted: str | None, found: str | None) -> str:
    """Return the line of a difference of a machine besides WireGuard, all of it printable."""
    reason = kind in ("route", "rule") and about
    what = f"{printable(about, 100)}: " if about and not reason else ""
    what += _OF_MACHINE[kind]
    if found is None:
        why = f" ({printable(about, 300)})" if reason else ""
        return f"- {what}{printable(wanted or '', 1000)}: missing{why}"
    if wanted is None:
        return f"+ {what}{printable(found, 1000)}: unexpected"
    return f"  {what}{printable(found, 1000)}, should be {printable(wanted, 1000)}"


def _of_interface(line: Line) -> str:
    found = printable(line.found or "none")
    if line.kind == "key" and line.found is None:
        return f"no key: this interface is not set up; it should have {line.wanted}"
    if line.kind == "obfuscation":
        return f"AmneziaWG's {found}: nodes use plain WireGuard, which does not support it"
    what = "key" if line.kind == "key" else "listen port"
    return f"{what}: {found}, should be {line.wanted}"


def _networks(lacking: str, more: str) -> str:
    texts = [f"lack {lacking}"] if lacking != "none" else []
    return "; ".join([*texts, f"too many: {more}"] if more != "none" else texts)
