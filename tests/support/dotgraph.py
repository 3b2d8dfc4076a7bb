"""DOT text as a comparable graph, read by an independent parser."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any, NamedTuple

import pydot


class Graph(NamedTuple):
    """The contents of a DOT file, without order and white space."""

    attributes: dict[str, str]
    nodes: dict[str, tuple[str, dict[str, Any]]]
    """The cluster and attributes of each node; its label as lines."""
    clusters: dict[str, dict[str, str]]
    edges: Counter[tuple[str, str, tuple[tuple[str, str], ...]]]


@lru_cache(maxsize=256)
def parsed_graph(text: str) -> Graph:
    """Parse DOT; raises AssertionError if it is not exactly one graph."""
    graphs = pydot.graph_from_dot_data(text)
    assert graphs is not None
    (graph,) = graphs
    nodes, clusters = {}, {}
    for cluster in graph.get_subgraphs():
        name = _plain(str(cluster.get_name()))
        clusters[name] = _attributes(cluster)
        for node in cluster.get_nodes():
            attributes: dict[str, Any] = _attributes(node)
            attributes["label"] = _lines(attributes["label"])
            nodes[_plain(str(node.get_name()))] = (name, attributes)
    edges = Counter(
        (
            _plain(str(edge.get_source())),
            _plain(str(edge.get_destination())),
            tuple(sorted(_attributes(edge).items())),
        )
        for edge in graph.get_edges()
    )
    return Graph(_attributes(graph), nodes, clusters, edges)


def _attributes(part: Any) -> dict[str, str]:
    return {name: _plain(value) for name, value in part.get_attributes().items()}


def _plain(text: str) -> str:
    return text[1:-1] if text.startswith('"') else text


def _lines(label: str) -> list[str]:
    """Return the nonempty lines of a label: the reference ends some with an empty one."""
    lines = label.replace("\n", "\\n").split("\\n")
    return [line.strip() for line in lines if line.strip()]
