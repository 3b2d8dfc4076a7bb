"""Plans of pictures: each format has its room, and one rule applies to all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kgctl.mesh.state import network_of
from kgctl.render.graph import mermaid, richdot
from kgctl.render.graph.panorama import panorama_of
from kgctl.render.graph.picture import picture_of
from kgctl.render.graph.plan import Mesh, Room, plan_of, plan_of_clusters
from kgctl.state.objects import state_of
from tests.support.several import NOW, members, node, objects_of, peer, with_links

if TYPE_CHECKING:
    from kgctl.render.graph.panorama import Panorama
    from kgctl.render.graph.picture import Picture


def picture(leaders: int, peers: int = 0, more: int = 0) -> Picture:
    """Return a picture of so many locations of a node, and ``more`` nodes in the first."""
    nodes = [node(f"n{one}", 1, one, f"place-{one}") for one in range(1, leaders + 1)]
    nodes += [node(f"m{one}", 2, one, "place-1") for one in range(1, more + 1)]
    outside = [peer(f"p{one}", f"10.5.0.{one}/32") for one in range(1, peers + 1)]
    state = state_of(objects_of([*nodes, *outside]))
    return picture_of(state, network_of(state, now=float(NOW)), float(NOW))


def panorama(clusters: int, locations: int) -> Panorama:
    found = with_links(
        {
            f"c{number}": [
                node(f"n{one}", number, one, f"place-{one}") for one in range(1, locations + 1)
            ]
            for number in range(1, clusters + 1)
        }
    )
    linked = members(found)
    return panorama_of(linked, {one.name: float(NOW) for one in linked.members})


@pytest.mark.parametrize(
    ("shown", "dot", "flowchart"),
    [
        (picture(1), Mesh.LINES, Mesh.LINES),
        (picture(5), Mesh.LINES, Mesh.LINES),  # 10 tunnels
        (picture(3, peers=3), Mesh.LINES, Mesh.LINES),  # 12
        (picture(6), Mesh.HUB, Mesh.HUB),  # 15
        (picture(12), Mesh.HUB, Mesh.HUB),
        (picture(13), Mesh.FRAME, Mesh.HUB),
        (picture(6, more=40), Mesh.FRAME, Mesh.HUB),  # too many nodes among the leaders
        (picture(5, more=40), Mesh.LINES, Mesh.LINES),
        (picture(2)._replace(collapsed=True), Mesh.HUB, Mesh.HUB),
        (picture(1)._replace(collapsed=True), Mesh.HUB, Mesh.LINES),  # nothing to be linked
        (picture(13)._replace(reach={}, hops=0), Mesh.LINES, Mesh.LINES),
    ],
    ids=["1", "5", "3+3", "6", "12", "13", "6+40", "5+40", "2 collapsed", "1 collapsed", "focus"],
)
def test_lines_become_a_hub_and_a_hub_a_frame(shown: Picture, dot: Mesh, flowchart: Mesh) -> None:
    if shown.reach is not None:
        shown = shown._replace(reach={one.end: 0 for one in shown.nodes})
    for room, wanted in ((richdot.ROOM, dot), (mermaid.ROOM, flowchart)):
        plan = plan_of(shown, room)
        assert plan.mesh is wanted
        assert (plan.lines, plan.framed) == (wanted is Mesh.LINES, wanted is Mesh.FRAME)
        assert len(plan.tunnels) <= room.lines
        assert plan.lines or not plan.tunnels


def test_details_and_peers_are_for_what_has_room() -> None:
    room = Room(lines=12, bridges=0, peers=2, details=5)
    assert plan_of(picture(3, peers=2), room).detailed
    assert not plan_of(picture(4, peers=2), room).detailed
    assert plan_of(picture(1, peers=3), room).peers_apart
    assert plan_of(picture(1, peers=2)._replace(collapsed=True), room).peers_apart
    assert not plan_of(picture(1, peers=3)._replace(collapsed=True), room).peers_apart


def test_bridges_are_drawn_one_by_one_or_bundled() -> None:
    whole = panorama(3, 2)  # each of two segments linked with each of two in two other clusters
    assert len(whole.bridges) == 12
    plan = plan_of_clusters(whole, mermaid.ROOM)
    assert (plan.bridges, plan.bundles) == (whole.bridges, ())
    plan = plan_of_clusters(whole, mermaid.ROOM._replace(bridges=11))
    assert plan.bridges == ()
    assert [(one.ends, one.caption, one.one_sided) for one in plan.bundles] == [
        (("c1", "c2"), "4 tunnels", 0), (("c1", "c3"), "4 tunnels", 0),
        (("c2", "c3"), "4 tunnels", 0),
    ]  # fmt: skip
