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

    from kgctl.mesh.linked import Crossing, Linked
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Segment, Topology


def to_dot(topology: Topology, drawn_in: Iterable[str] = ()) -> str:
    """Return the network as DOT text, with the edges ``drawn_in`` that :func:`edge` made."""
    graph = _sheet(str(topology.subnet))
    _draw_into(graph, topology)
    graph.body.extend(drawn_in)
    return str(graph.source)


def to_dot_of_clusters(linked: Linked, drawn_in: Iterable[str] = ()) -> str:
    """Return several networks as DOT text: a cluster each, and edges between linked segments.

    The name of a node begins with that of its cluster: ``CLUSTER/NAME``. An edge of a link that one
    side alone has points to the side that is known, and says who lacks whom.
    """
    graph = _sheet(*(str(member.topology.subnet) for member in linked.members))
    for number, member in enumerate(linked.members):
        links = {link.peer.name: link for link in linked.links if link.holder == member.name}
        peers = [peer for peer in member.topology.peers if peer.name not in links]
        cluster = graphviz.Digraph(f"cluster_{number}")
        cluster.attr(label=text(without_entities(member.name)), style="rounded")
        shown = member.topology._replace(peers=tuple(peers))
        _draw_into(cluster, shown, prefix=f"{member.name}/", number=f"{number}_")
        cluster.body.extend(
            f"\t{identifier(f'{member.name}/{link.peer.name}')} [label="
            f"{label(link.peer.name, f'stale link to {link.source}', link.why)} "
            "shape=octagon style=dotted]\n"
            for link in links.values()
            if link.segment is None
        )
        graph.subgraph(cluster)
    graph.body.extend(map(_crossing, linked.crossings()))
    graph.body.extend(drawn_in)
    return str(graph.source)


def _sheet(*title: str) -> graphviz.Digraph:
    graph = graphviz.Digraph("kilo")
    graph.attr(label=text(*title), labelloc="t", outputorder="nodesfirst", overlap="false")
    return graph


def _draw_into(
    graph: graphviz.Digraph, topology: Topology, prefix: str = "", number: str = ""
) -> None:
    graph.body.extend(_edges(topology, prefix))
    for segment in topology.segments:
        # one made by graph.subgraph() would copy all edges
        graph.subgraph(_segment(segment, prefix, number))
    graph.subgraph(_peers(topology.peers, prefix, number))


def _crossing(one: Crossing) -> str:
    ends = [f"{one.first}/{one.segment.leader.name}", f"{one.second}/{one.other.leader.name}"]
    if one.there is None:
        ends.reverse()
    source, target = map(identifier, ends)
    if one.works:
        return f"\t{source} -> {target} [dir=both style=bold]\n"
    look = f"label={label(f'one-sided: {one.missing()}')} style=dotted color=crimson"
    return f"\t{source} -> {target} [{look}]\n"


def edge(start: str, end: str, words: str, **attributes: str) -> str:
    """Return a line of DOT: an edge from one name to another, with a label."""
    look = " ".join(f"{name}={value}" for name, value in attributes.items())
    return f"\t{identifier(start)} -> {identifier(end)} [label={label(words)} {look}]\n"


def _edges(topology: Topology, prefix: str) -> Iterator[str]:
    leaders = [identifier(prefix + segment.leader.name) for segment in topology.segments]
    for segment, leader in zip(topology.segments, leaders, strict=True):
        for node in segment.nodes:
            if node is not segment.leader:
                yield f"\t{leader} -> {identifier(prefix + node.name)} [dir=both]\n"
    for position, leader in enumerate(leaders):
        for other in leaders[position + 1 :]:
            yield f"\t{leader} -> {other} [dir=both]\n"
    peers = [identifier(prefix + peer.name) for peer in topology.peers]
    for leader in leaders:
        for peer in peers:
            yield f"\t{leader} -> {peer} [dir=both style=dashed]\n"


def _segment(segment: Segment, prefix: str, number: str) -> graphviz.Digraph:
    cluster = graphviz.Digraph(f"cluster_{number}location_{text(segment.name)}")
    cluster.attr(label=text(without_entities(segment.name)), style="dashed,rounded")
    for node in segment.nodes:
        rank = " rank=1" if node is segment.leader else ""
        caption = label(*_node_lines(segment, node))
        cluster.body.append(
            f"\t{identifier(prefix + node.name)} [label={caption}{rank} shape=ellipse]\n"
        )
    return cluster


def _peers(peers: tuple[Peer, ...], prefix: str, number: str) -> graphviz.Digraph:
    cluster = graphviz.Digraph(f"cluster_{number}peers")
    cluster.attr(label="peers", style="dashed,rounded")
    for peer in peers:
        caption = label(peer.name, "" if peer.endpoint is None else str(peer.endpoint))
        cluster.body.append(f"\t{identifier(prefix + peer.name)} [label={caption} shape=ellipse]\n")
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
