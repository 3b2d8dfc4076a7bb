"""Bytes to documents: hostile ones fail early with one line."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.errors import ManifestError
from kgctl.state.manifests import read_documents
from tests.kube.codec.test_yaml_loader import TOO_DEEP

_MERGE_OF_MANY = (
    f"a: &a {{{', '.join(f'k{number}: 1' for number in range(10_001))}}}\nb: {{<<: *a}}"
)
_MERGES = ["l0: &l0 {" + ", ".join(f"k{number}: 1" for number in range(10)) + "}"]
_MERGES += [
    f"l{level}: &l{level} {{<<: [{', '.join([f'*l{level - 1}'] * 10)}]}}" for level in range(1, 12)
]


@pytest.mark.parametrize(
    ("content", "documents"),
    [
        (b"", []),
        (b"# nothing\n", []),
        (b"a: 1\n---\nb: 2\n", [{"a": 1}, {"b": 2}]),
        (b'{"a": 1} {"b": 2}\n\n', [{"a": 1}, {"b": 2}]),
        (b'\xef\xbb\xbf{"a": 1}', [{"a": 1}]),
        (b'{"a": "\\ud83d\\ude00"} {}', [{"a": "\U0001f600"}, {}]),
        ("a: ä".encode("utf-16"), [{"a": "ä"}]),
        (b"a: &x {b: 1}\nc: {<<: *x, d: 2}", [{"a": {"b": 1}, "c": {"b": 1, "d": 2}}]),
        (b"a: 0x10\nb: '0x10'\nc: 1:30", [{"a": 16, "b": "0x10", "c": "1:30"}]),
        (b"a: 2020-13-45\nb: 2026-11-27", [{"a": "2020-13-45", "b": "2026-11-27"}]),
        (b"a: " + b"9" * 5000, [{"a": "9" * 5000}]),
        (b"x: &x {b: 1}\nc: {b: 2, <<: *x}", [{"x": {"b": 1}, "c": {"b": 1}}]),
        (b"x: &x {b: 1}\nc: {<<: [*x, {b: 2, d: 3}]}", [{"x": {"b": 1}, "c": {"b": 1, "d": 3}}]),
        (b"012: a\ny: b\n1.50: c\n'08': d", [{"10": "a", "true": "b", "1.5": "c", "08": "d"}]),
        (b"a: !!int '0o31'\nb: !!str 08\nc: !!float 25", [{"a": 25, "b": "08", "c": 25}]),
        (b"a: !!bool yes\nb: !!timestamp 2026-01-01", [{"a": True, "b": "2026-01-01"}]),
        ('{"a": "ä\U0001f600"}'.encode("utf-16"), [{"a": "ä\U0001f600"}]),
        ('{"a": "ä"} {}'.encode("utf-16-be"), [{"a": "ä"}, {}]),
        ("a: ä\r\n---\r\nb: 2\r\n".encode("utf-16-le"), [{"a": "ä"}, {"b": 2}]),
        ("\ufeffa: ä".encode("utf-32"), [{"a": "ä"}]),
        ("a: ä".encode("utf-32-be"), [{"a": "ä"}]),
    ],
)
def test_documents(content: bytes, documents: list[object]) -> None:
    assert read_documents("m", content) == documents


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"!!bool maybe", "cannot be decoded"),
        (b'!!int ""', "cannot be decoded"),
        (b"!!float x", "cannot be decoded"),
        (b"a: 1\n~: b", "line 2, column 1: found a key that is not text"),
        (b"a: 1\n18446744073709551615: b", "line 2, column 1: found a key that is not text"),
        ("a: b\nc: ä".encode("latin-1"), "line 2 is not UTF-8 text: save the file as UTF-8"),
        (b"\xff\xfea", "line 1 is not UTF-16 text: save the file as UTF-8"),
        (b"\xff\xfea\0:\0\n\0\0\xd8", "line 2 is not UTF-16 text: save the file as UTF-8"),
        ('{"a": "ä"}'.encode("latin-1"), "line 1 is not UTF-8 text"),
        (b"? [a]\n: b", "line 1, column 3: found unhashable key"),
        (b"<<: 3", "line 1, column 5: expected a mapping"),
        (b"&a {<<: *a}", "cannot be decoded"),
        (b'{"a": "\\ud800"}', "found invalid Unicode character escape code"),
        (b'{"a": "\\ud800"} {}', "found invalid Unicode character escape code"),
        (b"a: \x1b]0;owned\x07", "control characters are not allowed"),
        (_MERGE_OF_MANY.encode(), "merges more than 10000 entries"),
        (b"{" * 100_000, TOO_DEEP),
        (b"- " * 100_000, TOO_DEEP),
        (b'{"a":' * 100_000, TOO_DEEP),
    ],
)
def test_what_is_no_document_is_refused_in_one_line(content: bytes, complaint: str) -> None:
    before = time.process_time()
    with pytest.raises(ManifestError) as raised:
        read_documents("m.yaml", content)
    message = str(raised.value)
    assert re.search(complaint, message)
    assert message.startswith("m.yaml: ")
    assert message.isprintable()
    assert len(message) < 500
    assert time.process_time() - before < 5


def test_merges_of_merges_do_not_fill_the_memory() -> None:
    """Ten of ten of ten: since 6.0.4 PyYAML merges each key once, before it ours has to refuse."""
    complaint, sizes = "", []
    try:
        (document,) = read_documents("m.yaml", "\n".join(_MERGES).encode())
        sizes = [len(mapping) for mapping in document.values()]
    except ManifestError as error:
        complaint = str(error)
    assert "merges more than 10000 entries" in complaint or sizes == [10] * len(_MERGES)


@given(st.binary(max_size=200) | st.text(alphabet="[]{}&*a<:?!|>'\"#%-,\n 0.~", max_size=60))
def test_any_bytes_are_documents_or_an_error_of_ours(content: bytes | str) -> None:
    raw = content if isinstance(content, bytes) else content.encode()
    complaint = ""
    try:
        read_documents("m", raw)
    except ManifestError as error:
        complaint = str(error)
    assert complaint.isprintable()
