"""Mermaid's own parser reads kgctl's flowcharts, with the intended contents."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kgctl.mesh.text import printable
from kgctl.render.graph.mermaid import MOST_CHARACTERS, MOST_EDGES, to_mermaid
from kgctl.render.graph.picture import READY, Picture
from tests.fuzz.language import cluster_of
from tests.support.pictures import golden_picture, picture_of_objects
from tests.support.recorded import CLUSTERS, kgctl

PARSER = Path(__file__).parents[1] / "mermaid" / "parse.mjs"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "kgctl", "mermaid")

pytestmark = pytest.mark.needs("node")


def parsed(texts: list[str]) -> list[dict[str, Any]]:
    """Return what the parser makes of each text: vertices, areas, edges; or an error."""
    if not (CACHE / "installed-lock.json").exists():
        reason = "needs Mermaid's parser: run `make mermaid`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    run = subprocess.run(
        ["node", str(PARSER), str(CACHE)],
        input=json.dumps(texts), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: list[dict[str, Any]] = json.loads(run.stdout)
    assert len(found) == len(texts)
    return found


def shown(label: str) -> str:
    """Return a label as people see it: the parser keeps codes in a way of its own."""
    return re.sub("ﬂ°°([0-9]+)¶ß", lambda code: chr(int(code[1])), label)


def test_the_parser_refuses_what_is_wrong() -> None:
    (wrong,) = parsed(['flowchart TB\n n0["a'])
    assert "Parse error" in wrong["error"]


def test_every_golden_cluster_is_read_as_it_was_meant() -> None:
    pictures = [golden_picture(path) for path in CLUSTERS]
    whole = [picture for picture in pictures if picture is not None]
    assert len(whole) > 20
    for picture, shape in zip(whole, parsed(list(map(to_mermaid, whole))), strict=True):
        _assert_shape(picture, shape)


def test_a_collapsed_one_has_a_node_a_location() -> None:
    pictures = [golden_picture(path) for path in CLUSTERS]
    small = [one._replace(collapsed=True) for one in pictures if one is not None]
    for picture, shape in zip(small, parsed(list(map(to_mermaid, small))), strict=True):
        areas = [name for name in shape["vertices"] if re.fullmatch("a[0-9]+", name)]
        assert len(areas) == len(picture.areas)


HOSTILE = [
    '"]; x --> y["',
    "a<br><img src=x onerror=alert(1)>",
    "`**bold**`",
    "1. list",
    "- list",
    "#quot;#35;&lt;",
    "end",
    "end\n  click n0 call alert()",
    "%%{init: {'securityLevel': 'loose'}}%%",
    "---\ntitle: x\n---",
    "$$x^2$$",
    "fa:fa-user",
    "\u202egpj.exe",
    "x:::leader",
    "back\\slash\\nn",
]


def test_hostile_names_stay_text() -> None:
    pictures = []
    for text in HOSTILE:
        picture = picture_of_objects(cluster_of(b"Nx\xffl" + text.encode()))
        assert picture is not None
        pictures.append(picture)
    shapes = parsed(list(map(to_mermaid, pictures)))
    for text, shape in zip(HOSTILE, shapes, strict=True):
        assert set(shape["vertices"]) == {"n0"}
        assert shown(shape["areas"]["a0"]) == printable(text)
        assert "<" not in shape["areas"]["a0"]
        assert shape["edges"] == []


def _assert_shape(picture: Picture, shape: dict[str, Any]) -> None:
    assert "error" not in shape, shape
    nodes = list(picture.nodes)
    names = [f"{'★ ' if node.leads else ''}{node.name}" for node in nodes]
    for number, name in enumerate(names):
        assert shown(shape["vertices"][f"n{number}"]).split("<br>")[0] == name
    outside = {key for key in shape["vertices"] if key.startswith("p")}
    assert len(outside) == len(picture.peers)
    followers = sum(node.state == READY and not node.leads for node in nodes)
    local = [edge for edge in shape["edges"] if _both_nodes(edge)]
    assert len(local) >= followers
    assert len(shape["areas"]) == len(picture.areas) + bool(picture.peers)


def _both_nodes(edge: list[str]) -> bool:
    return all(end.startswith("n") for end in edge)


def large(locations: int, nodes: int, peers: int, place: str = "place-{}") -> list[dict[str, Any]]:
    """Return so many locations with nodes, and peers, all ready."""

    def key(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    found: list[dict[str, Any]] = []
    for number in range(locations * nodes):
        at, last = divmod(number, nodes)
        texts = {
            "key": key(f"node {number}"), "endpoint": f"203.0.113.{at % 250}:{1024 + number}",
            "internal-ip": f"10.{at // 250}.{at % 250}.{last + 1}/24", "last-seen": "1000",
            "granularity": "location", "location": place.format(chr(0x4E00 + at)),
        }  # fmt: skip
        annotations = {f"kilo.squat.ai/{name}": text for name, text in texts.items()}
        found.append({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": f"n{number}", "annotations": annotations},
            "spec": {"podCIDR": f"10.{100 + number // 250}.{number % 250}.0/24"},
        })  # fmt: skip
    for number in range(peers):
        address = f"10.5.{number // 250}.{number % 250 + 1}/32"
        spec = {"publicKey": key(f"p{number}"), "allowedIPs": [address], "persistentKeepalive": 25}
        found.append({
            "apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer",
            "metadata": {"name": f"p{number}"}, "spec": spec,
        })  # fmt: skip
    return found


SIZES = {
    "many peers": (large(3, 3, 600), "this is one node for each location"),
    "many locations": (large(700, 1, 3), "this is the 399 largest locations, and the rest as one"),
    "long names": (large(300, 1, 0, "{}" + "é" * 190), "largest locations, and the rest"),
    "what is small": (large(2, 50, 20), ""),
}


@pytest.mark.parametrize("size", SIZES)
def test_what_mermaid_would_not_draw_has_fewer_locations(size: str, tmp_path: Path) -> None:
    objects, words = SIZES[size]
    path = tmp_path / "large.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    answer = kgctl("-f", str(path), "--at", "newest", "graph", "-o", "mermaid")
    assert answer.code == 0
    assert words in answer.stderr
    assert bool(words) == bool(answer.stderr)
    (shape,) = parsed([answer.stdout])
    assert "error" not in shape
    assert len(answer.stdout) <= MOST_CHARACTERS
    assert len(shape["edges"]) <= MOST_EDGES


def test_several_large_clusters_are_drawn_too(tmp_path: Path) -> None:
    arguments = ["--at", "newest"]
    for name in ("east", "west"):
        path = tmp_path / f"{name}.json"
        items = {"apiVersion": "v1", "kind": "List", "items": large(300, 1, 3)}
        path.write_text(json.dumps(items))
        arguments += ["--cluster", f"{name}={path}"]
    answer = kgctl(*arguments, "graph", "-o", "mermaid")
    assert "this is the 199 largest locations, and the rest as one" in answer.stderr
    (shape,) = parsed([answer.stdout])
    assert len(shape["edges"]) <= MOST_EDGES


def test_what_is_not_to_be_collapsed_stays_and_a_note_says_what_helps(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    items = {"apiVersion": "v1", "kind": "List", "items": large(3, 1, 600)}
    path.write_text(json.dumps(items))
    answer = kgctl("-f", str(path), "--at", "newest", "graph", "-o", "mermaid", "--no-collapse")
    assert answer.code == 0
    assert "and this has more: GitHub shows an error" in answer.stderr
    assert "--no-peers shows a part" in answer.stderr
    assert answer.stdout.count("keepalive") >= 600
    (shape,) = parsed([answer.stdout])
    assert "Edge limit exceeded" in shape["error"]
