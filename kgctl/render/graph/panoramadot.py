"""Several clusters in DOT: a frame around each, and the tunnels between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import graphviz

from kgctl.render.graph.dot import label, text, without_entities
from kgctl.render.graph.panorama import LINKED, ONE_SIDED
from kgctl.render.graph.plan import plan_of_clusters
from kgctl.render.graph.richdot import ROOM, Drawing, sheet
from kgctl.render.graph.richlegend import legend

if TYPE_CHECKING:
    from kgctl.render.graph.panorama import Bridge, Panorama
    from kgctl.render.graph.plan import Bundle

_BOTH = 'color="#009e73" penwidth=2.6'
_BROKEN = 'color="#d55e00" style=dotted penwidth=2.6 fontcolor="#9c3f00"'


def to_rich_dot_of_clusters(panorama: Panorama, layout: str | None = None) -> str:
    """Return the clusters as DOT text, for Graphviz's program ``layout``: dot by default."""
    plan = plan_of_clusters(panorama, ROOM)
    drawings = [Drawing(one, f"c{number}x") for number, one in enumerate(plan.plans)]
    framed = any(one.framed for one in plan.plans)
    lines = all(one.lines for one in plan.plans)
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
    graph.body.extend(dict.fromkeys(_bridge(bridge, ids) for bridge in plan.bridges))
    numbers = {view.name: number for number, view in enumerate(panorama.views)}
    graph.body.extend(_bundle(bundle, ids, numbers) for bundle in plan.bundles)
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


def _bundle(bundle: Bundle, ids: _Ids, numbers: dict[str, int]) -> str:
    first, second = bundle.ends
    frames = f"ltail=cluster_c{numbers[first]} lhead=cluster_c{numbers[second]}"
    look = _BROKEN if bundle.one_sided else _BOTH
    return f"\t{_ends(bundle.bridges[0], ids)} [{look} {frames} label={label(bundle.caption)}]\n"
