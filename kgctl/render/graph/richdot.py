"""A picture in Graphviz's DOT language, with locations as areas, states and a legend.

The colours are those of Okabe and Ito, which colour-blind people can distinguish. Line styles and
words repeat the meaning of every colour.
"""

from __future__ import annotations

from itertools import count, pairwise
from typing import TYPE_CHECKING, NamedTuple

import graphviz

from kgctl.render.graph.dot import label, text, without_entities
from kgctl.render.graph.picture import (
    BROKEN,
    LOCAL,
    OUTSIDE,
    READY,
    area_lines,
    keepalive,
    node_lines,
    number,
    number_of_peers,
    peer_lines,
    place,
    title,
)
from kgctl.render.graph.plan import Room, plan_of
from kgctl.render.graph.richlegend import (
    AREAS,
    BLUE,
    GREY,
    INK,
    KEPT,
    LEADER,
    NATTED,
    PAPER,
    STATES,
    TUNNEL,
    legend,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.render.graph.picture import Area, End, Link, Member, Outsider, Picture
    from kgctl.render.graph.plan import Plan

ROOM = Room(lines=12, bridges=24, spokes=12, peers=24, details=40, lone_hub=True)

_PEERS_IN_A_ROW = 12
_FOLLOWERS = 4  # maximum number of nodes of an area in one row, with a line to each


class _Column(NamedTuple):
    """A column of a grid: its first and its last node."""

    top: str
    bottom: str


def to_rich_dot(picture: Picture, layout: str | None = None) -> str:
    """Return the picture as DOT text, for Graphviz's program ``layout``: dot by default."""
    return Drawing(plan_of(picture, ROOM)).source(layout or "dot")


def sheet(layout: str, caption: str, *, framed: bool, name: str = "kilo") -> graphviz.Digraph:
    """Return an empty graph with a ``name`` and a ``caption``, the legend."""
    graph = graphviz.Digraph(name)
    graph.attr(
        layout=layout,
        label=caption,
        labelloc="t",
        fontname="Helvetica",
        fontsize="11",
        bgcolor=PAPER,
        overlap="false",
        splines="true",
        newrank="true",
        compound="true",
        nodesep="0.18",
        ranksep="0.32" if framed else "0.5",
    )
    graph.attr("node", fontname="Helvetica", fontsize="11", shape="box", margin="0.12,0.07",
               fillcolor=PAPER, fontcolor=INK, color=GREY, height="0.3")  # fmt: skip
    graph.attr("edge", fontname="Helvetica", fontsize="10", dir="none", fontcolor=INK)
    return graph


class Drawing:
    """Draws one picture to DOT. Nodes and peers get generated identifiers, not their names.

    A ``prefix`` distinguishes those of several pictures in one graph. ``ids`` is complete after
    drawing.
    """

    def __init__(self, plan: Plan, prefix: str = "") -> None:
        self._plan = plan
        self._picture = plan.picture
        self._prefix = prefix
        self._numbers = count()
        self.ids: dict[End, str] = {}
        self._top = ""  # the middle item of the first row of a frame

    def source(self, layout: str) -> str:
        """Return the DOT text, for Graphviz's program ``layout``."""
        caption = legend(
            self._picture, self._title(), framed=self._plan.framed, lines=self._plan.lines
        )
        name = "kilo" if self._picture.network is None else self._picture.network
        graph = sheet(layout, caption, framed=self._plan.framed, name=name)
        self.draw_into(graph)
        return str(graph.source)

    def draw_into(self, graph: graphviz.Digraph) -> None:
        """Draw the picture into a graph, or into a cluster of one."""
        graph.subgraph(self._mesh())
        if self._picture.peers:
            graph.subgraph(self._peers())
        graph.body.extend(self._edges())

    def _title(self) -> str:
        picture = self._picture
        nodes = list(picture.nodes)
        ready = sum(node.state == READY for node in nodes)
        focus = "a part of the " if picture.reach is not None else ""
        if picture.network is not None:
            machines = number_of_peers(picture, len(picture.peers))
            return f"{focus}{title(picture)}: {machines}"
        return (
            f"{focus}{title(picture)}: {ready} of {len(nodes)} nodes ready, "
            f"{number(len(picture.areas), 'location')}, {number(len(picture.peers), 'peer')}"
        )

    # --- areas and their contents ---

    def _mesh(self) -> graphviz.Digraph:
        mesh = graphviz.Digraph(self._own("cluster_mesh" if self._plan.framed else "mesh"))
        if self._plan.framed:
            mesh.attr(label="WireGuard: each location linked with each", style="rounded,bold",
                      color=BLUE, fontcolor=BLUE, margin="18")  # fmt: skip
        if self._picture.collapsed:
            mesh.body.extend(self._collapsed())
            return mesh
        columns: list[_Column] = []
        for position, area in enumerate(self._picture.areas):
            cluster, column = self._area(position, area)
            mesh.subgraph(cluster)
            columns.append(column)
        if self._plan.framed:
            wide = _columns(len(columns))
            self._top = columns[wide // 2].top
            mesh.body.extend(_in_order([column.top for column in columns[:wide]]))
            for above, below in zip(columns, columns[wide:], strict=False):
                mesh.body.append(f"\t{above.bottom} -> {below.top} [style=invis weight=20]\n")
        return mesh

    def _area(self, position: int, area: Area) -> tuple[graphviz.Digraph, _Column]:
        line, ground = AREAS[position % len(AREAS)]
        cluster = graphviz.Digraph(self._own(f"cluster_{position}"))
        cluster.attr(label=text(without_entities(place(area))), style="filled,rounded",
                     color=line, fillcolor=ground, fontcolor=INK, fontsize="13", margin="12",
                     labeljust="l", penwidth="1.5")  # fmt: skip
        for node in area.nodes:
            cluster.body.append(self._node(node, line))
        ids = [self.ids[node.end] for node in area.nodes]
        leaders = sum(node.leads for node in area.nodes)
        if leaders > _FOLLOWERS:  # too many for one row
            leaders = 0
        cluster.body.extend(_grid(ids[:leaders], ids[leaders:]))
        return cluster, _Column(ids[0], ids[-1])

    def _node(self, node: Member, line: str) -> str:
        look = STATES[node.state] + (f' color="{line}"' if node.state == READY else "")
        if node.leads:
            look = f'{LEADER} color="{line}"'
        caption = label(*node_lines(node, detailed=self._plan.detailed))
        return f"\t{self._new(node.end)} [label={caption} {look}]\n"

    def _collapsed(self) -> Iterator[str]:
        ids = []
        for position, area in enumerate(self._picture.areas):
            line, ground = AREAS[position % len(AREAS)]
            own = f"{self._prefix}a{position}"
            for node in area.nodes:
                self.ids[node.end] = own
            ids.append(own)
            dash = ",dashed" if any(node.behind_nat for node in area.nodes if node.leads) else ""
            caption = label(*area_lines(area))
            yield (
                f'\t{own} [label={caption} style="filled,rounded{dash}" color="{line}" '
                f'fillcolor="{ground}" penwidth=2]\n'
            )
        if self._plan.framed:
            yield from _grid([], ids)
            self._top = ids[_columns(len(ids)) // 2]

    def _peers(self) -> graphviz.Digraph:
        cluster = graphviz.Digraph(self._own("cluster_peers"))
        peers = self._picture.peers
        outside = ", outside the cluster" if self._picture.network is None else ""
        cluster.attr(label=f"{number_of_peers(self._picture, len(peers))}{outside}",
                     style="filled,rounded,dashed", color=GREY, fillcolor="#f2f2f2",
                     fontcolor=INK, fontsize="13", labeljust="l", margin="12")  # fmt: skip
        if self._plan.peers_apart:
            cluster.body.extend(map(self._peer, peers))
            ready = [peer for peer in peers if peer.state == READY]
            others = [peer for peer in peers if peer.state != READY]
            in_order = [self.ids[peer.end] for peer in (*others, *ready)]  # lines point down
            cluster.body.extend(_grid([], in_order, least=_PEERS_IN_A_ROW))
        else:
            own = f"{self._prefix}peers"
            self.ids.update((peer.end, own) for peer in peers)
            taking_part = sum(peer.state == READY for peer in peers)
            cluster.body.append(
                f'\t{own} [label="{taking_part} of {len(peers)} ready" shape=ellipse]\n'
            )
        return cluster

    def _peer(self, peer: Outsider) -> str:
        look = STATES[peer.state] if peer.state != READY else 'style="filled"'
        caption = label(*peer_lines(peer, detailed=self._plan.detailed))
        shape = "" if peer.state == BROKEN else " shape=ellipse"
        return f"\t{self._new(peer.end)} [label={caption} {look}{shape}]\n"

    def _own(self, name: str) -> str:
        """Return the name of a subgraph; Graphviz frames those that begin with ``cluster``."""
        if not self._prefix:
            return name
        kind, _, rest = name.rpartition("_")
        return f"{kind}_{self._prefix}{rest}" if kind else f"{self._prefix}{rest}"

    def _new(self, end: End) -> str:
        self.ids[end] = f"{self._prefix}{end[0][0]}{next(self._numbers)}"
        return self.ids[end]

    # --- lines ---

    def _edges(self) -> Iterator[str]:
        if not self._picture.collapsed:
            yield from self._local()
        if self._plan.lines:
            yield from map(self._tunnel, self._plan.tunnels)
        elif self._plan.framed:
            yield from self._to_the_frame()
        else:
            yield from self._spokes()

    def _local(self) -> Iterator[str]:
        crowded = {
            node.end
            for area in self._picture.areas
            if sum(not node.leads for node in area.nodes) > _FOLLOWERS  # rows hide each other
            for node in area.nodes
        }
        for link in self._picture.links():
            if link.kind != LOCAL:
                return
            if link.source not in crowded:
                yield f'\t{self._ends(link)} [color="{GREY}" penwidth=0.8]\n'

    def _tunnel(self, link: Link) -> str:
        if link.kind == OUTSIDE:
            look = KEPT + f" label={label(keepalive(link.persistent_keepalive))}"
            return f"\t{self.ids[link.target]} -> {self.ids[link.source]} [{look}]\n"
        look = f'{NATTED} label="NAT"' if link.behind_nat else TUNNEL
        return f"\t{self._ends(link)} [{look} constraint=false]\n"

    def _ends(self, link: Link) -> str:
        return f"{self.ids[link.source]} -> {self.ids[link.target]}"

    def _spokes(self) -> Iterator[str]:
        hub = f"{self._prefix}hub"
        yield (
            f'\t{hub} [label="{self._hub_words()}" shape=ellipse '
            f'style="filled,bold" color="{BLUE}" fillcolor="{AREAS[0][1]}" penwidth=2]\n'
        )
        for peer in self._linked_peers():
            if self._plan.peers_apart:
                caption = label(keepalive(peer.persistent_keepalive))
                yield f"\t{self.ids[peer.end]} -> {hub} [{KEPT} label={caption}]\n"
        if not self._plan.peers_apart:
            yield f"\t{self._prefix}peers -> {hub} [{KEPT}]\n"
        seen = set()
        for leader in self._picture.leaders:
            if self.ids[leader.end] not in seen:
                look = f'{NATTED} label="NAT"' if leader.behind_nat else TUNNEL
                yield f"\t{hub} -> {self.ids[leader.end]} [{look}]\n"
            seen.add(self.ids[leader.end])

    def _hub_words(self) -> str:
        if self._picture.network is None:
            return "WireGuard mesh:\\neach linked with each"
        return "WireGuard:\\neach linked with each\\nof which one can call"

    def _to_the_frame(self) -> Iterator[str]:
        peers = self._linked_peers()
        if peers:
            last = self.ids[peers[-1].end]
            tail, head = self._own("cluster_peers"), self._own("cluster_mesh")
            yield (
                f"\t{last} -> {self._top} [{KEPT} ltail={tail} lhead={head} "
                'label="each peer linked with each location"]\n'
            )

    def _linked_peers(self) -> list[Outsider]:
        return [peer for peer in self._picture.peers if peer.state == READY]


def _in_order(row: Sequence[str]) -> Iterator[str]:
    """Place a row from left to right."""
    if len(row) > 1:
        yield f"\t{{ rank=same {' -> '.join(row)} [style=invis] }}\n"


def _grid(heads: Sequence[str], others: Sequence[str], least: int = 1) -> Iterator[str]:
    """Place ``others`` below ``heads`` in rows of ``least`` or more, by invisible lines."""
    wide = max(least, 1, _columns(len(others)))
    rows = [list(others[start : start + wide]) for start in range(0, len(others), wide)]
    yield from _in_order(heads)
    if heads and rows:
        middle = heads[len(heads) // 2]
        for node in rows[0]:
            yield f"\t{middle} -> {node} [style=invis]\n"
    elif rows:
        yield from _in_order(rows[0])
    for above, below in pairwise(rows):
        for one, other in zip(above, below, strict=False):
            yield f"\t{one} -> {other} [style=invis weight=10]\n"


def _columns(number: int) -> int:
    return number if number <= _FOLLOWERS else round(number**0.5 + 0.4)
