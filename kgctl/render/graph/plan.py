"""What of a picture is drawn, and as what: decided here, for every format.

The mesh, each leader with each, is drawn line by line while that can be read; then as a hub that
leaders are linked to; and of many as a frame around all of them. So are the tunnels between
clusters: one by one, or bundled. How much can be read differs by format, and is its ``Room``.
"""

from __future__ import annotations

from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from kgctl.render.graph.panorama import ONE_SIDED
from kgctl.render.graph.picture import LOCAL

if TYPE_CHECKING:
    from kgctl.render.graph.panorama import Bridge, Panorama
    from kgctl.render.graph.picture import Link, Picture

_CROWD = 8  # nodes for each leader, of which fewer leave too many lines to be read


class Mesh(Enum):
    """How the tunnels of a cluster are drawn."""

    LINES = "lines"
    HUB = "hub"
    FRAME = "frame"


class Room(NamedTuple):
    """How much can be read in a format.

    ``lines`` are tunnels of a cluster, and ``bridges`` those between clusters, that are drawn one
    by one. ``spokes`` are lines that lead to a hub, of more it is a frame; None: it has no frames.
    ``peers`` are drawn one by one where nodes are not. ``details`` are nodes and peers that have
    their addresses on them. ``lone_hub``: a hub is drawn even if nothing is linked through it.
    """

    lines: int
    bridges: int
    spokes: int | None = None
    peers: int = 0
    details: int = 0
    lone_hub: bool = False


class Plan(NamedTuple):
    """A picture, and how it is drawn.

    ``tunnels`` are those that are drawn as lines. ``detailed``: with addresses. ``peers_apart``:
    each of the peers is drawn, else one thing for all.
    """

    picture: Picture
    mesh: Mesh
    tunnels: tuple[Link, ...]
    detailed: bool
    peers_apart: bool

    @property
    def lines(self) -> bool:
        """Whether each tunnel is a line."""
        return self.mesh is Mesh.LINES

    @property
    def framed(self) -> bool:
        """Whether the mesh is a frame."""
        return self.mesh is Mesh.FRAME


class Bundle(NamedTuple):
    """All bridges between the same two clusters, drawn as one line."""

    bridges: tuple[Bridge, ...]

    @property
    def ends(self) -> tuple[str, str]:
        """The names of the two clusters."""
        return self.bridges[0].source[0], self.bridges[0].target[0]

    @property
    def one_sided(self) -> int:
        """How many of the bridges one side alone has."""
        return sum(bridge.state == ONE_SIDED for bridge in self.bridges)

    @property
    def caption(self) -> str:
        """What is written on the line."""
        one_sided = f", {self.one_sided} one-sided" if self.one_sided else ""
        return f"{len(self.bridges) - self.one_sided} tunnels{one_sided}"


class PanoramaPlan(NamedTuple):
    """Several clusters, and how they are drawn; ``plans`` are in the order of the views.

    There are ``bridges`` or, if these are too many, ``bundles``.
    """

    panorama: Panorama
    plans: tuple[Plan, ...]
    bridges: tuple[Bridge, ...]
    bundles: tuple[Bundle, ...]


def plan_of(picture: Picture, room: Room) -> Plan:
    """Decide how a picture is drawn where there is so much room."""
    found = (link for link in picture.links() if link.kind != LOCAL)
    tunnels = tuple(islice(found, room.lines + 1))
    mesh = _mesh(picture, room, len(tunnels))
    return Plan(
        picture,
        mesh,
        tunnels if mesh is Mesh.LINES else (),
        detailed=picture.size <= room.details,
        peers_apart=not picture.collapsed or len(picture.peers) <= room.peers,
    )


def _mesh(picture: Picture, room: Room, tunnels: int) -> Mesh:
    if _is_framed(picture, room):
        return Mesh.FRAME
    apart = not picture.collapsed or (tunnels == 0 and not room.lone_hub)
    return Mesh.LINES if apart and tunnels <= room.lines else Mesh.HUB


def _is_framed(picture: Picture, room: Room) -> bool:
    if room.spokes is None or picture.reach is not None:
        return False
    hubs = len(picture.areas) if picture.collapsed else len(picture.leaders)
    crowded = not picture.collapsed and picture.size > room.details < hubs * _CROWD
    return hubs > room.spokes or crowded


def plan_of_clusters(panorama: Panorama, room: Room) -> PanoramaPlan:
    """Decide how several clusters are drawn where there is so much room."""
    plans = tuple(plan_of(view.picture, room) for view in panorama.views)
    if len(panorama.bridges) <= room.bridges:
        return PanoramaPlan(panorama, plans, panorama.bridges, ())
    found: dict[tuple[str, str], list[Bridge]] = {}
    for bridge in panorama.bridges:
        found.setdefault((bridge.source[0], bridge.target[0]), []).append(bridge)
    return PanoramaPlan(
        panorama, plans, (), tuple(Bundle(tuple(bridges)) for bridges in found.values())
    )
