"""The network as a graph in Graphviz's DOT language.

The graph is the reference's: the same nodes, labels, clusters, attributes and edges. The
``graphviz`` package builds it and quotes every text; the edges, which may be half a million,
are written as lines into its body, each name quoted once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import graphviz

    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Segment, Topology

_TEXT_LIMIT = 1000  # characters of a name, or of one line of a label


def to_dot(topology: Topology) -> str:
    """Return the network as DOT text."""
    import graphviz

    graph = graphviz.Digraph("kilo")
    graph.attr(
        label=_label(str(topology.subnet)),
        labelloc="t",
        outputorder="nodesfirst",
        overlap="false",
    )
    graph.body.extend(_edges(topology))
    for segment in topology.segments:
        _add_segment(graph, segment)
    _add_peers(graph, topology.peers)
    return str(graph.source)


def _edges(topology: Topology) -> Iterator[str]:
    from graphviz.quoting import quote

    leaders = [quote(_id(segment.leader.name)) for segment in topology.segments]
    for segment, leader in zip(topology.segments, leaders, strict=True):
        for node in segment.nodes:
            if node is not segment.leader:
                yield f"\t{leader} -> {quote(_id(node.name))} [dir=both]\n"
    for position, leader in enumerate(leaders):
        for other in leaders[position + 1 :]:
            yield f"\t{leader} -> {other} [dir=both]\n"
    peers = [quote(_id(peer.name)) for peer in topology.peers]
    for leader in leaders:
        for peer in peers:
            yield f"\t{leader} -> {peer} [dir=both style=dashed]\n"


def _add_segment(graph: graphviz.Digraph, segment: Segment) -> None:
    name = f"cluster_location_{_id(segment.name)}"
    with graph.subgraph(name=name) as cluster:
        cluster.attr(label=_label(segment.name), style="dashed,rounded")
        for node in segment.nodes:
            label = _label(*_node_lines(segment, node))
            rank = {"rank": "1"} if node is segment.leader else {}
            cluster.node(_id(node.name), label=label, shape="ellipse", **rank)


def _add_peers(graph: graphviz.Digraph, peers: tuple[Peer, ...]) -> None:
    with graph.subgraph(name="cluster_peers") as cluster:
        cluster.attr(label="peers", style="dashed,rounded")
        for peer in peers:
            endpoint = "" if peer.endpoint is None else str(peer.endpoint)
            cluster.node(_id(peer.name), label=_label(peer.name, endpoint), shape="ellipse")


def _node_lines(segment: Segment, node: Node) -> Iterator[str]:
    yield segment.name
    yield node.name
    yield str(node.subnet)
    if node.internal_ip is not None:
        yield str(node.internal_ip.address)
    if node is segment.leader:
        yield str(segment.wireguard_ip)
        yield str(node.endpoint)  # as annotated: the reference draws no discovered one


def _id(text: str) -> str:
    return _label(text)


def _label(*lines: str) -> str:
    """Return lines as one text in which neither a backslash nor an HTML-like ``<`` acts."""
    from graphviz import nohtml

    escaped = (printable(line, _TEXT_LIMIT).replace("\\", "\\\\") for line in lines)
    text: str = nohtml("\\n".join(escaped))
    return text
