"""Objects from libyaml's events: the same as PyYAML loads, without the status."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kgctl.errors import ManifestError
from kgctl.kube.codec.yaml_loader import DEEPEST, BoundedLoader
from kgctl.kube.fast.yaml_objects import ObjectReader, UnusualError
from kgctl.state.manifests import read_documents
from tests.apiserver.fleet import fleet
from tests.kube.codec.test_yaml_loader import TOO_DEEP

SCALARS = """\
text: plain text
quoted: "12"
single: 'true'
block: |
  status: 1
    more
folded: >-
  a
  b
number: 12
octal: 0o14
old-octal: 014
hexadecimal: 0x1f
real: 1.5e+3
infinity: .inf
truth: yes
lie: off
nothing: null
tilde: ~
empty:
date: 2026-01-31
moment: 2026-01-31T12:00:00Z
sexagesimal: 190:20:30
2: a number as a key
y: a truth value as a key
=: a sign
date-like: 2026-99-99
flow: {a: [1, two, "3"], b: {}}
"""

leaves = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
keys = st.text().filter(lambda key: key not in ("status", "metadata", "items"))
trees = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=20
)


class WholeDumper(yaml.SafeDumper):
    """Writes everything out: no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def loaded(text: str) -> list[Any]:
    return list(yaml.load_all(text, Loader=BoundedLoader))


def read(text: str) -> list[Any]:
    return ObjectReader(text.encode()).documents()


@pytest.mark.parametrize(
    "text",
    [
        SCALARS,
        "",
        "---\n",
        "--- a\n--- b\n...\n--- [c]\n",
        "# nothing\n---\na: 1\n---\n---\nb: 2\n",
        "%YAML 1.1\n---\na: b\n",
        "- a\n- - b\n  - {c: d}\n",
        "plain",
        "a: 1\na: 2\n",
        "anchored: &here [1]\n",
    ],
)
def test_reads_what_the_loader_loads(text: str) -> None:
    assert read(text) == loaded(text)


@given(trees)
def test_reads_whatever_is_dumped(tree: Any) -> None:
    text = yaml.dump(tree, Dumper=WholeDumper, allow_unicode=True)
    assert read(text) == loaded(text)


def test_passes_over_status_and_managed_fields_of_objects_alone() -> None:
    node: dict[str, Any] = next(fleet(1))
    node["metadata"]["managedFields"] = [{"fieldsV1": {"f:status": {}}}]
    node["spec"]["status"] = node["metadata"]["labels"]["status"] = "kept"
    text = yaml.dump_all([{"kind": "List", "items": [node, node]}, node], Dumper=WholeDumper)
    del node["status"], node["metadata"]["managedFields"]
    assert read(text) == [{"kind": "List", "items": [node, node]}, node]


@pytest.mark.parametrize(
    "text",
    [
        "a: &here 1\nb: *here\n",
        "<<: {a: 1}\n",
        "a: !!str 1\n",
        "a: !!set {b}\n",
        "!!map {a: 1}\n",
        "? [a]\n: b\n",
        "~: 1\n",
        "[" * (DEEPEST + 1),
        "status: " + "[" * (DEEPEST + 1),
    ],
)
def test_leaves_what_is_unusual_to_the_loader(text: str) -> None:
    with pytest.raises(UnusualError):
        read(text)


def test_documents_with_aliases_are_read_all_the_same() -> None:
    assert read_documents("f", b"a: &here [1]\nb: *here\nstatus: 2\n") == [
        {"a": [1], "b": [1], "status": 2}
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("status: [\n", "neither YAML nor JSON in line 2, column 1"),
        ("a: b: c\n", "neither YAML nor JSON in line 1, column 5"),
        ("a: !!int 2026-99-99\n", "cannot be decoded"),
        ("a: *nowhere\n", "neither YAML nor JSON in line 1, column 4"),
        ("a: \x01\n", "neither YAML nor JSON"),
        ("status: " + "[" * 100_000, TOO_DEEP),
    ],
)
def test_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        read_documents("f", text.encode())
