"""A picture as a Mermaid flowchart, which GitHub and others draw in Markdown.

Nodes have generated ids. Texts from the cluster are quoted labels, in which every special character
of Mermaid, Markdown or HTML is an entity code (``#60;``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kgctl.mesh.text import printable
from kgctl.render.graph.formats import Excess
from kgctl.render.graph.picture import (
    BROKEN,
    LOCAL,
    READY,
    STALE,
    keepalive,
    place,
    title,
)
from kgctl.render.graph.plan import Mesh, Room, plan_of, plan_of_clusters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.render.graph.panorama import Bridge, Panorama
    from kgctl.render.graph.picture import Area, Link, Member, Outsider, Picture
    from kgctl.render.graph.plan import Plan

ROOM = Room(lines=12, bridges=12)

_TEXT_LIMIT = 200  # characters of a line: Mermaid accepts 50,000 in total
_LISTS = re.compile(r"[-+.)](?= )")  # would begin a Markdown list
_PLAIN = frozenset(" .-/:,()[]+=!★…")
_CLASSES = (
    "classDef leader stroke-width:4px,fill:#dceaf4,stroke:#0072b2,color:#1a1a1a",
    "classDef ready fill:#ffffff,stroke:#0072b2,color:#1a1a1a",
    "classDef stale fill:#ffffff,stroke:#b36b00,color:#7a4900,stroke-dasharray:7 4",
    "classDef broken fill:#ffffff,stroke:#d55e00,color:#9c3f00,stroke-dasharray:2 3",
    "classDef outside fill:#f2f2f2,stroke:#5f5f5f,color:#1a1a1a",
    "classDef mesh fill:#dceaf4,stroke:#0072b2,color:#1a1a1a",
)


MOST_CHARACTERS, MOST_EDGES = 50_000, 500
"""Mermaid's limits (``maxTextSize``, ``maxEdges``); above them GitHub shows an error instead."""

_EDGE = re.compile(r"\s+\w+ (==|--|-\.|<==)")  # ids are generated: no other line begins like this


def to_mermaid(picture: Picture) -> str:
    """Return the picture as the text of a Mermaid flowchart."""
    return "".join(f"{line}\n" for line in _lines(picture))


def to_clusters_mermaid(panorama: Panorama) -> str:
    """Return several clusters as the text of a Mermaid flowchart, one subgraph each."""
    return "".join(f"{line}\n" for line in _lines_of_clusters(panorama))


def excess(text: str) -> Excess | None:
    """Return the excess of a flowchart that is too large for Mermaid, or None."""
    edges = sum(_EDGE.match(line) is not None for line in text.splitlines())
    if len(text) <= MOST_CHARACTERS and edges <= MOST_EDGES:
        return None
    return Excess(
        f"Mermaid draws at most {MOST_CHARACTERS:,} characters and {MOST_EDGES} links",
        "GitHub shows an error instead",
    )


def _lines(picture: Picture) -> Iterator[str]:
    yield "flowchart TB"
    yield from _drawn(plan_of(picture, ROOM), _ids(picture))
    yield from (f"  {line}" for line in _CLASSES)


def _lines_of_clusters(panorama: Panorama) -> Iterator[str]:
    yield "flowchart TB"
    plan = plan_of_clusters(panorama, ROOM)
    every, numbers = {}, {}
    for number, (view, own) in enumerate(zip(panorama.views, plan.plans, strict=True)):
        numbers[view.name] = prefix = f"c{number}"
        every[view.name] = _ids(view.picture, prefix)
        yield f"  subgraph {prefix}[{_label(view.name)}]"
        yield from (f"  {line}" for line in _drawn(own, every[view.name], prefix))
        yield "  end"
    for bridge in plan.bridges:
        (first, one), (second, other) = bridge.source, bridge.target
        yield f"  {every[first][one.end]} {_bridge(bridge)} {every[second][other.end]}"
    for bundle in plan.bundles:
        words = _label(bundle.caption)
        line = f"-. {words} .-" if bundle.one_sided else f"== {words} ==="
        first, second = bundle.ends
        yield f"  {numbers[first]} {line} {numbers[second]}"
    yield from (f"  {line}" for line in _CLASSES)


def _bridge(bridge: Bridge) -> str:
    if bridge.missing:
        return f"-. {_label(f'one-sided: {bridge.missing}')} .-x"
    return '<== "by hand" ==>' if bridge.by_hand else "<==>"


def _ids(picture: Picture, prefix: str = "") -> dict[tuple[str, str], str]:
    """Return the id of each node and peer; a collapsed one has the id of its location."""
    ids = {one.end: f"{prefix}n{number}" for number, one in enumerate(picture.nodes)}
    ids.update((peer.end, f"{prefix}p{number}") for number, peer in enumerate(picture.peers))
    if picture.collapsed:
        for number, area in enumerate(picture.areas):
            ids.update((node.end, f"{prefix}a{number}") for node in area.nodes)
        ids.update((peer.end, f"{prefix}peers") for peer in picture.peers)
    return ids


def _drawn(plan: Plan, ids: dict[tuple[str, str], str], prefix: str = "") -> Iterator[str]:
    picture = plan.picture
    if picture.collapsed:
        for number, area in enumerate(picture.areas):
            yield f"  {prefix}a{number}({_label(*_area_lines(area))}):::{area.worst}"
        if picture.peers:
            words = f"{len(picture.peers)} {'peers' if picture.network is None else 'machines'}"
            yield f'  {prefix}peers(["{words}"]):::outside'
    else:
        yield from _apart(picture, ids, prefix)
        yield from _local(picture, ids)
    for link in plan.tunnels:
        yield f"  {ids[link.source]} {_line(link)} {ids[link.target]}"
    if plan.mesh is Mesh.HUB:
        yield from _through_the_middle(picture, ids, f"{prefix}mesh")


def _apart(picture: Picture, ids: dict[tuple[str, str], str], prefix: str) -> Iterator[str]:
    for number, area in enumerate(picture.areas):
        yield f"  subgraph {prefix}a{number}[{_label(place(area))}]"
        for node in area.nodes:
            yield f"    {ids[node.end]}{_node(node)}"
        yield "  end"
    if picture.peers:
        words = "peers" if picture.network is None else _label(title(picture))
        yield f"  subgraph {prefix}outside[{words}]"
        for peer in picture.peers:
            yield f"    {ids[peer.end]}{_peer(peer)}"
        yield "  end"


def _node(node: Member) -> str:
    if node.state != READY:
        label = _label(node.name, f"{node.state}: {', '.join(node.reasons)}")
        return f"{{{{{label}}}}}:::broken" if node.state == BROKEN else f"({label}):::stale"
    if node.leads:
        nat = ("behind NAT",) if node.behind_nat else ()
        return f"[{_label(f'★ {node.name}', str(node.wireguard_ip), *nat)}]:::leader"
    return f"({_label(node.name)}):::ready"


def _peer(peer: Outsider) -> str:
    if peer.state != READY:
        return f"{{{{{_label(peer.name, '; '.join(peer.reasons))}}}}}:::broken"
    return f"([{_label(peer.name)}]):::outside"


def _area_lines(area: Area) -> Iterator[str]:
    counts = area.counts
    yield place(area)
    yield f"{len(area.nodes)} nodes, {counts[READY]} ready"
    for state in (STALE, BROKEN):
        if counts[state]:
            yield f"{counts[state]} {state}"


def _local(picture: Picture, ids: dict[tuple[str, str], str]) -> Iterator[str]:
    for link in picture.links():
        if link.kind != LOCAL:
            return
        yield f"  {ids[link.source]} --- {ids[link.target]}"


def _line(link: Link) -> str:
    if link.kind == "peer":
        return f'-. "{keepalive(link.persistent_keepalive)}" .-'
    return '-. "NAT" .-' if link.behind_nat else "==="


def _through_the_middle(
    picture: Picture, ids: dict[tuple[str, str], str], middle: str
) -> Iterator[str]:
    words = "WireGuard mesh:<br>each with each"
    if picture.network is not None:
        words = "WireGuard:<br>each with each<br>of which one can call"
    yield f'  {middle}(("{words}")):::mesh'
    linked = [f"{middle} {'-.-' if one.behind_nat else '==='} {ids[one.end]}"
              for one in picture.leaders]  # fmt: skip
    linked += [
        f"{middle} -.- {ids[peer.end]}"
        if picture.collapsed
        else f'{middle} -. "{keepalive(peer.persistent_keepalive)}" .- {ids[peer.end]}'
        for peer in picture.peers
        if peer.state == READY
    ]
    yield from (f"  {line}" for line in dict.fromkeys(linked))


def _label(*lines: str) -> str:
    return '"' + "<br>".join(map(_text, lines)) + '"'


def _text(text: str) -> str:
    shown = "".join(_characters(printable(text, _TEXT_LIMIT)))
    return _LISTS.sub(lambda mark: f"#{ord(mark[0])};", shown)


def _characters(text: Iterable[str]) -> Iterator[str]:
    for character in text:
        plain = (character.isalnum() and character.isascii()) or character in _PLAIN
        yield character if plain else f"#{ord(character)};"
