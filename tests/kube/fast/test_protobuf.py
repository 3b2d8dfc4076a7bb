"""Protobuf: valid messages are read, and any other bytes give one clear error."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.kube.fast.protobuf import NodePage, read_node_list, read_status
from kgctl.kube.fast.wire import MAX_OBJECT, MalformedError
from kgctl.kube.objects import NodeObject
from tests.support import encode

if TYPE_CHECKING:
    from collections.abc import Callable

KILO = "kilo.squat.ai/"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
maps = st.dictionaries(texts, texts, max_size=6)
kilo_maps = st.dictionaries(texts.map(KILO.__add__), texts, max_size=4)
nodes = st.builds(NodeObject, texts, texts, maps, kilo_maps)


def dripping(data: bytes, piece: int) -> Callable[[int], bytes]:
    stream = io.BytesIO(data)
    return lambda size: stream.read(min(size, piece))


def encoded(node: NodeObject, others: dict[str, str]) -> bytes:
    return encode.node(*node[:3], {**others, **node.annotations}, status=b"\x0a" * 3000)


@given(st.lists(nodes, max_size=5), maps, texts, texts, st.integers(1, 5000))
def test_a_list_is_read_as_it_was_written(
    nodes: list[NodeObject], others: dict[str, str], version: str, token: str, piece: int
) -> None:
    foreign = {name: value for name, value in others.items() if not name.startswith(KILO)}
    data = encode.node_list([encoded(node, foreign) for node in nodes], version, token)
    page = read_node_list(dripping(data, piece), annotation=KILO)
    assert page == NodePage(nodes, version, token)


def test_fields_may_come_in_any_order_and_unknown_ones_are_stepped_over() -> None:
    unknown = encode.scalar(99, 2**63) + encode.member(1000, b"x" * 500) + b"\x09" + bytes(8)
    entry = encode.member(2, "1.2.3.4:5") + encode.member(1, KILO + "endpoint") + b"\x1d" + bytes(4)
    metadata = encode.member(12, entry) + unknown + encode.member(1, "a")
    node = unknown + encode.member(2, unknown + encode.member(1, "10.0.0.0/24"))
    node += encode.member(1, metadata) + unknown
    data = encode.envelope("NodeList", encode.member(2, node) + encode.scalar(7, 5))
    page = read_node_list(io.BytesIO(data).read)
    expected = NodeObject("a", "10.0.0.0/24", {}, {KILO + "endpoint": "1.2.3.4:5"})
    assert page == NodePage([expected], "", "")


def test_text_that_is_no_utf8_stands_replaced() -> None:
    data = encode.node_list([encode.member(1, encode.member(1, b"a\xff"))])
    assert read_node_list(io.BytesIO(data).read).nodes[0].name == "a\ufffd"


@given(st.integers(0, 400), st.integers(1, 64))
def test_a_list_cut_short_is_an_error(cut: int, piece: int) -> None:
    data = encode.node_list([encode.node("a", "10.0.0.0/24", {"l": "v"}, {KILO + "key": "k"})] * 2)
    end = len(data) - len(encode.member(3, "") + encode.member(4, ""))
    with pytest.raises(MalformedError):
        read_node_list(dripping(data[: min(cut, end - 1)], piece))


@given(st.binary(max_size=300))
def test_hostile_bytes_give_a_page_or_one_clear_error(data: bytes) -> None:
    for start in (b"", b"k8s\0", b"k8s\0" + encode.member(1, b"") + b"\x12" + b"\xff\x01"):
        with contextlib.suppress(MalformedError):
            page = read_node_list(io.BytesIO(start + data).read)
            assert len(page.nodes) <= len(data)


@given(st.data())
def test_a_damaged_byte_never_gives_another_error(data: st.DataObject) -> None:
    whole = bytearray(encode.node_list([encode.node("a", "10.0.0.0/24", {"l": "v"}, {KILO: "k"})]))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedError):
        read_node_list(io.BytesIO(bytes(whole)).read)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x12" + encode.varint(MAX_OBJECT + 1), id="an object of 16 MB"),
        pytest.param(b"\x12" + b"\xff" * 11, id="a length of 77 bits"),
        pytest.param(b"\x0b" + bytes(9), id="a group"),
        pytest.param(encode.member(2, b"\x0e"), id="a field of wire type 6"),
        pytest.param(encode.member(2, b"\x0a\x05ab"), id="metadata beyond its node"),
        pytest.param(encode.member(2, encode.member(1, b"\x62\x04\x0a")), id="an annotation cut"),
        pytest.param(encode.member(2, encode.member(2, b"\x0a\x7f")), id="a spec cut"),
        pytest.param(
            encode.member(2, encode.member(1, encode.member(11, b"\x0a\x09k"))), id="a label cut"
        ),
    ],
)
def test_what_no_server_writes_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedError):
        read_node_list(io.BytesIO(encode.envelope("NodeList", content)).read)


def test_an_object_longer_than_its_list_is_refused() -> None:
    node = encode.member(2, encode.node("a"))
    head = b"k8s\0" + encode.member(1, b"") + b"\x12" + encode.varint(len(node) - 1)
    with pytest.raises(MalformedError, match="longer than the list"):
        read_node_list(io.BytesIO(head + node).read)


def test_a_tail_without_end_is_not_read_to_its_end() -> None:
    pieces = 0

    def endless(size: int) -> bytes:
        nonlocal pieces
        pieces += 1
        return encode.node_list([]) if pieces == 1 else b"\x1a" * min(size, 10_000)

    with pytest.raises(MalformedError, match="too much"):
        read_node_list(endless)
    assert pieces < 20


def test_memory_stays_with_what_is_kept_not_with_what_is_sent() -> None:
    import tracemalloc

    nodes = [encode.node(f"n{number}", status=b"s" * 20_000) for number in range(500)]
    data = encode.node_list(nodes)
    stream = io.BytesIO(data)
    tracemalloc.start()
    try:
        page = read_node_list(lambda size: stream.read(min(size, 16384)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(page.nodes) == 500
    assert peak < len(data) / 10


def test_a_status_says_what_why_and_with_which_code() -> None:
    assert read_status(encode.status("no", "Forbidden", 403)) == ("no", "Forbidden", 403)


@given(st.binary(max_size=200))
def test_hostile_bytes_are_no_status_without_a_traceback(data: bytes) -> None:
    for start in (b"", b"k8s\0"):
        with contextlib.suppress(MalformedError):
            read_status(start + data)
