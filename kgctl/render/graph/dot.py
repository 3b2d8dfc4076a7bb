"""The network as a graph in Graphviz's DOT language, and the quoting of DOT texts.

The graph has the same nodes, labels, clusters, attributes and edges as that of the reference. It is
written line by line without the ``graphviz`` package, which writes the other pictures: there may be
half a million edges, and importing the package takes longer than writing a graph.

Texts from the cluster are quoted so that nothing in them is active. Most are plain, and only get
quotes; the ``graphviz`` package quotes the others, and is imported only then, which takes 15 ms.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

from kgctl.mesh.cidr import address_text
from kgctl.mesh.network import direct_links
from kgctl.mesh.relays import relays_of
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.mesh.links import ClusterLink, Crossing, Linked
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Segment, Topology


_TEXT_LIMIT = 1000  # characters of a name, or of one line of a label
_NAMES_KEPT = 1 << 14


@lru_cache(_NAMES_KEPT)
def identifier(name: str) -> str:
    """Return a name as a quoted identifier of DOT, without active characters."""
    return f'"{name}"' if _is_harmless(name) else _quoted(text(name))


def _is_harmless(line: str) -> bool:
    """Return whether a text has no special character for DOT's quotes."""
    active = '"' in line or "\\" in line or "&" in line
    return not active and len(line) <= _TEXT_LIMIT and line.isprintable()


def label(*lines: str) -> str:
    """Return lines as a label of DOT."""
    if _is_harmless("".join(lines)):
        return '"' + "\\n".join(lines) + '"'
    return _quoted(text(*map(without_entities, lines)))


def _quoted(joined: str) -> str:
    """Quote a text with special characters by the ``graphviz`` package."""
    from graphviz.quoting import quote

    return str(quote(joined))


def without_entities(line: str) -> str:
    """Return the text of a label in which Graphviz draws ``&lt;`` or ``&#10;`` verbatim."""
    return printable(line, _TEXT_LIMIT).replace("&", "&amp;")


def text(*lines: str) -> str:
    """Return lines as one text without active backslashes or HTML-like ``<``."""
    import graphviz

    joined: str = graphviz.nohtml("\\n".join(map(_line, lines)))
    return joined  # keep its type, which quote() recognises


def _line(line: str) -> str:
    return printable(line, _TEXT_LIMIT).replace("\\", "\\\\")


def to_dot(topology: Topology, drawn_in: Iterable[str] = ()) -> str:
    """Return the network as DOT text, with the additional edges ``drawn_in`` from :func:`edge`."""
    lines = chain(_network(topology), drawn_in)
    if topology.network is not None:
        return _sheet([topology.network.name], lines, identifier(topology.network.name))
    return _sheet([str(topology.subnet)], lines)


def to_dot_of_clusters(linked: Linked, drawn_in: Iterable[str] = ()) -> str:
    """Return several networks as DOT text, one cluster each, with edges between linked segments.

    Nodes are named ``CLUSTER/NAME``. The edge of a one-sided link points to the side that the other
    has as a Peer; its label names the missing Peer.
    """
    clusters = []
    for number, member in enumerate(linked.members):
        links = {link.peer.name: link for link in linked.links if link.holder == member.name}
        peers = [peer for peer in member.topology.peers if peer.name not in links]
        shown = member.topology._replace(peers=tuple(peers))
        prefix = f"{member.name}/"
        lines = chain(_network(shown, prefix, f"{number}_"), _stale(links.values(), prefix))
        clusters.append(_cluster(f"cluster_{number}", member.name, "rounded", lines))
    title = [str(member.topology.subnet) for member in linked.members]
    crossings = map(_crossing, linked.crossings())
    return _sheet(title, chain(*clusters, crossings, drawn_in))


def _sheet(title: Iterable[str], lines: Iterable[str], name: str = "kilo") -> str:
    look = f"label={label(*title)} labelloc=t outputorder=nodesfirst overlap=false"
    return "".join(chain((f"digraph {name} {{\n", f"\t{look}\n"), lines, ("}\n",)))


def _cluster(name: str, caption: str, style: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a framed part of the graph."""
    yield f"\tsubgraph {identifier(name)} {{\n"
    yield f'\t\tlabel={label(caption)} style="{style}"\n'
    for line in lines:
        yield f"\t{line}"
    yield "\t}\n"


def _network(topology: Topology, prefix: str = "", number: str = "") -> Iterator[str]:
    yield from _edges(topology, prefix)
    for segment in topology.segments:
        name, lines = f"cluster_{number}location_{segment.name}", _nodes(segment, prefix)
        yield from _cluster(name, segment.name, "dashed,rounded", lines)
    peers = _peers(topology.peers, prefix)
    caption = "peers" if topology.network is None else "machines"
    yield from _cluster(f"cluster_{number}peers", caption, "dashed,rounded", peers)


def _stale(links: Iterable[ClusterLink], prefix: str) -> Iterator[str]:
    for link in links:
        if link.segment is None:
            caption = label(link.peer.name, f"stale link to {link.source}", link.why)
            name = identifier(prefix + link.peer.name)
            yield f"\t{name} [label={caption} shape=octagon style=dotted]\n"


def _crossing(one: Crossing) -> str:
    ends = [f"{one.first}/{one.segment.leader.name}", f"{one.second}/{one.other.leader.name}"]
    if one.there is None:
        ends.reverse()
    source, target = map(identifier, ends)
    if one.works:
        said = ' label="by hand"' if one.by_hand else ""
        return f"\t{source} -> {target} [dir=both style=bold{said}]\n"
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
    machines = topology.peers if topology.network is not None else ()
    for first, second in direct_links(machines, relayed=bool(relays_of(topology))):
        ends = identifier(prefix + first.name), identifier(prefix + second.name)
        yield f"\t{ends[0]} -> {ends[1]} [dir=both]\n"
    peers = [identifier(prefix + peer.name) for peer in topology.peers]
    for leader in leaders:
        for peer in peers:
            yield f"\t{leader} -> {peer} [dir=both style=dashed]\n"


def _nodes(segment: Segment, prefix: str) -> Iterator[str]:
    for node in segment.nodes:
        rank = " rank=1" if node is segment.leader else ""
        caption = label(*_node_lines(segment, node))
        yield f"\t{identifier(prefix + node.name)} [label={caption}{rank} shape=ellipse]\n"


def _peers(peers: Iterable[Peer], prefix: str) -> Iterator[str]:
    for peer in peers:
        caption = label(peer.name, "" if peer.endpoint is None else str(peer.endpoint))
        yield f"\t{identifier(prefix + peer.name)} [label={caption} shape=ellipse]\n"


def _node_lines(segment: Segment, node: Node) -> Iterator[str]:
    yield segment.name
    yield node.name
    yield str(node.subnet)
    if node.internal_ip is not None:
        yield address_text(node.internal_ip.address)
    if node is segment.leader:
        yield str(segment.wireguard_ip)
        yield str(node.endpoint)  # as annotated: the reference ignores discovered ones
