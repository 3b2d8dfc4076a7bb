"""YAML scalars have the meaning that Kubernetes gives them, in input and output."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from kgctl.kube.codec.structured import to_json, to_yaml
from kgctl.kube.codec.yaml_loader import BoundedLoader, TextLoader
from kgctl.kube.codec.yaml_scalars import WORDS, is_text, key_of, needs_quotes, value_of
from kgctl.kube.fast.plain_yaml import NotPlainError, read_plain
from kgctl.kube.fast.yaml_objects import ObjectReader
from kgctl.state.manifests import read_documents
from tests.support.yamltable import KEYS, NO_KEYS, TEXTS, VALUES

NUMBERLIKE = st.text("0123456789+-._:eExXoObBaFyn~<= Tt/Z", max_size=12)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | NUMBERLIKE
ANY_WORD = NUMBERLIKE | st.sampled_from([*VALUES, *TEXTS, *WORDS])


def same(found: object, expected: object) -> bool:
    return (type(found), found) == (type(expected), expected)


def answers(text: str) -> list[Any]:
    """What each way of reading makes of one document."""
    found = [
        read_documents("f", text.encode())[0],
        ObjectReader(text.encode()).documents()[0],
        yaml.load(text, Loader=BoundedLoader),
    ]
    with contextlib.suppress(NotPlainError):
        found.append(read_plain(text))
    return found


@pytest.mark.parametrize("word", VALUES)
def test_value_of_words_that_stand_for_something_else(word: str) -> None:
    assert same(value_of(word), VALUES[word])
    assert not is_text(word)
    assert needs_quotes(word)
    assert all(same(found["a"], VALUES[word]) for found in answers(f"a: {word}\n"))


@pytest.mark.parametrize("word", TEXTS)
def test_value_of_words_that_are_text(word: str) -> None:
    assert value_of(word) == word
    assert is_text(word)
    assert all(found == {"a": word} for found in answers(f"a: {word}\n"))


@pytest.mark.parametrize("word", [".nan", ".NaN", ".NAN"])
def test_value_of_nan(word: str) -> None:
    value = value_of(word)
    assert value != value


@pytest.mark.parametrize("word", KEYS)
def test_keys_become_text(word: str) -> None:
    assert key_of(word) == KEYS[word]
    assert all(found == {KEYS[word]: 1} for found in answers(f"{word}: 1\n"))


@pytest.mark.parametrize("word", NO_KEYS)
def test_keys_that_are_refused(word: str) -> None:
    assert key_of(word) is None


@pytest.mark.parametrize(
    "digits", ["9" * 5000, "-" + "9" * 5000, "0" * 5000 + "8", "1" + "_" * 5000]
)
def test_long_numbers_are_read(digits: str) -> None:
    assert value_of(digits) in (digits, 8, 1)


def test_hexadecimal_numbers_of_any_size_are_numbers() -> None:
    assert value_of("0x" + "F" * 18) == float(0xFFFFFFFFFFFFFFFFFF)
    assert value_of("0x" + "F" * 5000) == float("inf")


@given(ANY_WORD)
def test_all_ways_of_reading_agree(word: str) -> None:
    if word.strip() != word or not word or any(mark in word for mark in (": ", "- ", " #", "--")):
        return  # not one word
    if word in ("-", ":") or word.endswith(":"):
        return
    first, *others = answers(f"a: {word}\n")
    for other in others:
        assert repr(other) == repr(first)


@given(
    st.dictionaries(TEXT, TEXT | st.lists(TEXT))
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.none()
)
@example({"y": "n", "1e3": "08", "<<": "<<", "=": "="})
@example({"~": "", " a ": "\ufeffb\x85\u2028", "2026-1-2": "1:30"})
def test_what_is_written_is_read_as_it_was(value: object) -> None:
    assert read_documents("f", to_yaml(value).encode()) == [value]
    assert read_documents("f", to_json(value).encode()) == [value]


@given(TEXT)
def test_other_readers_read_it_too(text: str) -> None:
    assert yaml.safe_load(to_yaml({text: text})) == {text: text}


@pytest.mark.parametrize(
    "word", [*VALUES, "=", "<<", "1:30", "190:20:30.15", "2026-1-2", "", ".nan"]
)
def test_words_are_written_in_quotes(word: str) -> None:
    assert to_yaml({"a": word}) == f"a: '{word}'\n"
    assert to_yaml({word: 1}) == f"'{word}': 1\n"


@pytest.mark.parametrize(
    "word", ["1.2.3", "10.0.0.0/24", "fd00::1", "yEs", "a=", "8fa1", "1f", "0xg"]
)
def test_words_are_written_without_quotes(word: str) -> None:
    assert to_yaml({"a": word}) == f"a: {word}\n"


@pytest.mark.parametrize("value", [1, -5, 2**70, True, False, None, 1.5, 1e22, 1e-7, [], {}])
def test_values_that_are_no_text_are_written_without_quotes(value: object) -> None:
    assert "'" not in to_yaml({"a": value})
    assert "!" not in to_yaml({"a": value})


def test_a_text_loader_keeps_numbers_as_they_are_written() -> None:
    text = "a: 1e3\nb: 012\nc: true\nd: ~\ne: 12\nf: 1.50\n"
    expected = {"a": "1e3", "b": "012", "c": True, "d": None, "e": "12", "f": "1.50"}
    assert yaml.load(text, Loader=TextLoader) == expected
