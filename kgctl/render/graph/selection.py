"""Selection of a part of a picture: around a node or peer, one location, or no peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.errors import KgctlError
from kgctl.mesh.text import nearest, printable
from kgctl.render.graph.picture import READY, Area

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kgctl.render.graph.picture import End, Member, Outsider, Picture


COLLAPSE_ABOVE = 120
"""Nodes that fit on a screen; above it, one node per location is drawn by default."""


class NotInPictureError(KgctlError):
    """The selected node, peer or location is not in the picture."""


def without_peers(picture: Picture) -> Picture:
    """Return the picture without the peers."""
    return picture._replace(peers=())


def at_location(picture: Picture, location: str) -> Picture:
    """Return the picture of one location, with the peers.

    Raises:
        NotInPictureError: the location has no nodes.
    """
    areas = tuple(area for area in picture.areas if area.location == location)
    if not areas:
        places = (area.location for area in picture.areas)
        raise NotInPictureError(
            f'there is no location "{printable(location)}"{_suggestion(location, places)}; '
            "kgctl get nodes lists them"
        )
    return picture._replace(areas=areas)


def with_fewer_areas(picture: Picture, most: int) -> Picture:
    """Return the picture with at most ``most`` areas: the smaller ones are merged into the last."""
    if len(picture.areas) <= most:
        return picture
    largest = sorted(picture.areas, key=lambda area: -len(area.nodes))[: most - 1]
    kept = {area.location for area in largest}
    rest = [area for area in picture.areas if area.location not in kept]
    joined = Area(
        f"{len(rest)} more locations", tuple(node for area in rest for node in area.nodes)
    )
    areas = (area for area in picture.areas if area.location in kept)
    return picture._replace(areas=(*areas, joined))


def around(picture: Picture, name: str, hops: int) -> Picture:
    """Return the node or peer ``name``, and everything at most ``hops`` links from it.

    If a node and a peer have the same name, the node is selected.

    Raises:
        NotInPictureError: no node or peer has that name.
    """
    ends = {peer.name: peer.end for peer in picture.peers}
    ends.update((node.name, node.end) for node in picture.nodes)
    if name not in ends:
        what = "node or peer" if picture.network is None else "machine"
        raise NotInPictureError(
            f'there is no {what} named "{printable(name)}"{_suggestion(name, ends)}'
        )
    reach = _distances(picture, ends[name], hops)
    return _only(picture, lambda one: one.end in reach)._replace(reach=reach, hops=hops)


def _only(picture: Picture, wanted: Callable[[Member | Outsider], bool]) -> Picture:
    areas = (
        area._replace(nodes=tuple(node for node in area.nodes if wanted(node)))
        for area in picture.areas
    )
    return picture._replace(
        areas=tuple(area for area in areas if area.nodes),
        peers=tuple(peer for peer in picture.peers if wanted(peer)),
    )


def _distances(picture: Picture, start: End, hops: int) -> dict[End, int]:
    """Return the distance in links of each end from ``start``, up to ``hops``."""
    neighbours = _neighbours(picture)
    found = {start: 0}
    edge = [start]
    for distance in range(1, hops + 1):
        edge = list(
            dict.fromkeys(other for end in edge for other in neighbours(end) if other not in found)
        )
        if not edge:
            break
        found.update(dict.fromkeys(edge, distance))
    return found


def _neighbours(picture: Picture) -> Callable[[End], Iterable[End]]:
    """Return a function for the neighbours of an end; it never lists the links of the mesh."""
    if picture.network is not None:
        found: dict[End, list[End]] = {}
        for link in picture.links():
            found.setdefault(link.source, []).append(link.target)
            found.setdefault(link.target, []).append(link.source)
        return lambda end: found.get(end, ())
    leaders = {node.segment: node.end for node in picture.leaders}
    middle = list(leaders.values())
    peers = [peer.end for peer in picture.peers if peer.state == READY]
    followers: dict[End, list[End]] = {}
    own: dict[End, End] = {}
    for node in picture.nodes:
        leader = leaders.get(node.segment) if node.segment is not None else None
        if leader is not None and not node.leads:
            followers.setdefault(leader, []).append(node.end)
            own[node.end] = leader
    inside, outside = frozenset(middle), frozenset(peers)

    def neighbours(end: End) -> Iterable[End]:
        if end in inside:
            return [*followers.get(end, ()), *middle, *peers]
        if end in outside:
            return middle
        return [own[end]] if end in own else []

    return neighbours


def _suggestion(name: str, names: Iterable[str]) -> str:
    found = nearest(name, names)
    return f'; did you mean "{printable(found)}"?' if found else ""
