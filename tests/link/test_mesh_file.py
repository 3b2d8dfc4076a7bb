"""The file of ``kgctl link -f``: valid contents, and errors for invalid ones."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kgctl.link.mesh_file import (
    MeshFileError,
    decoded,
    located,
    parse_mesh,
    read_mesh_file,
)
from kgctl.link.mesh_format import mesh_schema
from kgctl.state.marked_yaml import PlacedError, read_marked_yaml
from kgctl.state.yaml_schema import without_indentation
from tests.docs.console import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBLISHED = Path(__file__).parents[2] / "docs" / "mesh.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(mesh_schema())

HEAD = "apiVersion: kgctl.dev/v1alpha1\nkind: Mesh\n"
TWO = "clusters:\n- {name: eu, context: a}\n- {name: us, context: b}\n"

FULL_EXAMPLE: dict[str, Any] = {
    "apiVersion": "kgctl.dev/v1alpha1",
    "kind": "Mesh",
    "clusters": [
        {"name": "eu", "context": "a", "serviceCIDRs": ["10.43.0.0/16", "fd00::/112"]},
        {"name": "us", "kubeconfig": "us.conf", "context": "b", "share": {
            "pods": True, "services": False, "internalIPs": False, "locationIPs": True,
            "cidrs": ["192.168.7.0/24"]}},
        {"name": "edge", "manifests": ["edge"], "limits": {
            "onlyNetworks": ["10.0.0.0/8"], "deny": ["10.66.0.0/16", "fd00:66::/32"],
            "accept": ["edge-1=198.51.100.0/24", "*=2001:db8::/32"]}},
    ],
    "topology": {"hubs": ["eu"]},
    "allow": ["overlap", "endpoints"],
    "prune": True,
    "mirror": ["eu=web/frontend", "web/backend"],
    "presharedKeys": {"default": "generate", "namespace": "kilo", "pairs": [
        {"clusters": ["eu", "us"], "file": "psk"},
        {"clusters": ["edge", "eu"], "secret": {"name": "x.y", "namespace": "z", "key": "k"}},
    ]},
}  # fmt: skip

SCALARS: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 3, "", "eu", "full", "none", "generate", "overlap", "web/x", "10.0.0.0/8", "A b",
     [], {}, ["eu"], {"hubs": ["eu"]}, {"hubs": []}, {"mode": "none"}]
)  # fmt: skip
KEYS = st.sampled_from(
    ["name", "context", "kubeconfig", "manifests", "share", "pods", "hubs", "mode", "file",
     "secret", "default", "pairs", "clusters", "topology", "presharedKeys", "mirror", "limits",
     "onlyNetworks", "deny", "accept", "odd"]
)  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> object:
    """A right document with some changes, which may make it wrong."""
    document = json.loads(json.dumps(FULL_EXAMPLE))
    for _ in range(draw(st.integers(0, 3))):
        places = list(_containers(document))
        place = draw(st.sampled_from(places))
        if isinstance(place, dict):
            key = draw(st.sampled_from(sorted(place)) | KEYS) if place else draw(KEYS)
            if key in place and draw(st.booleans()):
                del place[key]
            else:
                place[key] = draw(SCALARS)
        elif place and draw(st.booleans()):
            del place[draw(st.integers(0, len(place) - 1))]
        else:
            place.append(draw(SCALARS))
        document = json.loads(json.dumps(document))  # what was drawn twice is two things
    return document


def _containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _containers(inner)


@settings(max_examples=300)
@given(documents())
def test_the_schema_allows_what_is_read(document: object) -> None:
    marked = read_marked_yaml("f", yaml.safe_dump(document).encode())
    assert marked.value == document
    refused = ""
    try:
        decoded(marked)
    except MeshFileError as error:
        refused = str(error)
    assert VALIDATOR.is_valid(document) == (not refused), refused
    assert not refused or refused.startswith("f:")
    assert "`" not in refused  # every word of msgspec's was said otherwise


def test_the_schema_is_one_and_that_which_is_published() -> None:
    jsonschema.Draft202012Validator.check_schema(mesh_schema())
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == mesh_schema()
    assert VALIDATOR.is_valid(FULL_EXAMPLE)


@pytest.mark.parametrize(
    "docstring",
    [
        "First line.\n\n    Second paragraph,\n      indented.\n    ",  # to Python 3.12
        "First line.\n\nSecond paragraph,\n  indented.\n",  # from 3.13 on
        "First line.\n\nSecond paragraph,\n  indented.",  # as msgspec strips it
    ],
)
def test_descriptions_are_the_same_on_each_python(docstring: str) -> None:
    schema = {"$defs": {"A": {"description": docstring, "anyOf": [{"description": docstring}]}}}
    text = "First line.\n\nSecond paragraph,\n  indented."
    assert without_indentation(schema) == {
        "$defs": {"A": {"description": text, "anyOf": [{"description": text}]}}
    }


def test_no_description_is_indented() -> None:
    descriptions = re.findall(r'"description": "((?:[^"\\]|\\.)*)"', json.dumps(mesh_schema()))
    assert len(descriptions) > 10
    assert not [text for text in descriptions if "\\n " in text or text != text.strip()]


def test_what_the_file_says_is_read() -> None:
    mesh = parse_mesh("f", yaml.safe_dump(FULL_EXAMPLE).encode())
    assert [one.name for one in mesh.clusters] == ["eu", "us", "edge"]
    assert mesh.hubs == ("eu",)
    assert mesh.clusters[0].service_cidrs == ("10.43.0.0/16", "fd00::/112")
    assert not mesh.clusters[1].share.internal_ips
    assert mesh.clusters[0].share.internal_ips
    assert [pair.clusters for pair in mesh.keys.pairs] == [("eu", "us"), ("edge", "eu")]
    plain = parse_mesh("f", f"{HEAD}{TWO}presharedKeys: generate\n".encode())
    assert (plain.keys.default, plain.keys.namespace) == ("generate", "kube-system")
    assert plain.hubs == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f:1:1: the file must be a mapping, not null"),
        ("kind: Mesh", 'f:1:1: the file lacks the key "apiVersion"'),
        (f"{HEAD}clusters: []", "f:3:11: clusters must be a list of at least 2"),
        (f"{HEAD}{TWO}clustrs: 1",
         'f:6:1: there is no key "clustrs" here; did you mean "clusters"?'),
        (f"{HEAD}{TWO}{'x' * 99}: 1", None),
        (f"{HEAD}{TWO}topology: ful", 'f:6:11: topology cannot be "ful"; did you mean "full"?'),
        (f"{HEAD}{TWO}topology: hub-and-spoke",
         'f:6:11: topology cannot be "hub-and-spoke"; known: a mapping with hubs, full'),
        (f"{HEAD}{TWO}topology: {{hubs: [e]}}",
         'f:6:19: there is no cluster "e"; did you mean "eu"?'),
        (f"{HEAD}{TWO}topology: {{hubs: [eu, eu]}}", 'f:6:23: "eu" is listed twice'),
        (f"{HEAD}{TWO}prune: 'yes'", "f:6:8: prune must be true or false, not text"),
        (f"{HEAD}{TWO}allow: [overlp]",
         'f:6:9: this entry of allow cannot be "overlp"; did you mean "overlap"?'),
        (f"{HEAD}clusters:\n- {{name: eu}}\n- {{name: us, context: b}}",
         'f:4:3: cluster "eu" has neither a context, a kubeconfig nor manifests: give one of them'),
        (f"{HEAD}clusters:\n- {{name: eu, context: a, manifests: [b]}}\n- {{name: us, context: b}}",
         'f:4:3: cluster "eu" has both context and manifests: give one of them'),
        (f"{HEAD}clusters:\n- {{name: eu, context: a}}\n- {{name: eu, context: b}}",
         'f:5:10: a cluster above is also called "eu"'),
        (f"{HEAD}clusters:\n- {{name: Eu, context: a}}\n- {{name: us, context: b}}",
         "f:4:10: name must be a name of lower-case letters, digits and hyphens, 40 characters at "
         "most"),
        (f"{HEAD}clusters:\n- {{name: eu, context: ''}}\n- {{name: us, context: b}}",
         "f:4:23: context must be non-empty text"),
        (f"{HEAD}clusters:\n- {{name: eu, context: a, serviceCIDRs: [10.0.0.0]}}\n- {{name: us, "
         "context: b}", "f:4:41: this entry of serviceCIDRs must be a CIDR such as 10.43.0.0/16"),
        (f"{HEAD}clusters:\n- {{name: eu, context: a, serviceCIDRs: [10.0.0.300/8]}}\n- {{name: us,"
         " context: b}", 'f:4:41: "10.0.0.300/8" is not a CIDR such as 10.43.0.0/16'),
        (f"{HEAD}{TWO}mirror: [ea=a/b]", 'f:6:10: there is no cluster "ea"; known: eu, us'),
        (f"{HEAD}{TWO}presharedKeys: 3",
         "f:6:16: presharedKeys must be text or a mapping, not a number"),
        (f"{HEAD}{TWO}presharedKeys: {{pairs: [{{clusters: [eu], file: x}}]}}",
         "f:6:36: clusters must be a list of 2"),
        (f"{HEAD}{TWO}presharedKeys: {{pairs: [{{clusters: [eu, us], file: x, mode: none}}]}}",
         "f:6:25: give one of file, secret and mode, not file and mode"),
        (f"{HEAD}{TWO}presharedKeys: {{pairs: [{{clusters: [eu, eu], mode: none}}]}}",
         'f:6:41: "eu" is listed twice'),
        (f"{HEAD}{TWO}presharedKeys: {{pairs: [{{clusters: [eu, us], mode: none}}, {{clusters: "
         "[us, eu], mode: none}]}", "f:6:59: this pair of clusters is already listed above"),
        (f"{HEAD}{TWO}- {{name: x, context: c}}\ntopology: {{hubs: [x]}}\npresharedKeys: {{pairs: "
         "[{clusters: [eu, us], mode: none}]}",
         "f:8:25: neither of the two is a hub: they are not linked"),
        (f"{HEAD}{TWO}'a.b`c\\e[31m': 1", None),
        (f'{HEAD}{TWO}"\\e[31m": 1', None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, message: str | None) -> None:
    with pytest.raises(MeshFileError) as raised:
        parse_mesh("f", text.encode())
    assert str(raised.value).isprintable()
    if message is not None:
        assert str(raised.value) == message


def test_the_files_of_the_page_are_right() -> None:
    page = (PUBLISHED.parent / "link.md").read_text(encoding="utf-8")
    whole, *parts = (block.text for block in blocks(page, "yaml"))
    assert len(parts) == 2
    without_hubs = whole.replace("topology:", "").replace("  hubs: [eu]\n", "")
    for text in (whole, *(without_hubs + part for part in parts)):
        mesh = parse_mesh("f", text.encode())
        assert VALIDATOR.is_valid(yaml.safe_load(text))
        assert [one.name for one in mesh.clusters] == ["eu", "us", "edge"]


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(PlacedError, match=r"cannot read .*: No such file"):
        read_mesh_file(tmp_path / "none")
    large = tmp_path / "large"
    large.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(PlacedError, match="more than 1,048,576 bytes"):
        read_mesh_file(large)


def test_paths_start_where_the_file_is() -> None:
    assert located(Path("a/mesh.yaml"), "b/c") == Path("a/b/c")
    assert located(Path("a/mesh.yaml"), "/b") == Path("/b")
    assert located(Path("a/mesh.yaml"), "~/b") == Path.home() / "b"
    assert located(Path("a/mesh.yaml"), "~b") == Path("a/~b")
