"""The network as a graph in Graphviz's DOT language.

The graph is the reference's: the same nodes, labels, clusters, attributes and edges. The
``graphviz`` package builds it and quotes every text; nodes and edges, of which there may be half
a million, are written as lines into its body, as its own methods would, but in a tenth of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import graphviz

from kgctl.mesh.cidr import address_text
from kgctl.render.dotquoting import identifier, label, text, without_entities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Segment, Topology


def to_dot(topology: Topology, drawn_in: Iterable[str] = ()) -> str:
    """Return the network as DOT text, with the edges ``drawn_in`` that :func:`edge` made."""
    graph = graphviz.Digraph("kilo")
    graph.attr(
        label=text(str(topology.subnet)),
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


def edge(start: str, end: str, words: str, **attributes: str) -> str:
    """Return a line of DOT: an edge from one name to another, with a label."""
    look = " ".join(f"{name}={value}" for name, value in attributes.items())
    return f"\t{identifier(start)} -> {identifier(end)} [label={label(words)} {look}]\n"


def _edges(topology: Topology) -> Iterator[str]:
    leaders = [identifier(segment.leader.name) for segment in topology.segments]
    for segment, leader in zip(topology.segments, leaders, strict=True):
        for node in segment.nodes:
            if node is not segment.leader:
                yield f"\t{leader} -> {identifier(node.name)} [dir=both]\n"
    for position, leader in enumerate(leaders):
        for other in leaders[position + 1 :]:
            yield f"\t{leader} -> {other} [dir=both]\n"
    peers = [identifier(peer.name) for peer in topology.peers]
    for leader in leaders:
        for peer in peers:
            yield f"\t{leader} -> {peer} [dir=both style=dashed]\n"


def _segment(segment: Segment) -> graphviz.Digraph:
    cluster = graphviz.Digraph(f"cluster_location_{text(segment.name)}")
    cluster.attr(label=text(without_entities(segment.name)), style="dashed,rounded")
    for node in segment.nodes:
        rank = " rank=1" if node is segment.leader else ""
        caption = label(*_node_lines(segment, node))
        cluster.body.append(f"\t{identifier(node.name)} [label={caption}{rank} shape=ellipse]\n")
    return cluster


def _peers(peers: tuple[Peer, ...]) -> graphviz.Digraph:
    cluster = graphviz.Digraph("cluster_peers")
    cluster.attr(label="peers", style="dashed,rounded")
    for peer in peers:
        caption = label(peer.name, "" if peer.endpoint is None else str(peer.endpoint))
        cluster.body.append(f"\t{identifier(peer.name)} [label={caption} shape=ellipse]\n")
    return cluster


def _node_lines(segment: Segment, node: Node) -> Iterator[str]:
    yield segment.name
    yield node.name
    yield str(node.subnet)
    if node.internal_ip is not None:
        yield address_text(node.internal_ip.address)
    if node is segment.leader:
        yield str(segment.wireguard_ip)
        yield str(node.endpoint)  # as annotated: the reference draws no discovered one
