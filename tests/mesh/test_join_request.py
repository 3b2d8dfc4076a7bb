"""Requests to join: what comes out of a line is what went in, or nothing."""

from __future__ import annotations

from base64 import b32encode
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.endpoint import is_dns_name, parse_endpoint
from kgctl.mesh.join_request import MOST, JoinRequest, JoinRequestError, parse_join_request
from kgctl.mesh.key import PublicKey

KEY = bytes(range(1, 33))
PREFIX = "kgctl-join-v1-"

names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True).filter(is_dns_name)
keys = st.binary(min_size=32, max_size=32).filter(any).map(PublicKey)
endpoints = st.none() | st.sampled_from(
    ["192.0.2.7:51820", "[2001:db8::7]:1", "home.example:65535"]
).map(parse_endpoint)
networks = st.lists(
    st.sampled_from(["192.168.7.0/24", "fd00:7::/64", "10.0.0.0/8"]).map(parse_cidr), max_size=3
)
requests = st.builds(JoinRequest, names, keys, endpoints, networks.map(tuple))


def made(name: str, content: bytes) -> str:
    """Return a line with a right checksum, whatever it holds."""
    check = crc32(f"{name}\n".encode() + content).to_bytes(4, "big")
    return f"{PREFIX}{name}-{b32encode(check + content).decode().rstrip('=').lower()}"


@given(requests)
def test_a_line_says_what_it_was_made_from(request_: JoinRequest) -> None:
    line = request_.line()
    assert len(line) <= MOST
    assert line.isascii()
    assert line.isprintable()
    assert parse_join_request(line) == request_


@given(requests, st.data())
def test_what_chats_and_mails_do_to_a_line_changes_nothing(
    request_: JoinRequest, data: st.DataObject
) -> None:
    line = request_.line()
    at = data.draw(st.integers(0, len(line)))
    assert parse_join_request(f"  {line[:at]}\r\n{line[at:]}\n") == request_
    assert parse_join_request(line[:1].upper() + line[1:]) == request_


@given(requests, st.data())
def test_a_damaged_line_is_refused(request_: JoinRequest, data: st.DataObject) -> None:
    line = request_.line()
    at = data.draw(st.integers(0, len(line) - 1))
    character = data.draw(st.characters(codec="utf-8"))
    kept = data.draw(st.integers(at, len(line)))
    for damaged in (line[:at], line[:at] + character + line[at + 1 :], line[:at] + line[kept:]):
        if "".join(damaged.split()).lower() != line:
            with pytest.raises(JoinRequestError):
                parse_join_request(damaged)


@given(st.text() | st.text().map(PREFIX.__add__))
def test_any_text_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(JoinRequestError) as caught:
        parse_join_request(text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("laptop", KEY[1:]),
        ("laptop", bytes(32)),
        ("laptop", KEY + b"home.example"),
        ("laptop", KEY + b"home.example:0"),
        ("laptop", KEY + b"\n"),
        ("laptop", KEY + b"\n192.168.7.0"),
        ("laptop", KEY + b"\n192.168.7.1/24"),
        ("laptop", KEY + b"\n192.168.7.1/32"),
        ("laptop", KEY + b"\n192.168.7.0/24\n"),
        ("laptop", KEY + b"\nfd00:0:0::/64"),
        ("laptop", KEY + b"home.example:051820"),
        ("laptop", KEY + b"\xff"),
        ("laptop", KEY + "٣".encode()),
        ("-laptop", KEY),
        ("lap_top", KEY),
        ("lap/top", KEY),
        ("", KEY),
        ("a" * 254, KEY),
    ],
)
def test_a_line_with_a_right_checksum_and_wrong_values_is_refused(
    name: str, content: bytes
) -> None:
    with pytest.raises(JoinRequestError, match="damaged or incomplete"):
        parse_join_request(made(name, content))
    assert parse_join_request(made("laptop", KEY)).name == "laptop"


def test_other_lines_say_what_they_are_not() -> None:
    with pytest.raises(JoinRequestError, match="another version of kgctl"):
        parse_join_request("kgctl-join-v2-laptop-aaaa")
    with pytest.raises(JoinRequestError, match="no request to join"):
        parse_join_request("YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo=")
    with pytest.raises(JoinRequestError, match="no request to join"):
        parse_join_request(PREFIX + "a" * 100_000)


def test_a_request_that_no_chat_would_keep_whole_is_not_made() -> None:
    with pytest.raises(JoinRequestError, match="more than 300: give a shorter name"):
        JoinRequest("a" * 253, PublicKey(KEY)).line()
