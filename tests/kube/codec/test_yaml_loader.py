"""Nested YAML files never crash the process."""

from __future__ import annotations

import pytest
import yaml

from kgctl.kube.codec.yaml_loader import DEEPEST, BoundedLoader

TOO_DEEP = "nested more than 200 levels deep|exceeded maximum nesting depth"
"""What is said of it; of a thousand levels of brackets PyYAML 6.0.4's libyaml says it first."""


def load(text: str) -> object:
    return yaml.load(text, Loader=BoundedLoader)


@pytest.mark.parametrize("opening", ["[", '{"a": ', "- ", "? ", "[{a: ", "!!seq ["])
def test_a_hundred_thousand_levels_are_refused(opening: str) -> None:
    with pytest.raises(yaml.YAMLError, match=TOO_DEEP):
        load(opening * 100_000)


def test_what_objects_are_nested_is_read() -> None:
    depth = DEEPEST // 2
    found = load("[" * depth + "]" * depth)
    for _ in range(depth - 1):
        assert isinstance(found, list)
        found = found[0]
    assert found == []


def test_many_documents_side_by_side_are_not_deep() -> None:
    assert len(list(yaml.load_all("--- {a: [b]}\n" * 1000, Loader=BoundedLoader))) == 1000


def test_no_other_than_plain_values_are_made() -> None:
    with pytest.raises(yaml.YAMLError):
        load("!!python/object/apply:os.getpid []")
