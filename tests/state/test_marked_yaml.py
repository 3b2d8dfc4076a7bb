"""YAML values that people write, and their positions."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kgctl.errors import ClusterError
from kgctl.state.marked_yaml import PlacedError, ValuePath, read_marked_yaml

# PyYAML writes YAML's other line breaks as they are, and reads them as blanks
TEXT = st.text(st.characters(exclude_characters="\x85\u2028\u2029", codec="utf-8"), max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN, st.booleans())
def test_what_was_written_is_read_and_every_value_has_a_place(value: object, flow: bool) -> None:
    text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=flow)
    found = read_marked_yaml("f", text.encode())
    assert found.value == value
    paths: list[tuple[ValuePath, object]] = [((), value)]
    for path, one in paths:
        assert found.place(path).startswith("f:")
        if isinstance(one, dict):
            paths += [((*path, key), inner) for key, inner in one.items()]
            assert all(found.place((*path, key), key=True) for key in one)
        if isinstance(one, list):
            paths += [((*path, at), inner) for at, inner in enumerate(one)]


@given(st.binary(max_size=60) | st.text("[]{}:,-&*!? \n#'\"ab1", max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused_in_a_line(content: bytes) -> None:
    said = ""
    try:
        read_marked_yaml("f", content)
    except ClusterError as error:
        said = str(error)
    assert said.isprintable()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("12:30", "12:30"), ("2001-01-01", "2001-01-01"), ("0o7", "0o7"),
        ("010", "010"), ("1_0", "1_0"), ("true", True), ("-7", -7), ("~", None), ("'7'", "7"),
        ("1.5", "1.5"), ("9" * 19, "9" * 19), ("", None),
    ],
)  # fmt: skip
def test_scalars_are_what_editors_take_them_for(text: str, value: object) -> None:
    assert read_marked_yaml("f", f"a: {text}\n".encode()).value == {"a": value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", 'f:3:1: "a" is already set in line 1'),
        ("a: &x [1]\nb: *x", "f:1:4: an alias (*) refers to this value: repeat the value instead"),
        ("a: &x [*x]", "f:1:4: an alias (*) refers to this value: repeat the value instead"),
        ("? [a]\n: 1", "f:1:3: a key must be text, not a list or a mapping"),
        ("a: !!python/object:os.system 1", "f:1:4: the tag tag:yaml.org,2002:python/object:"
         "os.system is not supported"),
        ("a: !x {b: 1}", "f:1:4: the tag !x is not supported"),
        ("--- a\n--- b", "f:2:1: invalid YAML: but found another document"),
        ("a:\n\t- 1", "f:2:1: invalid YAML: found character that cannot start any token"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, message: str) -> None:
    with pytest.raises(PlacedError) as raised:
        read_marked_yaml("f", text.encode())
    assert str(raised.value) == message
