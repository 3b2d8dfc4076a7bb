"""A picture as a tree: locations, their leaders, and the other nodes of their segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.text import printable
from kgctl.render.graph.picture import (
    BROKEN,
    READY,
    STALE,
    keepalive,
    number,
    number_of_peers,
    place,
    title,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.tree import Tree

    from kgctl.render.graph.panorama import Bridge, Panorama
    from kgctl.render.graph.picture import Area, Member, Outsider, Picture

_STYLES = {READY: "green", STALE: "yellow", BROKEN: "red"}
_NAME_LIMIT = 200


class Branch(NamedTuple):
    """A line of the tree: a name, its details, its state, and the branches below."""

    name: str
    details: str = ""
    state: str = ""
    branches: tuple[Branch, ...] = ()


def to_tree(picture: Picture) -> str:
    """Return the tree as plain text, one line per branch."""
    return "".join(f"{line}\n" for line in _plain(_root(picture)))


def to_clusters_tree(panorama: Panorama) -> str:
    """Return several clusters and the tunnels between them as one tree in plain text."""
    return "".join(f"{line}\n" for line in _plain(_root_of_clusters(panorama)))


def _root_of_clusters(panorama: Panorama) -> Branch:
    branches = []
    for view in panorama.views:
        root = _root(view.picture)
        details = f"{root.name}, {root.details}"
        branches.append(root._replace(name=_shown(view.name), details=details))
    if panorama.bridges:
        lines = tuple(map(_bridge, panorama.bridges))
        worst = BROKEN if any(line.state == BROKEN for line in lines) else READY
        branches.append(Branch("links", ", ".join(panorama.counts()), worst, lines))
    return Branch(
        f"{len(panorama.views)} clusters", ", ".join(panorama.counts()), branches=tuple(branches)
    )


def _bridge(bridge: Bridge) -> Branch:
    (first, one), (second, other) = bridge.source, bridge.target
    name = f"{_shown(first)}/{_shown(one.name)} - {_shown(second)}/{_shown(other.name)}"
    if bridge.missing:
        return Branch(name, f"one-sided: {printable(bridge.missing, 500)}", BROKEN)
    said = ["behind NAT"] if bridge.behind_nat else []
    if bridge.by_hand:
        said.append(f"made by hand in {' and '.join(map(_shown, bridge.by_hand))}")
    return Branch(name, ", ".join(said), READY)


def terminal_tree(picture: Picture) -> Tree:
    """Return the tree for a terminal, with wrapped lines."""
    return _grown(_root(picture))


def terminal_clusters_tree(panorama: Panorama) -> Tree:
    """Return the tree of several clusters for a terminal."""
    return _grown(_root_of_clusters(panorama))


def _root(picture: Picture) -> Branch:
    nodes = list(picture.nodes)
    ready = sum(node.state == READY for node in nodes)
    branches = [_area(area, collapsed=picture.collapsed) for area in picture.areas]
    if picture.network is not None:
        everybody = _peers(picture.peers, collapsed=picture.collapsed)
        machines = number_of_peers(picture, len(picture.peers))
        count = everybody.details.partition(", ")[2]
        return everybody._replace(name=title(picture), details=f"{machines}, {count}")
    if picture.peers:
        branches.append(_peers(picture.peers, collapsed=picture.collapsed))
    return Branch(
        title(picture),
        f"{ready} of {len(nodes)} nodes ready",
        branches=tuple(branches),
    )


def _area(area: Area, *, collapsed: bool) -> Branch:
    counts = area.counts
    lost = "".join(f", {counts[state]} {state}" for state in (STALE, BROKEN) if counts[state])
    details = f"{number(len(area.nodes), 'node')}, {counts[READY]} ready{lost}"
    branches = () if collapsed else tuple(_nodes(area.nodes))
    return Branch(_shown(place(area)), details, area.worst, branches)


def _nodes(nodes: Iterable[Member]) -> Iterator[Branch]:
    """Yield leaders with their nodes, then nodes without a leader in the picture."""
    groups: dict[str, list[Member]] = {}
    alone = []
    for node in nodes:
        if node.leads:
            groups[str(node.segment)] = [node]
        elif node.segment in groups:
            groups[node.segment].append(node)
        else:
            alone.append(node)
    for leader, *others in groups.values():
        yield _node(leader, tuple(_node(node, ()) for node in others))
    yield from (_node(node, ()) for node in alone)


def _node(node: Member, branches: tuple[Branch, ...]) -> Branch:
    name = _shown(node.name)
    if node.state != READY:
        return Branch(name, f"{node.state}: {', '.join(node.reasons)}", node.state)
    if not node.leads:
        internal = f", {node.internal_ip.address}" if node.internal_ip is not None else ""
        return Branch(name, f"{node.subnet}{internal}", node.state)
    nat = ", behind NAT" if node.behind_nat else ""
    details = f"leader, {node.subnet}, {node.wireguard_ip} at {node.endpoint}{nat}"
    return Branch(name, details, node.state, branches)


def _peers(peers: tuple[Outsider, ...], *, collapsed: bool) -> Branch:
    ready = sum(peer.state == READY for peer in peers)
    branches = () if collapsed else tuple(map(_peer, peers))
    worst = READY if ready == len(peers) else BROKEN
    return Branch("peers", f"{len(peers)}, {ready} ready", worst, branches)


def _peer(peer: Outsider) -> Branch:
    if peer.state != READY:
        return Branch(_shown(peer.name), "; ".join(peer.reasons), peer.state)
    words = [", ".join(map(str, peer.allowed_ips))]
    if peer.endpoint is not None:
        words.append(f"at {peer.endpoint}")
    words.append(keepalive(peer.persistent_keepalive))
    return Branch(_shown(peer.name), ", ".join(words), peer.state)


def _shown(name: str) -> str:
    return printable(name, _NAME_LIMIT)


def _plain(branch: Branch, first: str = "", rest: str = "") -> Iterator[str]:
    yield f"{first}{branch.name}  {branch.details}".rstrip()
    last = len(branch.branches) - 1
    for position, below in enumerate(branch.branches):
        fork, along = ("└── ", "    ") if position == last else ("├── ", "│   ")
        yield from _plain(below, rest + fork, rest + along)


def _grown(branch: Branch) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    text = Text(branch.name, style="bold", overflow="fold")
    text.append(f"  {branch.details}", style=_STYLES.get(branch.state, "") + " not bold")
    tree = Tree(text, guide_style="dim")
    for below in branch.branches:
        tree.children.append(_grown(below))
    return tree
