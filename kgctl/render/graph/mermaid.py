"""A picture as a Mermaid flowchart, which GitHub and others draw in Markdown.

Nodes have ids of ours. What the cluster says stands in quoted labels, with every character that
could mean something to Mermaid, Markdown or HTML as an entity code (``#60;``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kgctl.mesh.readiness import age
from kgctl.mesh.text import printable
from kgctl.render.graph.formats import Excess
from kgctl.render.graph.picture import BROKEN, LOCAL, READY, STALE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.render.graph.panorama import Bridge, Panorama
    from kgctl.render.graph.picture import Area, Link, Member, Outsider, Picture

_MOST_LINKS = 12
"""Tunnels that are drawn as lines; of more, each leads to a point in the middle."""

_TEXT_LIMIT = 200  # characters of a line: Mermaid takes 50,000 in all
_LISTS = re.compile(r"[-+.)](?= )")  # what would begin a list of Markdown
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
"""What Mermaid draws (``maxTextSize``, ``maxEdges``); of more, GitHub shows an error instead."""

_EDGE = re.compile(r"\s+\w+ (==|--|-\.|<==)")  # ids are ours, so nothing else begins like this


def to_mermaid(picture: Picture) -> str:
    """Return the picture as the text of a Mermaid flowchart."""
    return "".join(f"{line}\n" for line in _lines(picture))


def to_clusters_mermaid(panorama: Panorama) -> str:
    """Return several clusters as the text of a Mermaid flowchart, a subgraph each."""
    return "".join(f"{line}\n" for line in _lines_of_clusters(panorama))


def excess(text: str) -> Excess | None:
    """Return that a flowchart of ours is too large for Mermaid, or None if it is not."""
    edges = sum(_EDGE.match(line) is not None for line in text.splitlines())
    if len(text) <= MOST_CHARACTERS and edges <= MOST_EDGES:
        return None
    return Excess(
        f"Mermaid draws at most {MOST_CHARACTERS:,} characters and {MOST_EDGES} links",
        "GitHub shows an error in its place",
    )


def _lines(picture: Picture) -> Iterator[str]:
    yield "flowchart TB"
    ids = _ids(picture)
    yield from _drawn(picture, ids)
    yield from (f"  {line}" for line in _CLASSES)


def _lines_of_clusters(panorama: Panorama) -> Iterator[str]:
    yield "flowchart TB"
    every = {}
    for number, view in enumerate(panorama.views):
        prefix = f"c{number}"
        every[view.name] = _ids(view.picture, prefix)
        yield f"  subgraph {prefix}[{_label(view.name)}]"
        yield from (f"  {line}" for line in _drawn(view.picture, every[view.name], prefix))
        yield "  end"
    bridges = [
        (every[bridge.source[0]][bridge.source[1].end],
         every[bridge.target[0]][bridge.target[1].end], bridge)
        for bridge in panorama.bridges
    ]  # fmt: skip
    if len(bridges) > _MOST_LINKS:
        yield from _between_clusters(panorama)
    else:
        for source, target, bridge in bridges:
            yield f"  {source} {_bridge(bridge)} {target}"
    yield from (f"  {line}" for line in _CLASSES)


def _bridge(bridge: Bridge) -> str:
    if bridge.missing:
        return f"-. {_label(f'one-sided: {bridge.missing}')} .-x"
    return '<== "by hand" ==>' if bridge.by_hand else "<==>"


def _between_clusters(panorama: Panorama) -> Iterator[str]:
    """Yield a line for each two clusters, where there are too many tunnels between them."""
    numbers = {view.name: f"c{number}" for number, view in enumerate(panorama.views)}
    counts: dict[tuple[str, str], list[int]] = {}
    for bridge in panorama.bridges:
        count = counts.setdefault((bridge.source[0], bridge.target[0]), [0, 0])
        count[bool(bridge.missing)] += 1
    for (one, other), (whole, one_sided) in counts.items():
        words = _label(f"{whole} tunnels" + (f", {one_sided} one-sided" if one_sided else ""))
        line = f"-. {words} .-" if one_sided else f"== {words} ==="
        yield f"  {numbers[one]} {line} {numbers[other]}"


def _ids(picture: Picture, prefix: str = "") -> dict[tuple[str, str], str]:
    """Return the id of each node and peer; collapsed ones have that of their location."""
    ids = {one.end: f"{prefix}n{number}" for number, one in enumerate(picture.nodes)}
    ids.update((peer.end, f"{prefix}p{number}") for number, peer in enumerate(picture.peers))
    if picture.collapsed:
        for number, area in enumerate(picture.areas):
            ids.update((node.end, f"{prefix}a{number}") for node in area.nodes)
        ids.update((peer.end, f"{prefix}peers") for peer in picture.peers)
    return ids


def _drawn(picture: Picture, ids: dict[tuple[str, str], str], prefix: str = "") -> Iterator[str]:
    if picture.collapsed:
        for number, area in enumerate(picture.areas):
            yield f"  {prefix}a{number}({_label(*_area_lines(area))}):::{_class_of(area)}"
        if picture.peers:
            yield f'  {prefix}peers(["{len(picture.peers)} peers"]):::outside'
    else:
        yield from _apart(picture, ids, prefix)
    yield from _links(picture, ids, prefix)


def _apart(picture: Picture, ids: dict[tuple[str, str], str], prefix: str) -> Iterator[str]:
    for number, area in enumerate(picture.areas):
        yield f"  subgraph {prefix}a{number}[{_label(area.location or 'no location')}]"
        for node in area.nodes:
            yield f"    {ids[node.end]}{_node(node)}"
        yield "  end"
    if picture.peers:
        yield f"  subgraph {prefix}outside[peers]"
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
    yield area.location or "no location"
    yield f"{len(area.nodes)} nodes, {counts[READY]} ready"
    for state in (STALE, BROKEN):
        if counts[state]:
            yield f"{counts[state]} {state}"


def _class_of(area: Area) -> str:
    return next((state for state in (BROKEN, STALE) if area.counts[state]), "ready")


def _links(picture: Picture, ids: dict[tuple[str, str], str], prefix: str) -> Iterator[str]:
    tunnels: list[Link] = []
    for link in picture.links():
        if link.kind == LOCAL:
            if not picture.collapsed:
                yield f"  {ids[link.source]} --- {ids[link.target]}"
        elif len(tunnels) <= _MOST_LINKS:
            tunnels.append(link)
        else:
            break
    if len(tunnels) > _MOST_LINKS or (picture.collapsed and tunnels):
        yield from _through_the_middle(picture, ids, f"{prefix}mesh")
        return
    for link in tunnels:
        yield f"  {ids[link.source]} {_line(link)} {ids[link.target]}"


def _line(link: Link) -> str:
    if link.kind == "peer":
        return f'-. "{_keepalive(link.persistent_keepalive)}" .-'
    return '-. "NAT" .-' if link.behind_nat else "==="


def _through_the_middle(
    picture: Picture, ids: dict[tuple[str, str], str], middle: str
) -> Iterator[str]:
    yield f'  {middle}(("WireGuard mesh:<br>each with each")):::mesh'
    linked = [f"{middle} {'-.-' if one.behind_nat else '==='} {ids[one.end]}"
              for one in picture.leaders]  # fmt: skip
    linked += [
        f"{middle} -.- {ids[peer.end]}"
        if picture.collapsed
        else f'{middle} -. "{_keepalive(peer.persistent_keepalive)}" .- {ids[peer.end]}'
        for peer in picture.peers
        if peer.state == READY
    ]
    yield from (f"  {line}" for line in dict.fromkeys(linked))


def _keepalive(seconds: int) -> str:
    return f"keepalive {age(seconds)}" if seconds else "no keepalive"


def _label(*lines: str) -> str:
    return '"' + "<br>".join(map(_text, lines)) + '"'


def _text(text: str) -> str:
    shown = "".join(_characters(printable(text, _TEXT_LIMIT)))
    return _LISTS.sub(lambda mark: f"#{ord(mark[0])};", shown)


def _characters(text: Iterable[str]) -> Iterator[str]:
    for character in text:
        plain = (character.isalnum() and character.isascii()) or character in _PLAIN
        yield character if plain else f"#{ord(character)};"
