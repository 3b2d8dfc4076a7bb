"""The table of formats of a graph, from which ``kgctl graph`` takes its options.

The format of a file name, the valid combinations of options, and errors follow from it. A writer
imports its modules when it is called.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.tree import Tree

    from kgctl.mesh.links import Linked
    from kgctl.mesh.topology import Topology
    from kgctl.render.graph.panorama import Panorama
    from kgctl.render.graph.picture import Picture
    from kgctl.render.page.content import Shown


class Cluster(Protocol):
    """One cluster; each method computes its result when a writer calls it."""

    def topology(self) -> Topology:
        """Return the network as the reference draws it."""

    def picture(self) -> Picture:
        """Return the picture of the part of the network to draw."""

    def page(self) -> Shown:
        """Return the contents of a page, always with the whole network."""


class Clusters(Protocol):
    """Several clusters; compare ``Cluster``."""

    def linked(self) -> Linked:
        """Return the networks, as the reference draws them, and their links."""

    def panorama(self) -> Panorama:
        """Return the picture of all clusters."""


class Look(NamedTuple):
    """The user's options of a graph that Graphviz draws: its style, and the program."""

    plain: bool = False
    layout: str | None = None


class Collapse(Enum):
    """When a format draws one node for each location."""

    NEVER = "never"
    ASKED = "asked"
    LARGE = "large"
    """Also if there are too many nodes for a screen."""


class Terminal(NamedTuple):
    """The coloured form of a format on a terminal: a tree that rich prints."""

    tree: Callable[[Picture], Tree]
    clusters: Callable[[Panorama], Tree]


class Excess(NamedTuple):
    """A graph that is too large for its viewers: their limit, and their behaviour beyond it."""

    most: str
    instead: str


One: TypeAlias = "Callable[[Cluster, Look], str | bytes]"
Several: TypeAlias = "Callable[[Clusters, Look], str | bytes]"


class GraphFormat(NamedTuple):
    """A format of graphs.

    ``endings`` are file name extensions with their dots. ``several`` is None for a format that can
    only show one cluster. ``style`` is the default style, or None if there is only one.
    ``drawn``: Graphviz draws it. ``binary``: not text. ``shaped``: it can show a part of the
    network. ``terminal`` is its form on a terminal, if that is not text; such a format can be
    watched. ``excess`` checks whether a graph is too large for its viewers.
    """

    name: str
    endings: tuple[str, ...]
    one: One
    several: Several | None
    collapse: Collapse
    style: str | None = None
    drawn: bool = False
    binary: bool = False
    shaped: bool = True
    terminal: Terminal | None = None
    excess: Callable[[str], Excess | None] | None = None


PLAIN, RICH = "plain", "rich"
STYLES = (PLAIN, RICH)
"""The style of the reference's graph, and that of a picture."""


def _dot(cluster: Cluster, look: Look) -> str:
    if look.plain:
        from kgctl.render.graph.dot import to_dot

        return to_dot(cluster.topology())
    from kgctl.render.graph.richdot import to_rich_dot

    return to_rich_dot(cluster.picture(), look.layout)


def _dots(clusters: Clusters, look: Look) -> str:
    if look.plain:
        from kgctl.render.graph.dot import to_dot_of_clusters

        return to_dot_of_clusters(clusters.linked())
    from kgctl.render.graph.panoramadot import to_rich_dot_of_clusters

    return to_rich_dot_of_clusters(clusters.panorama(), look.layout)


def _drawn(kind: str, *, binary: bool) -> GraphFormat:
    """Return a format that Graphviz draws from DOT."""

    def draw(dot: str, look: Look) -> bytes:
        from kgctl.render.graph import graphviz_programs as drawing

        return drawing.draw(dot, kind, look.layout or "dot")

    return GraphFormat(
        kind,
        (f".{kind}",),
        lambda cluster, look: draw(_dot(cluster, look), look),
        lambda clusters, look: draw(_dots(clusters, look), look),
        Collapse.LARGE,
        style=RICH,
        drawn=True,
        binary=binary,
    )


def _mermaid(cluster: Cluster, _look: Look) -> str:
    from kgctl.render.graph.mermaid import to_mermaid

    return to_mermaid(cluster.picture())


def _mermaids(clusters: Clusters, _look: Look) -> str:
    from kgctl.render.graph.mermaid import to_clusters_mermaid

    return to_clusters_mermaid(clusters.panorama())


def _mermaid_excess(text: str) -> Excess | None:
    from kgctl.render.graph.mermaid import excess

    return excess(text)


def _json(cluster: Cluster, _look: Look) -> str:
    from kgctl.render.graph.graphjson import to_graph_json

    return to_graph_json(cluster.picture())


def _jsons(clusters: Clusters, _look: Look) -> str:
    from kgctl.render.graph.graphjson import to_clusters_json

    return to_clusters_json(clusters.panorama())


def _tree(cluster: Cluster, _look: Look) -> str:
    from kgctl.render.graph.tree import to_tree

    return to_tree(cluster.picture())


def _trees(clusters: Clusters, _look: Look) -> str:
    from kgctl.render.graph.tree import to_clusters_tree

    return to_clusters_tree(clusters.panorama())


def _terminal_tree(picture: Picture) -> Tree:
    from kgctl.render.graph.tree import terminal_tree

    return terminal_tree(picture)


def _terminal_trees(panorama: Panorama) -> Tree:
    from kgctl.render.graph.tree import terminal_clusters_tree

    return terminal_clusters_tree(panorama)


def _page(cluster: Cluster, _look: Look) -> str:
    from kgctl.render.page.content import content, to_page

    return to_page(content(cluster.page()))


DOT = GraphFormat("dot", (".dot", ".gv"), _dot, _dots, Collapse.LARGE, style=PLAIN)
"""The default format."""

GRAPH_FORMATS = (
    DOT,
    _drawn("svg", binary=False),
    _drawn("png", binary=True),
    _drawn("pdf", binary=True),
    GraphFormat(
        "mermaid", (".mermaid", ".mmd"), _mermaid, _mermaids, Collapse.LARGE,
        excess=_mermaid_excess,
    ),
    GraphFormat("json", (".json",), _json, _jsons, Collapse.NEVER),
    GraphFormat(
        "tree", (".tree", ".txt"), _tree, _trees, Collapse.ASKED,
        terminal=Terminal(_terminal_tree, _terminal_trees),
    ),
    GraphFormat("html", (".html",), _page, several=None, collapse=Collapse.ASKED, shaped=False),
)  # fmt: skip
"""All formats of graphs."""
