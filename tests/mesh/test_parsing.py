"""Parsing of values, as strict as that of Go, in which Kilo is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.cidr import Address, address_text, parse_address, parse_cidr
from kgctl.mesh.endpoint import parse_endpoint, parse_port
from kgctl.mesh.key import PresharedKey, PublicKey

KEY = "YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo="


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10.1.0.7/24", "10.1.0.7/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("fd00:10:0::/64", "fd00:10::/64"),
        ("FD00::1/128", "fd00::1/128"),
        ("::ffff:10.0.0.7/120", "10.0.0.7/24"),
        ("::10.0.0.7/128", "::a00:7/128"),
    ],
)
def test_a_cidr(text: str, shown: str) -> None:
    assert str(parse_cidr(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "10.1.0.7", "10.1.0.7/", "/24", "10.1.0.7/33", "10.1.0.7/255.255.255.0",
        "010.1.0.7/24", "10.1.0.07/24", "10.1.0.7/024", "10.1.0.7/+24", "10.1.0.7/-1",
        " 10.1.0.7/24", "10.1.0.7/24 ", "10.1.0.7/2 4", "10.1.0.7/2_4", "10.1.0.7/24\n",
        "10.1.0/24", "10.1.0.7.8/24", "10.1..7/24", "256.1.0.7/24", "\u0663.1.0.7/24",
        "10.1.0.7/\u0663",
        "fe80::1%eth0/64", "fd00::1/129", "::1", "fd00::/64/64", "0x0a.1.0.7/24",
    ],
)  # fmt: skip
def test_no_cidr(text: str) -> None:
    assert parse_cidr(text) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1.2.3.4:51820", "1.2.3.4:51820"),
        ("[2001:db8::1]:1", "[2001:db8::1]:1"),
        ("[::ffff:1.2.3.4]:65535", "1.2.3.4:65535"),
        ("vpn.example.com:51820", "vpn.example.com:51820"),
        ("localhost:7", "localhost:7"),
        ("1.2.3:7", "1.2.3:7"),
    ],
)
def test_an_endpoint(text: str, shown: str) -> None:
    assert str(parse_endpoint(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "1.2.3.4", "1.2.3.4:", ":51820", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:+5",
        "1.2.3.4: 5", "1.2.3.4:5 ", "1.2.3.4:\u0665", "2001:db8::1:51820", "[2001:db8::1]",
        "[::1]:",
        "[fe80::1%eth0]:5", "[1.2.3.4]:5", "Vpn.example.com:5", "a_b:5", "-a:5", "a-:5", "a..b:5",
        ".a:5", "a.:5", f"{'a' * 254}:5", "a\n:5", "a:5\n", "[::1]:5\nPostUp = x",
    ],
)  # fmt: skip
def test_no_endpoint(text: str) -> None:
    assert parse_endpoint(text) is None


def test_no_zone_and_no_port_of_many_digits() -> None:
    assert parse_address("fe80::1%eth0") is None
    assert parse_port("0" * 5000) is None


def test_a_key_is_base64_of_32_bytes() -> None:
    assert str(PublicKey.parse(KEY)) == KEY
    assert str(PublicKey.parse(f"{KEY[:10]}\r\n{KEY[10:]}\n")) == KEY  # Go's decoder skips these


@pytest.mark.parametrize(
    "text",
    ["", "x", KEY[:-1], f"{KEY}=", f" {KEY}", f"{KEY} ", KEY[:-2] + "==", f"{KEY}{KEY}",
     "A" * 43 + "=", KEY.replace("U", "_"), "\u00e9" * 43 + "=", "A" * 100_000],
)  # fmt: skip
def test_no_key(text: str) -> None:
    assert PublicKey.parse(text) is None


def test_a_secret_does_not_show_itself() -> None:
    key = PresharedKey.parse(KEY)
    assert key is not None
    assert key.reveal() == KEY
    for shown in (str(key), repr(key), f"{key}", "%s" % key, repr([key])):  # noqa: UP031
        assert KEY[:8] not in shown


@given(st.ip_addresses())
def test_an_address_has_the_text_that_the_standard_library_gives_it(address: Address) -> None:
    assert address_text(address) == str(address)
