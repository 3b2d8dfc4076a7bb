"""The network as a graph in Graphviz's DOT language.

The graph is the reference's: the same nodes, labels, clusters, attributes and edges. The
``graphviz`` package builds it and quotes every text; nodes and edges, of which there may be half
a million, are written as lines into its body, as its own methods would, but in a tenth of the time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import graphviz
from graphviz.quoting import quote

from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Segment, Topology

_TEXT_LIMIT = 1000  # characters of a name, or of one line of a label
_NAMES_KEPT = 1 << 14


def to_dot(topology: Topology, drawn_in: Iterable[str] = ()) -> str:
    """Return the network as DOT text, with the edges ``drawn_in`` that :func:`edge` made."""
    graph = graphviz.Digraph("kilo")
    graph.attr(
        label=_text(str(topology.subnet)),
        labelloc="t",
        outputorder="nodesfirst",
        overlap="false",
    )
    graph.body.extend(_edges(topology))
    for segment in topology.segments:
        graph.subgraph(_segment(segment))  # one made by graph.subgraph() would copy all edges
    graph.subgraph(_peers(topology.peers))
    graph.body.extend(drawn_in)
    return str(graph.source)


def edge(start: str, end: str, label: str, **attributes: str) -> str:
    """Return a line of DOT: an edge from one name to another, with a label."""
    words = " ".join(f"{name}={value}" for name, value in attributes.items())
    return f"\t{_name(start)} -> {_name(end)} [label={_label(label)} {words}]\n"


def _edges(topology: Topology) -> Iterator[str]:
    leaders = [_name(segment.leader.name) for segment in topology.segments]
    for segment, leader in zip(topology.segments, leaders, strict=True):
        for node in segment.nodes:
            if node is not segment.leader:
                yield f"\t{leader} -> {_name(node.name)} [dir=both]\n"
    for position, leader in enumerate(leaders):
        for other in leaders[position + 1 :]:
            yield f"\t{leader} -> {other} [dir=both]\n"
    peers = [_name(peer.name) for peer in topology.peers]
    for leader in leaders:
        for peer in peers:
            yield f"\t{leader} -> {peer} [dir=both style=dashed]\n"


def _segment(segment: Segment) -> graphviz.Digraph:
    cluster = graphviz.Digraph(f"cluster_location_{_text(segment.name)}")
    cluster.attr(label=_text(_without_entities(segment.name)), style="dashed,rounded")
    for node in segment.nodes:
        rank = " rank=1" if node is segment.leader else ""
        label = _label(*_node_lines(segment, node))
        cluster.body.append(f"\t{_name(node.name)} [label={label}{rank} shape=ellipse]\n")
    return cluster


def _peers(peers: tuple[Peer, ...]) -> graphviz.Digraph:
    cluster = graphviz.Digraph("cluster_peers")
    cluster.attr(label="peers", style="dashed,rounded")
    for peer in peers:
        label = _label(peer.name, "" if peer.endpoint is None else str(peer.endpoint))
        cluster.body.append(f"\t{_name(peer.name)} [label={label} shape=ellipse]\n")
    return cluster


def _node_lines(segment: Segment, node: Node) -> Iterator[str]:
    yield segment.name
    yield node.name
    yield str(node.subnet)
    if node.internal_ip is not None:
        yield str(node.internal_ip.address)
    if node is segment.leader:
        yield str(segment.wireguard_ip)
        yield str(node.endpoint)  # as annotated: the reference draws no discovered one


@lru_cache(_NAMES_KEPT)
def _name(text: str) -> str:
    """Return a name as an identifier of DOT, quoted where it has to be."""
    # with a dash in it, as most names have, it is neither DOT's ID nor a number; and it is no HTML
    if "-" in text[1:] and _is_harmless(text) and text[0] != "<":
        return f'"{text}"'
    return str(quote(_text(text)))


def _is_harmless(text: str) -> bool:
    """Tell whether nothing in a text is more than itself between the quotes of DOT."""
    active = '"' in text or "\\" in text or "&" in text
    return not active and len(text) <= _TEXT_LIMIT and text.isprintable()


def _label(*lines: str) -> str:
    """Return lines as a label of DOT."""
    if _is_harmless("".join(lines)):
        return '"' + "\\n".join(lines) + '"'  # as graphviz quotes it, at once
    return str(quote(_text(*map(_without_entities, lines))))


def _without_entities(text: str) -> str:
    """Return the text of a label such that Graphviz draws ``&lt;`` or ``&#10;`` as it stands."""
    return printable(text, _TEXT_LIMIT).replace("&", "&amp;")


def _text(*lines: str) -> str:
    """Return lines as one text in which neither a backslash nor an HTML-like ``<`` acts."""
    text: str = graphviz.nohtml("\\n".join(map(_line, lines)))
    return text


def _line(text: str) -> str:
    return printable(text, _TEXT_LIMIT).replace("\\", "\\\\")
