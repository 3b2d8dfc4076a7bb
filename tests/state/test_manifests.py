"""Manifest files in all common forms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kgctl.errors import ManifestError
from kgctl.state.manifests import Manifests

if TYPE_CHECKING:
    from pathlib import Path

NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "one", "annotations": {"kilo.squat.ai/key": "k"}, "labels": {"a": "b"}},
    "spec": {"podCIDR": "10.42.0.0/24"},
    "status": {"images": [{"names": ["x"], "sizeBytes": 1}]},
}
PEER = {
    "apiVersion": "kilo.squat.ai/v1alpha1",
    "kind": "Peer",
    "metadata": {"name": "p"},
    "spec": {"allowedIPs": ["10.5.0.1/32"]},
}
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
LIST = {"apiVersion": "v1", "kind": "List", "items": [NODE, POD, PEER]}
BARE_NODE = {key: value for key, value in NODE.items() if key not in ("apiVersion", "kind")}
NODE_LIST = {"apiVersion": "v1", "kind": "NodeList", "items": [BARE_NODE]}

FORMS = {
    "list.yaml": yaml.safe_dump(LIST),
    "list.json": json.dumps(LIST),
    "indented.json": json.dumps(LIST, indent=2),
    "documents.yaml": yaml.safe_dump_all([NODE, None, POD, PEER]),
    "stream.json": f"{json.dumps(NODE)}\n{json.dumps(POD)} {json.dumps(PEER)}\n",
    "kinds.yaml": yaml.safe_dump_all([NODE_LIST, POD, PEER]),
    "bom.yaml": "\ufeff" + yaml.safe_dump(LIST),
    "flow.yaml": "{apiVersion: v1, kind: List, items: [" + ", ".join(
        json.dumps(one) for one in (NODE, POD, PEER)) + "]} # not JSON",
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_a_form(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(FORMS[name], encoding="utf-8")
    objects = Manifests([str(path)]).read()
    (node,) = objects.nodes
    assert node.name == "one"
    assert node.pod_cidr == "10.42.0.0/24"
    assert node.annotations["kilo.squat.ai/key"] == "k"
    assert node.labels == {"a": "b"}
    (peer,) = objects.peers
    assert peer["spec"] == PEER["spec"]
    assert objects.passed_over == {"v1/Pod": 1}


def test_a_directory_is_read_in_order_and_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(yaml.safe_dump({**NODE, "metadata": {"name": "second"}}))
    (tmp_path / "a.json").write_text(json.dumps({**NODE, "metadata": {"name": "first"}}))
    (tmp_path / "README.md").write_text("# not a manifest: {")
    (tmp_path / "deeper.yaml").mkdir()
    objects = Manifests([str(tmp_path)]).read()
    assert [node.name for node in objects.nodes] == ["first", "second"]
    assert Manifests([str(tmp_path)]).names("nodes") == ["first", "second"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("a: [", "m.yaml: neither YAML nor JSON in line 2, column 1"),
        ('{"a": ', "neither YAML nor JSON"),
        (b"\xff\xfe\x00", "m.yaml: line 1 is not UTF-16 text: save the file as UTF-8"),
        ("- 1", "is not a Kubernetes object but a list"),
        ("kind: Node", "lacks apiVersion or kind"),
        (yaml.safe_dump({**NODE, "metadata": None}), "a Node has no metadata.name"),
        (
            "apiVersion: v1\nkind: Node\nmetadata: {name: y}",
            "metadata.name of a Node is not a string but true or false; put it in quotes",
        ),
        (
            "apiVersion: v1\nkind: Node\nmetadata: {name: 1e3}",
            "is not a string but a number; put it in",
        ),
        (yaml.safe_dump({**LIST, "items": 3}), "items of a List are not a list but a number"),
        (
            yaml.safe_dump({**NODE, "metadata": {"name": "one", "annotations": {"x": True}}}),
            'Node "one": annotation x is not a string but true or false; put it in quotes',
        ),
        (
            yaml.safe_dump({**NODE, "metadata": {"name": "one", "labels": {"x": 5}}}),
            'Node "one": label x is not a string but a number; put it in quotes',
        ),
        (yaml.safe_dump({**NODE, "spec": {"podCIDR": 5}}), "spec.podCIDR is not a string"),
        ("&a [*a, *a]", ""),
        ("[" * 100_000, ""),
        ("!!python/object/apply:os.system ['true']", "neither YAML nor JSON"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    content: str | bytes, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ManifestError) as raised:
        Manifests([str(path)]).read()
    message = str(raised.value)
    assert complaint in message
    assert message.isprintable()


def test_a_file_that_is_not_there_and_a_directory_without_one(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="No such file"):
        Manifests([str(tmp_path / "none.yaml")]).read()
    with pytest.raises(ManifestError, match="has no manifests"):
        Manifests([str(tmp_path)]).read()


def test_aliases_do_not_swell(tmp_path: Path) -> None:
    levels: list[Any] = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("apiVersion: v1\nkind: Bomb\n" + "\n".join(levels))
    assert Manifests([str(path)]).read().passed_over == {"v1/Bomb": 1}


def test_a_list_may_hold_itself(tmp_path: Path) -> None:
    """YAML's aliases can say so, or that it holds another List a thousand times."""
    path = tmp_path / "itself.yaml"
    path.write_text(
        "&a {apiVersion: v1, kind: List, items: [*a, {apiVersion: v1, kind: Pod}, *a]}\n---\n"
        + "&b {apiVersion: v1, kind: List, items: "
        + "[" + "&c {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod}]}, "
        + "*c, " * 1000 + "]}"
    )  # fmt: skip
    assert Manifests([str(path)]).read().passed_over == {"v1/Pod": 2}


def test_lists_in_lists_keep_their_order(tmp_path: Path) -> None:
    def node(name: str) -> dict[str, Any]:
        return {**NODE, "metadata": {"name": name}}

    items = [node("1"), {**LIST, "items": [node("2"), node("3")]}, node("4")]
    path = tmp_path / "lists.json"
    path.write_text(json.dumps({**LIST, "items": items}))
    assert Manifests([str(path)]).names("nodes") == ["1", "2", "3", "4"]
