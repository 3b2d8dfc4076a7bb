"""The picture of several clusters: one picture each, and the tunnels between them.

A Peer that stands for a segment of another cluster of the panorama is shown not as a peer, but as
a bridge between the leaders of two segments. A stale one stays a peer, and is shown as broken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.text import printable
from kgctl.render.graph.picture import BROKEN, READY, picture_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kgctl.mesh.links import ClusterLink, Linked
    from kgctl.render.graph.picture import Member, Outsider, Picture

LINKED, ONE_SIDED = "linked", "one-sided"
"""Both sides have the other as a Peer; only one has, so no tunnel comes up."""


class View(NamedTuple):
    """A cluster: its untrusted name, and its picture without the Peers of links."""

    name: str
    picture: Picture


class Bridge(NamedTuple):
    """A wanted tunnel between two leaders of segments of two clusters.

    Each end is a cluster and its node. ``missing`` describes the missing Peer of one side;
    ``by_hand`` are the clusters whose Peer a person created.
    """

    source: tuple[str, Member]
    target: tuple[str, Member]
    missing: str
    by_hand: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """Whether both sides have the other as a Peer."""
        return ONE_SIDED if self.missing else LINKED

    @property
    def behind_nat(self) -> bool:
        """Whether one of the two is behind a NAT."""
        return self.source[1].behind_nat or self.target[1].behind_nat


class Panorama(NamedTuple):
    """Clusters in the order of the command line, and the bridges between them."""

    views: tuple[View, ...]
    bridges: tuple[Bridge, ...]
    stale: int = 0

    @property
    def whole(self) -> Picture:
        """All areas and peers in one picture, for the legend."""
        first = self.views[0].picture
        return first._replace(
            areas=tuple(area for view in self.views for area in view.picture.areas),
            peers=tuple(peer for view in self.views for peer in view.picture.peers),
        )

    def shaped(self, shape: Callable[[Picture], Picture]) -> Panorama:
        """Return the panorama with ``shape`` applied to the picture of each cluster."""
        views = tuple(view._replace(picture=shape(view.picture)) for view in self.views)
        return self._replace(views=views)

    def counts(self) -> Iterator[str]:
        """Yield the numbers of bridges of each state, and of stale links, in words."""
        one_sided = sum(bridge.state == ONE_SIDED for bridge in self.bridges)
        yield _so_many(len(self.bridges) - one_sided, "tunnel", "between clusters")
        if one_sided:
            yield _so_many(one_sided, "link", "one-sided")
        by_hand = sum(bool(bridge.by_hand) for bridge in self.bridges)
        if by_hand:
            yield f"{by_hand} made by hand"
        if self.stale:
            yield _so_many(self.stale, "link", "stale")


def _so_many(count: int, what: str, of: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'} {of}"


def panorama_of(linked: Linked, moments: Mapping[str, float]) -> Panorama:
    """Return the picture of clusters, each at its time in ``moments``, in Unix seconds."""
    views = []
    leaders: dict[tuple[str, str], Member] = {}
    for member in linked.members:
        picture = picture_of(member.state, member.topology, moments[member.name])
        links = {link.peer.name: link for link in linked.links if link.holder == member.name}
        peers = tuple(_without_links(picture, links))
        views.append(View(member.name, picture._replace(peers=peers)))
        leaders.update(((member.name, str(one.segment)), one) for one in picture.leaders)
    bridges = tuple(
        Bridge(
            (one.first, leaders[one.first, one.segment.name]),
            (one.second, leaders[one.second, one.other.name]),
            one.missing(),
            one.by_hand,
        )
        for one in linked.crossings()
    )
    return Panorama(tuple(views), bridges, len(linked.stale))


def _without_links(picture: Picture, links: Mapping[str, ClusterLink]) -> Iterator[Outsider]:
    for peer in picture.peers:
        link = links.get(peer.name)
        if link is None or peer.state != READY:
            yield peer
        elif link.segment is None:
            why = f"stale link to {printable(link.source)}: {link.why}"
            yield peer._replace(state=BROKEN, reasons=(why,))
