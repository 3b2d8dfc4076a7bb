"""The picture of several clusters: recorded texts, and Graphviz's and Mermaid's reading.

``python -m tests.render.test_panorama`` records the texts again; review its changes.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from kgctl.render.graph.dot import to_dot_of_clusters
from kgctl.render.graph.graphjson import to_clusters_json
from kgctl.render.graph.mermaid import to_clusters_mermaid
from kgctl.render.graph.panorama import Panorama, panorama_of
from kgctl.render.graph.panoramadot import to_rich_dot_of_clusters
from tests.render.test_mermaid import parsed
from tests.support.recorded import kgctl
from tests.support.several import (
    NOW,
    Object,
    east,
    members,
    node,
    options,
    peer,
    troubled,
    west,
    with_links,
)

if TYPE_CHECKING:
    from kgctl.mesh.links import Linked

RECORDED = Path(__file__).parent / "panorama"
PICTURES = {
    "plain.dot": ["-o", "dot"],
    "rich.dot": ["-o", "dot", "--style", "rich"],
    "collapsed.dot": ["-o", "dot", "--collapse"],
    "graph.json": ["-o", "json"],
    "graph.mmd": ["-o", "mermaid"],
    "collapsed.mmd": ["-o", "mermaid", "--collapse"],
    "tree.txt": ["-o", "tree"],
}


def large(clusters: int = 3, locations: int = 8) -> dict[str, list[Object]]:
    return with_links(
        {
            f"c{number}": [
                node(f"n{one}", number, one, f"place-{one}") for one in range(1, locations + 1)
            ]
            for number in range(1, clusters + 1)
        }
    )


def hostile() -> dict[str, list[Object]]:
    names = ['we"st', "<b>&amp;", "a]\n  end;", "\\N"]
    return with_links(
        {
            name: [node(f"n-{name}", number, 1, name), peer(f"p {name}", "10.5.0.1/32")]
            for number, name in enumerate(names, start=1)
        }
    )


def panorama(found: dict[str, list[Object]]) -> Panorama:
    linked: Linked = members(found)
    return panorama_of(linked, {one.name: float(NOW) for one in linked.members})


def drawn(directory: Path, name: str) -> str:
    answer = kgctl(*options(directory, troubled()), "graph", *PICTURES[name])
    assert (answer.code, answer.stderr) == (0, "")
    return answer.stdout


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_as_recorded(tmp_path: Path, name: str) -> None:
    assert drawn(tmp_path, name) == (RECORDED / name).read_text(encoding="utf-8")


def test_links_are_bridges_and_no_peers() -> None:
    whole = panorama(with_links({"west": west(), "east": east()}))
    names = [peer.name for view in whole.views for peer in view.picture.peers]
    assert names == ["laptop", "printer", "laptop"]
    assert [(one.source[1].name, one.target[1].name, one.state) for one in whole.bridges] == [
        ("w1", "e1", "linked"), ("w3", "e1", "linked"),
    ]  # fmt: skip
    assert panorama({"west": west(), "east": east()}).bridges == ()


def test_json_can_be_read_and_says_which_side_lacks_the_other() -> None:
    found = json.loads(to_clusters_json(panorama(troubled())))
    assert [one["name"] for one in found["clusters"]] == ["west", "east"]
    assert [(one["state"], one["missing"]) for one in found["links"]] == [
        ("linked", None), ("one-sided", "east has no Peer for location:us"),
    ]  # fmt: skip


@pytest.mark.needs("dot")
@pytest.mark.parametrize("clusters", [troubled(), large(), hostile()], ids=["2", "3", "hostile"])
@pytest.mark.parametrize("collapsed", [False, True])
def test_graphviz_draws_every_cluster_in_its_frame(
    clusters: dict[str, list[Object]], collapsed: bool
) -> None:
    whole = panorama(clusters)
    views = [
        view._replace(picture=view.picture._replace(collapsed=collapsed)) for view in whole.views
    ]
    texts = [to_rich_dot_of_clusters(whole._replace(views=tuple(views)))]
    texts += [] if collapsed else [to_dot_of_clusters(members(clusters))]
    for text in texts:
        run = subprocess.run(
            ["dot", "-Tsvg"], input=text, capture_output=True, text=True, check=True, timeout=60
        )
        assert run.stderr == ""
        root = ElementTree.fromstring(run.stdout)
        groups = [one for one in root.iter() if one.get("class") == "cluster"]
        titles = {one.findtext("{http://www.w3.org/2000/svg}title") for one in groups}
        assert len([title for title in titles if title and title.count("_") == 1]) >= len(clusters)


@pytest.mark.needs("node")
def test_mermaid_reads_them() -> None:
    whole = [panorama(one) for one in (troubled(), large(), hostile())]
    for one, shape in zip(whole, parsed(list(map(to_clusters_mermaid, whole))), strict=True):
        assert "error" not in shape, shape
        assert len(shape["vertices"]) >= sum(view.picture.size for view in one.views)


@pytest.mark.needs("dot")
@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_files_are_drawn(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"both.{ending}"
    for style in ("plain", "rich"):
        answer = kgctl(*options(tmp_path, troubled()), "graph", "-O", str(file), "--style", style)
        assert (answer.code, answer.stderr) == (0, "")
        assert file.stat().st_size > 1000


@pytest.mark.parametrize(
    "option", [["-o", "html"], ["-o", "tree", "--watch"], ["--focus", "w1"], ["--location", "eu"]]
)
def test_what_shows_one_cluster_refuses_several(tmp_path: Path, option: list[str]) -> None:
    answer = kgctl(*options(tmp_path, troubled()), "graph", *option)
    assert (answer.code, answer.stdout) == (1, "")
    assert answer.stderr.endswith("shows one cluster: give one --context or --cluster\n")


if __name__ == "__main__":
    RECORDED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for picture in PICTURES:
            (RECORDED / picture).write_text(drawn(Path(scratch), picture), encoding="utf-8")
