"""Mermaid's own parser reads what kgctl writes for it, and finds in it what was meant."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kgctl.mesh.text import printable
from kgctl.render.mermaid import to_mermaid
from kgctl.render.picture import READY, Picture
from tests.fuzz.language import cluster_of
from tests.recorded import CLUSTERS
from tests.render.pictures import golden_picture, picture_of_objects

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
