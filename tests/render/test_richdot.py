"""Rich pictures: their areas, states and lines, but not their pixels."""

from __future__ import annotations

import re
import subprocess
from itertools import product
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from kgctl.mesh.text import printable
from kgctl.render.graph.graphjson import to_graph_json
from kgctl.render.graph.picture import BROKEN, LOCAL, MESH, OUTSIDE, READY, STALE, Picture
from kgctl.render.graph.richdot import to_rich_dot
from kgctl.render.graph.selection import NotInPictureError, around, at_location, without_peers
from kgctl.render.graph.tree import to_tree
from tests.fuzz.language import cluster_of
from tests.support.harmless import assert_shown
from tests.support.pictures import golden_picture, picture_of_objects
from tests.support.recorded import CLUSTERS, kgctl
from tests.support.strategies import hostile_clusters

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.state.interface import Objects

SVG = "{http://www.w3.org/2000/svg}"


def drawn(dot: str) -> ElementTree.Element:
    """Return the SVG that Graphviz draws; it must have nothing to say."""
    run = subprocess.run(
        ["dot", "-Tsvg"], input=dot.encode("utf-8", "backslashreplace"), capture_output=True,
        check=True, timeout=60,
    )  # fmt: skip
    assert run.stderr == b""
    return ElementTree.fromstring(run.stdout)


def groups(picture: ElementTree.Element, kind: str) -> list[str]:
    """Return the titles of the picture's groups of a kind: node, edge or cluster."""
    found = picture.iter(f"{SVG}g")
    return [one.findtext(f"{SVG}title") or "" for one in found if one.get("class") == kind]


def texts(picture: ElementTree.Element) -> list[str]:
    return [(text.text or "").replace("\xa0", " ") for text in picture.iter(f"{SVG}text")]


def example() -> Picture:
    from kgctl.mesh.state import network_of
    from kgctl.render.graph.picture import picture_of
    from kgctl.state.example import TAKEN_AT, Example
    from kgctl.state.objects import state_of

    state = state_of(Example().read())
    return picture_of(state, network_of(state, now=TAKEN_AT), TAKEN_AT)


@pytest.mark.needs("dot")
@pytest.mark.parametrize("recording", CLUSTERS, ids=lambda path: path.stem)
def test_every_golden_cluster_is_a_well_formed_svg(recording: Path) -> None:
    for granularity, collapsed in product(("location", "full"), (False, True)):
        picture = golden_picture(recording, granularity)
        if picture is None:
            continue
        svg = drawn(to_rich_dot(picture._replace(collapsed=collapsed)))
        nodes = [name for name in groups(svg, "node") if name not in ("hub", "peers")]
        if collapsed:
            assert sum(name.startswith("a") for name in nodes) == len(picture.areas)
        else:
            assert len(nodes) == picture.size
            boxes = [name for name in groups(svg, "cluster") if name[8:].isdigit()]
            assert len(boxes) == len(picture.areas)


def test_the_example_has_every_state() -> None:
    picture = example()
    states = {node.name: node.state for node in picture.nodes}
    assert states["aws-1"] == READY
    assert states["home-tv"] == STALE
    assert states["aws-4"] == BROKEN
    assert [node.name for node in picture.nodes if node.leads and node.behind_nat] == ["home-nas"]
    kinds = [link.kind for link in picture.links()]
    assert (kinds.count(LOCAL), kinds.count(MESH), kinds.count(OUTSIDE)) == (4, 10, 15)


@pytest.mark.needs("dot")
def test_states_are_told_apart_by_line_shape_and_word() -> None:
    dot = to_rich_dot(example())
    attributes = {
        name: next(line for line in dot.splitlines() if f'"{name}\\n' in line)
        for name in ("aws-2", "home-tv", "aws-4")
    }
    assert "dashed" not in attributes["aws-2"]
    assert "dashed" in attributes["home-tv"]
    assert "stale: heartbeat 3h old" in attributes["home-tv"]
    assert "shape=octagon" in attributes["aws-4"]
    assert "broken: no endpoint" in attributes["aws-4"]
    words = texts(drawn(dot))
    assert "★ aws-1" in words
    assert "behind NAT" in words
    assert words.count("keepalive 25s") == 2
    assert "broken: lacks something" in words  # the legend


@pytest.mark.needs("dot")
@pytest.mark.parametrize(
    "text",
    [
        "<b>bold</b>",
        "&lt;&#10;&amp;",
        "\\N\\G\\L",
        '"]; x -> y [label="',
        "a\nb\x1b[2J",
        "\u202egpj.exe",
        "ends in \\",
        "<<table><tr><td>x</td></tr></table>>",
    ],
)
def test_hostile_locations_are_drawn_as_they_are_written(text: str) -> None:
    picture = picture_of_objects(cluster_of(b"Nx\xffl" + text.encode()))
    assert picture is not None
    for collapsed in (False, True):
        svg = drawn(to_rich_dot(picture._replace(collapsed=collapsed)))
        assert printable(text) in texts(svg)
        assert len(groups(svg, "node")) <= 2


@given(hostile_clusters())
@settings(max_examples=15)
def test_no_text_of_a_cluster_adds_anything(objects: Objects) -> None:
    picture = picture_of_objects(objects)
    if picture is None:
        return
    lines = to_rich_dot(picture).splitlines()
    assert (
        sum(re.match(r"\t+[np][0-9]+ \[label=", line) is not None for line in lines) == picture.size
    )
    known = re.compile(
        r"\t*([np][0-9]+ |hub |bgcolor=|label=|color=|graph |node |edge |subgraph |\{ rank|[}]|$)"
    )
    assert all(known.match(line) for line in lines[1:])
    assert_shown(to_graph_json(picture))
    tree = to_tree(picture)
    assert_shown(tree)
    assert tree.count("\n") == 1 + len(picture.areas) + picture.size + bool(picture.peers)


def test_a_focus_has_what_is_near_it() -> None:
    picture = example()
    near = around(picture, "home-pi", 1)
    assert [node.name for node in near.nodes] == ["home-nas", "home-pi"]
    assert [link.kind for link in near.links()] == [LOCAL]
    further = around(picture, "home-pi", 2)
    assert sum(node.leads for node in further.nodes) == 5
    assert {link.kind for link in further.links()} == {LOCAL, MESH, OUTSIDE}
    assert all(("node", "home-nas") in (link.source, link.target) for link in further.links())
    assert [node.name for node in around(picture, "aws-4", 3).nodes] == ["aws-4"]


def test_a_peer_can_be_the_focus() -> None:
    near = around(example(), "laptop", 1)
    assert [peer.name for peer in near.peers] == ["laptop"]
    assert all(node.leads for node in near.nodes)
    assert {link.kind for link in near.links()} == {OUTSIDE}


def test_a_location_and_no_peers() -> None:
    home = without_peers(at_location(example(), "home"))
    assert {node.name for node in home.nodes} == {"home-nas", "home-pi", "home-tv"}
    assert home.peers == ()


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(NotInPictureError, match='named "home-py"; did you mean "home-pi"'):
        around(example(), "home-py", 1)
    with pytest.raises(NotInPictureError, match='location "hom"; did you mean "home"'):
        at_location(example(), "hom")


@pytest.mark.needs("dot")
def test_many_nodes_are_collapsed_unless_that_is_refused(tmp_path: Path) -> None:
    import json

    from tests.docs.pictures import cluster

    file = tmp_path / "c.json"
    file.write_text(json.dumps(cluster(130, 4, 2)))
    run = kgctl("-f", str(file), "graph", "-o", "svg")
    names = groups(ElementTree.fromstring(run.stdout), "node")
    assert len([name for name in names if name.startswith("a")]) == 4
    assert len(names) == 4 + 1 + 2  # the mesh, and peers
    whole = kgctl("-f", str(file), "graph", "-o", "svg", "--no-collapse")
    assert len(groups(ElementTree.fromstring(whole.stdout), "node")) >= 132
