"""The data of a page, and the HTML file that contains it.

Texts are made printable as for a terminal, so the page contains no control characters or direction
marks; its script sets them as text, never as markup. Private and preshared keys are left out.

A Content-Security-Policy in a meta tag allows the scripts and the style in the file, each by its
hash, and nothing else: no requests, frames or forms.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from itertools import islice
from string import Template
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.mesh.readiness import age
from kgctl.mesh.text import printable
from kgctl.render.graph.picture import place, title

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kgctl.diagnosis.finding import Finding
    from kgctl.render.graph.picture import Area, End, Member, Outsider, Picture


_TEXT_LIMIT = 1000  # characters of one text

Fact = tuple[str, str]


class Shown(NamedTuple):
    """The contents of a page; ``now`` is in Unix seconds.

    ``configurations`` are texts without secrets, of the nodes and peers that the page shows them
    for.
    """

    picture: Picture
    now: float
    findings: Sequence[Finding] = ()
    annotations: Mapping[End, Mapping[str, str]] = {}
    configurations: Mapping[End, str] = {}


def content(shown: Shown) -> dict[str, Any]:
    """Return the data of a page; the schema is private to the page and changes with it."""
    picture = shown.picture
    leaders = {leader.segment: _id(leader.end) for leader in picture.leaders}
    areas = [_area(shown, area, leaders) for area in picture.areas]
    if picture.peers:
        things = [_peer(shown, peer) for peer in picture.peers]
        name = "peers" if picture.network is None else "machines"
        areas.append({"id": "peers", "name": name, "things": things})
    alone = {} if picture.network is None else {"links": _links(picture)}
    return {
        "title": title(picture)[0].upper() + title(picture)[1:],
        **alone,
        "subnet": picture.subnet,
        "granularity": printable(picture.granularity),
        "taken": _moment(shown.now),
        "areas": areas,
        "findings": [_finding(finding) for finding in shown.findings],
    }


_MOST_LINKS = 5000


def _links(picture: Picture) -> list[tuple[str, str]]:
    """Return the ends of the links of a network without nodes, up to a limit."""
    found = islice(picture.links(), _MOST_LINKS)
    return [(_id(link.source), _id(link.target)) for link in found]


def _moment(now: float) -> str:
    try:
        return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # --at newest accepts absurd heartbeats
        return f"{int(now)} s"


def _area(shown: Shown, area: Area, leaders: Mapping[str | None, str]) -> dict[str, Any]:
    return {
        "id": f"location {_text(area.location)}",
        "name": _text(place(area)),
        "things": [_node(shown, node, leaders) for node in area.nodes],
    }


def _node(shown: Shown, node: Member, leaders: Mapping[str | None, str]) -> dict[str, Any]:
    leader = leaders.get(node.segment) if node.segment is not None else None
    return _thing(shown, node, list(_node_facts(node))) | {
        "leads": node.leads,
        "leader": leader,
        "beat": node.heartbeat_age,
    }


def _peer(shown: Shown, peer: Outsider) -> dict[str, Any]:
    return _thing(shown, peer, list(_peer_facts(peer)))


def _thing(shown: Shown, one: Member | Outsider, facts: list[Fact]) -> dict[str, Any]:
    texts = shown.annotations.get(one.end, {})
    annotations = [(_text(key), _text(value)) for key, value in sorted(texts.items())]
    words = [one.name, *(value for _, value in (*facts, *annotations))]
    return {
        "id": _id(one.end),
        "kind": one.end[0],
        "name": _text(one.name),
        "state": one.state,
        "reasons": [_text(reason) for reason in one.reasons],
        "facts": facts,
        "annotations": annotations,
        "configuration": shown.configurations.get(one.end),
        "text": " ".join(map(_text, words)).lower(),
    }


def _node_facts(node: Member) -> Iterator[Fact]:
    if node.segment is not None:
        yield "segment", _text(node.segment)
    for name, value in (
        ("endpoint", node.endpoint),
        ("pod subnet", node.subnet),
        ("internal IP", node.internal_ip),
        ("WireGuard IP", node.wireguard_ip),
    ):
        if value is not None:
            yield name, _text(str(value))
    if node.behind_nat:
        yield "NAT", "behind one"
    if node.persistent_keepalive:
        yield "keepalive", f"{node.persistent_keepalive} s"
    if node.heartbeat_age is not None:
        yield "heartbeat", f"{age(node.heartbeat_age)} ago"


def _peer_facts(peer: Outsider) -> Iterator[Fact]:
    if peer.allowed_ips:
        yield "allowed IPs", _text(", ".join(map(str, peer.allowed_ips)))
    if peer.endpoint is not None:
        yield "endpoint", _text(str(peer.endpoint))
    if peer.persistent_keepalive:
        yield "keepalive", f"{peer.persistent_keepalive} s"


def _finding(finding: Finding) -> dict[str, str | None]:
    named = finding.kind in ("node", "peer")
    subject = f"{finding.kind}/{_text(finding.name)}" if finding.name else finding.kind
    return {
        "id": _id((finding.kind, finding.name)) if named else None,
        "object": subject,
        "code": finding.code,
        "severity": finding.severity,
        "sentence": _text(finding.sentence),
        "consequence": _text(finding.consequence),
        "remedy": _text(finding.remedy),
    }


def _id(end: End) -> str:
    return f"{end[0]} {printable(end[1], 100_000)}"


def _text(text: str) -> str:
    return printable(text, _TEXT_LIMIT)


_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
_FORBIDDEN = ("default-src 'none'", "base-uri 'none'", "form-action 'none'")


def to_page(content: dict[str, Any], connects_to: str = "'none'") -> str:
    """Return the HTML of a page that shows ``content``.

    ``connects_to`` is the source that its script may connect to, in the policy's syntax.
    """
    parts = {name: _part(file) for name, file in _FILES.items()}
    policy = "; ".join(
        (
            *_FORBIDDEN,
            f"connect-src {connects_to}",
            f"script-src {_hash(parts['library'])} {_hash(parts['script'])}",
            f"style-src {_hash(parts['style'])}",
        )
    )
    page = Template(_part("page.html"))
    return page.substitute(parts, policy=policy, data=script_data(content))


_FILES = {
    "style": "page.css",
    "library": "vendor/cytoscape.min.js",
    "script": "page.js",
}


def script_data(content: dict[str, Any]) -> str:
    """Return JSON that is safe in a script element: it cannot end it or start a comment."""
    return json.dumps(content, separators=(",", ":")).translate(_ESCAPES)


@cache
def _part(name: str) -> str:
    return files("kgctl.render.page").joinpath(name).read_text("utf-8").replace("\r\n", "\n")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
