"""The plan of a picture: which of its parts a format draws, and in which form.

The full mesh of leaders is drawn as lines while they are readable; else as a hub with a line to
each leader; and with many leaders as a frame around all. Tunnels between clusters are drawn one by
one or bundled. The ``Room`` of a format is how much is readable in it.
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

_CROWD = 8  # nodes per leader: with fewer, the lines are unreadable


class Mesh(Enum):
    """The form of a cluster's tunnels."""

    LINES = "lines"
    HUB = "hub"
    FRAME = "frame"


class Room(NamedTuple):
    """How much is readable in a format: maximum numbers.

    ``lines`` are the tunnels of a cluster, and ``bridges`` those between clusters, that are drawn
    one by one. ``spokes`` are the lines to a hub, above which it becomes a frame; None: the format
    has no frames. ``peers`` are the peers drawn one by one in a collapsed picture. ``details`` are
    the nodes and peers drawn with addresses. ``lone_hub``: draw a hub even without tunnels.
    """

    lines: int
    bridges: int
    spokes: int | None = None
    peers: int = 0
    details: int = 0
    lone_hub: bool = False


class Plan(NamedTuple):
    """A picture, and its form.

    ``tunnels`` are drawn as lines. ``detailed``: with addresses. ``peers_apart``: each peer is
    drawn by itself, else one item stands for all.
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
        """The number of one-sided bridges."""
        return sum(bridge.state == ONE_SIDED for bridge in self.bridges)

    @property
    def caption(self) -> str:
        """The label of the line."""
        one_sided = f", {self.one_sided} one-sided" if self.one_sided else ""
        return f"{len(self.bridges) - self.one_sided} tunnels{one_sided}"


class PanoramaPlan(NamedTuple):
    """Several clusters, and their form; ``plans`` are in the order of the views.

    There are ``bridges`` or, if there are too many, ``bundles``.
    """

    panorama: Panorama
    plans: tuple[Plan, ...]
    bridges: tuple[Bridge, ...]
    bundles: tuple[Bundle, ...]


def plan_of(picture: Picture, room: Room) -> Plan:
    """Return the plan of a picture for the room of a format."""
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
    """Return the plan of several clusters for the room of a format."""
    plans = tuple(plan_of(view.picture, room) for view in panorama.views)
    if len(panorama.bridges) <= room.bridges:
        return PanoramaPlan(panorama, plans, panorama.bridges, ())
    found: dict[tuple[str, str], list[Bridge]] = {}
    for bridge in panorama.bridges:
        found.setdefault((bridge.source[0], bridge.target[0]), []).append(bridge)
    return PanoramaPlan(
        panorama, plans, (), tuple(Bundle(tuple(bridges)) for bridges in found.values())
    )
