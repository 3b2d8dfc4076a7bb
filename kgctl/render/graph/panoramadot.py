"""Several clusters in DOT: a frame around each, and between them the tunnels that link them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import graphviz

from kgctl.render.graph.dotquoting import label, text, without_entities
from kgctl.render.graph.panorama import LINKED, ONE_SIDED
from kgctl.render.graph.richdot import Drawing, sheet
from kgctl.render.graph.richlegend import legend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.render.graph.panorama import Bridge, Panorama

_MOST_LINES = 24  # bridges that are drawn one by one; of more, one line for two clusters
_BOTH = 'color="#009e73" penwidth=2.6'
_BROKEN = 'color="#d55e00" style=dotted penwidth=2.6 fontcolor="#9c3f00"'


def to_rich_dot_of_clusters(panorama: Panorama, layout: str | None = None) -> str:
    """Return the clusters as DOT text, for Graphviz's program ``layout``: dot by default."""
    drawings = [Drawing(view.picture, f"c{number}x") for number, view in enumerate(panorama.views)]
    framed = any(drawing.framed for drawing in drawings)
    lines = all(drawing.lines for drawing in drawings)
    title = f"{len(drawings)} clusters: {', '.join(panorama.counts())}"
    states = {bridge.state for bridge in panorama.bridges}
    between = tuple(state for state in (LINKED, ONE_SIDED) if state in states)
    caption = legend(panorama.whole, title, framed=framed, lines=lines, between=between)
    graph = sheet(layout or "dot", caption, framed=framed)
    for number, (view, drawing) in enumerate(zip(panorama.views, drawings, strict=True)):
        cluster = graphviz.Digraph(f"cluster_c{number}")
        name = without_entities(f"{view.name}: {view.picture.subnet}")
        cluster.attr(label=text(name), style="rounded,bold", color="#1a1a1a", fontsize="15",
                     fontcolor="#1a1a1a", labeljust="l", margin="16")  # fmt: skip
        drawing.draw_into(cluster)
        graph.subgraph(cluster)
    ids = {view.name: drawing.ids for view, drawing in zip(panorama.views, drawings, strict=True)}
    if len(panorama.bridges) > _MOST_LINES:
        graph.body.extend(_bundles(panorama, ids))
    else:
        graph.body.extend(dict.fromkeys(_bridge(bridge, ids) for bridge in panorama.bridges))
    return str(graph.source)


_Ids = dict[str, dict[tuple[str, str], str]]


def _ends(bridge: Bridge, ids: _Ids) -> str:
    (first, one), (second, other) = bridge.source, bridge.target
    return f"{ids[first][one.end]} -> {ids[second][other.end]}"


def _bridge(bridge: Bridge, ids: _Ids) -> str:
    look = _BOTH
    if bridge.state == ONE_SIDED:
        look = f"{_BROKEN} label={label('one-sided', bridge.missing)}"
    else:
        said = ["NAT"] if bridge.behind_nat else []
        said += ["by hand"] if bridge.by_hand else []
        look += " style=dashed" if bridge.behind_nat else ""
        look += f" label={label(*said)}" if said else ""
    return f"\t{_ends(bridge, ids)} [{look}]\n"


def _bundles(panorama: Panorama, ids: _Ids) -> Iterator[str]:
    """Yield a line for each two clusters, with how many tunnels it stands for."""
    numbers = {view.name: number for number, view in enumerate(panorama.views)}
    found: dict[tuple[str, str], list[Bridge]] = {}
    for bridge in panorama.bridges:
        found.setdefault((bridge.source[0], bridge.target[0]), []).append(bridge)
    for (first, second), bridges in found.items():
        one_sided = sum(bridge.state == ONE_SIDED for bridge in bridges)
        words = f"{len(bridges) - one_sided} tunnels"
        words += f", {one_sided} one-sided" if one_sided else ""
        frames = f"ltail=cluster_c{numbers[first]} lhead=cluster_c{numbers[second]}"
        look = _BROKEN if one_sided else _BOTH
        yield f"\t{_ends(bridges[0], ids)} [{look} {frames} label={label(words)}]\n"
