"""Lists in kubectl's JSON are read without status; other JSON by the general reader."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kgctl.kube.fast.json_list import read_list
from kgctl.state.manifests import read_documents
from tests.apiserver.fleet import fleet


def test_reads_type_name_labels_annotations_and_spec_of_each_object() -> None:
    nodes: list[dict[str, Any]] = list(fleet(3))
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes})
    found = read_list(text.encode())
    assert found is not None
    assert (found["apiVersion"], found["kind"]) == ("v1", "List")
    wanted = [dict(node) for node in nodes]
    for node in wanted:
        del node["status"]
    assert found["items"] == wanted


def test_keeps_the_items_of_lists_in_a_list() -> None:
    inner = {"apiVersion": "v1", "kind": "List", "items": [{"kind": "Node"}]}
    found = read_list(json.dumps({"items": [inner]}).encode())
    assert found is not None
    assert found["items"][0]["items"] == [{"kind": "Node"}]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "{",
        '{"items": null}',
        '{"items": {}}',
        '{"items": [1]}',
        '{"items": [{"metadata": []}]}',
        '{"items": []} {"items": []}',
        '{"items": [' + "[" * 100_000,
        '{"items": [{"status": ' + "[" * 100_000,
    ],
)
def test_leaves_other_shapes_to_the_general_way(text: str) -> None:
    assert read_list(text.encode()) is None


def test_other_shapes_are_read_all_the_same() -> None:
    assert read_documents("f", b'{"items": [1]}') == [{"items": [1]}]
    assert read_documents("f", b'{"items": []} {"a": 1}') == [{"items": []}, {"a": 1}]
