"""The fast YAML reader: every answer equals PyYAML's."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from kgctl.kube.fast.plain_yaml import NotPlainError, read_plain

KUBECTL = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==
    server: https://127.0.0.1:6443
  name: kind-kind
contexts:
- context:
    cluster: kind-kind
    namespace: default
    user: kind-kind
  name: kind-kind
current-context: kind-kind
kind: Config
preferences: {}
users:
- name: kind-kind
  user:
    client-certificate-data: LS0tLS1CRUdJTg==
    client-key-data: LS0tLS1CRUdJTg==
- name: arn:aws:eks:eu-north-1:123456789012:cluster/prod
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1beta1
      args:
      - --region
      - eu-north-1
      - eks
      - "get-token"
      command: aws
      env: null
      interactiveMode: IfAvailable
      provideClusterInfo: false
- name: token
  user:
    token: 8fa1c0ffee0badcafe00e1
"""


def short(text: str) -> object:
    """The answer of the short way, or the exception's type where it gives up."""
    try:
        return read_plain(text)
    except NotPlainError:
        return NotPlainError


def test_a_kubeconfig_as_kubectl_writes_it_is_plain() -> None:
    assert read_plain(KUBECTL) == yaml.safe_load(KUBECTL)


def test_two_spaces_before_a_list_and_comments_are_plain() -> None:
    users = "users:\n  # one\n  - name: a\n    user: {}\n\n  -   name: b\n      user:\n"
    text = f"---\n# mine\n{users}x: 'y z'\n"
    expected = {"users": [{"name": "a", "user": {}}, {"name": "b", "user": None}], "x": "y z"}
    assert read_plain(text) == expected == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a: 1",
        "a: 1.5",
        "a: 2026-01-01",
        "a: 0x1F",
        "a: yes",
        "a: Off",
        "a: ~",
        "a: b c",
        "a: b # c",
        "a: b\n c: d",
        "a: b\n  c",
        "a: |\n  text",
        "a: &x b",
        "a: *x",
        "a: !!str b",
        "a: {b: c}",
        "a: [b]",
        'a: "\\n"',
        "a: 'it''s'",
        "yes: a",
        "1: a",
        "a:b: c: d",
        "? a\n: b",
        "a: b\n---\nc: d",
        "a:\tb",
        "a: b\r\nc: d",
        "a: é",
        "a:\n  b: c\n d: e",
        "- - a",
        "-\n  a: b",
        "a: -1",
        "a: -.inf",
        "a: b:",
        "a: %b",
        "a: @b",
        "a: 1_000",
        "a: 1:30",
        "a: =",
        "a: <<",
        "<<: a",
        "a: 0b1",
        "a: 0o17",
        "...",
    ],
)
def test_what_is_not_plain_is_left_to_pyyaml(text: str) -> None:
    assert short(text) is NotPlainError


words = st.sampled_from(
    [
        "a",
        "name",
        "https://h:6443",
        "true",
        "null",
        "no",
        "1",
        "0x1",
        "1e3",
        "12ab",
        "9e9",
        "- b",
        "- a: b",
        "a: b",
        "a:",
        "b: - c",
        "{}",
        "[]",
        "'q'",
        '"q"',
        "''",
        "#c",
        "b #c",
        "k: 'v'",
        "-",
        "---",
        "...",
        "a: {}",
        "a: b:c",
        "a: 1.5",
        "x: 0b1",
        "a/b: c",
        "a: ~",
        "yes: b",
        "  ",
        "? a",
        ": b",
        "a: |",
        "& a",
        "a: 'b",
        'a: "b"c',
        "a: b=",
        "a: =",
        "a: 1:2",
        "a: 1a_",
        "a: /p",
        "a:b",
        "Y: n",
        "a: .inf",
        "a: 2001-01-01",
        "a: 1.e1",
        "a: 0123",
        "a: +1",
        "- '- a'",
        "- a:",
        "-  a: b",
        "--x",
        "- --x",
        "a: -b",
        "-b: c",
        "- -b: c",
        "a: --",
        "- -",
        "a: -0b",
        "a: Off",
        "- Yes",
        "a: NULL",
        "a: True",
        "- y",
    ]
)
lines = st.builds(lambda indent, word: " " * indent + word, st.integers(0, 6), words)
texts = st.lists(lines, max_size=8).map("\n".join)


@given(texts)
@example("a:\n- b: c\n  d:\n  - e\n- f\n")
@example("- a: b\n-  c: d\n")
def test_the_short_way_never_answers_otherwise(text: str) -> None:
    found = short(text)
    if found is not NotPlainError:
        assert found == yaml.safe_load(text)


scalars = st.text("ab1 :#-'\"{}[]\\./=~0x", max_size=6) | st.sampled_from(["true", "null", "12ab"])
documents = st.recursive(
    scalars | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["users", "name", "a-b", "no"]), documents), st.booleans())
def test_what_programs_write_reads_back(document: dict[str, Any], sort: bool) -> None:
    text = yaml.safe_dump(document, sort_keys=sort, default_flow_style=False)
    found = short(text)
    if found is not NotPlainError:
        assert found == document


@given(st.text(max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    found = short(text)
    if found is not NotPlainError:
        with contextlib.suppress(yaml.YAMLError):
            assert found == yaml.safe_load(text)


def test_deep_nesting_is_left_to_pyyaml() -> None:
    text = "".join(f"{' ' * depth}a:\n" for depth in range(1000))
    assert short(text) is NotPlainError
