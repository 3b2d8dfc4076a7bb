"""Sources of the state, as the options select them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.recorded import CLUSTERS, kgctl, load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def items() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load(CLUSTERS[0])[0]["items"]
    return found


def _list(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": items}


def test_every_form_gives_the_same_answer(items: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(json.dumps(_list(items)))
    (tmp_path / "list.yaml").write_text(yaml.safe_dump(_list(items)))
    (tmp_path / "documents.yaml").write_text(yaml.safe_dump_all(items))
    (tmp_path / "stream.json").write_text("\n".join(map(json.dumps, items)))
    directory = tmp_path / "directory"
    directory.mkdir()
    for number, item in enumerate(items):
        (directory / f"{number}.yaml").write_text(yaml.safe_dump(item))
    expected = kgctl("-f", str(tmp_path / "list.json"), "graph", "--mesh-granularity", "full")
    assert expected.code == 0
    for name in ("list.yaml", "documents.yaml", "stream.json", "directory"):
        answer = kgctl("-f", str(tmp_path / name), "graph", "--mesh-granularity", "full")
        assert answer == expected, name


def test_files_are_read_together_and_the_later_one_counts(
    items: list[dict[str, Any]], tmp_path: Path
) -> None:
    half = len(items) // 2
    names = ["first.json", "second.json", "again.json"]
    changed = {**items[0], "spec": {"podCIDR": "10.99.0.0/24"}}
    for name, part in zip(names, (items[:half], items[half:], [changed]), strict=True):
        (tmp_path / name).write_text(json.dumps(_list(part)))
    paths = [str(tmp_path / name) for name in names]
    found = kgctl("-f", paths[0], "get", "-f", paths[1], "nodes", f"--filename={paths[2]}", "-o",
                  "json")  # fmt: skip
    nodes = {node["name"]: node for node in json.loads(found.stdout)["items"]}
    assert len(nodes) == sum(item["kind"] == "Node" for item in items)
    assert nodes[items[0]["metadata"]["name"]]["podSubnet"] == "10.99.0.0/24"


def test_other_kinds_are_passed_over_and_counted(tmp_path: Path) -> None:
    kinds = [("v1", "Pod"), ("v1", "Pod"), ("apps/v1", "Deployment"), ("x\n/v1", "A\x1bB")]
    path = tmp_path / "others.yaml"
    path.write_text(yaml.safe_dump_all([{"apiVersion": a, "kind": k} for a, k in kinds]))
    quiet = kgctl("-f", str(path), "get", "peers")
    assert (quiet.code, quiet.stderr) == (0, "no peers found\n")
    counted = kgctl("-f", str(path), "get", "peers", "--debug")
    assert counted.stderr.splitlines()[:4] == [
        "passed over 1 apps/v1/Deployment",
        "passed over 2 v1/Pod",
        "passed over 1 x\\n/v1/A\\x1bB",
        "read 0 nodes and 0 peers",
    ]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("a: b: c", "cluster.yaml: neither YAML nor JSON in line 1, column 5"),
        ("kind: Node\n\tx", "cluster.yaml: neither YAML nor JSON in line 2, column 1"),
        ("hello", "cluster.yaml: a document is not a Kubernetes object but text"),
        ("", "did not find any valid Kilo nodes in the cluster\n  the cluster has no nodes"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_the_line(
    content: str, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(content)
    answer = kgctl("-f", str(path), "graph")
    assert (answer.code, answer.stdout) == (1, "")
    assert complaint in answer.stderr


def test_a_file_of_a_strange_name_is_named_on_one_line(tmp_path: Path) -> None:
    answer = kgctl("-f", str(tmp_path / "a\x1b[2J\nb.yaml"), "graph")
    assert answer.stderr.endswith("a\\x1b[2J\\nb.yaml: No such file or directory\n")
    assert answer.stderr.count("\n") == 1
