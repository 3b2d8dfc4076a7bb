"""Untrusted text: input and output."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.text import NotTextError, decoded

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), min_size=2)


@given(TEXT, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_decoded_text_with_a_mark(text: str, encoding: str) -> None:
    assert decoded(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ["a: ü\n", "{}", "ab\U0001f600"])
def test_decoded_text_without_a_mark(text: str, encoding: str) -> None:
    assert decoded(text.encode(encoding)) == text


@given(st.binary(max_size=40))
def test_decoded_bytes_are_text_or_refused(content: bytes) -> None:
    said = ""
    try:
        decoded(content)
    except NotTextError as error:
        said = str(error)
    assert said == "" or said.endswith("save the file as UTF-8")


def test_decoded_names_the_line() -> None:
    with pytest.raises(NotTextError, match="line 3 is not UTF-8 text"):
        decoded("a\nb\nü\n".encode("latin-1"))
    with pytest.raises(NotTextError, match="line 2 is not UTF-16 text"):
        decoded("a\nb".encode("utf-16")[:-1])
