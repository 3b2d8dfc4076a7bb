"""Who can dial an address: a table from the registries, and properties."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.dialability import (
    Dialled,
    Scope,
    is_behind_nat,
    is_dialable,
    is_dialable_from_elsewhere,
    scope_of,
)
from kgctl.mesh.endpoint import Endpoint, parse_endpoint

ANYWHERE, NEARBY, NEVER = Dialled.ANYWHERE, Dialled.NEARBY, Dialled.NEVER

TABLE = [
    ("0.0.0.0", Scope.UNSPECIFIED, NEVER),
    ("0.1.2.3", Scope.UNSPECIFIED, NEVER),
    ("1.1.1.1", Scope.PUBLIC, ANYWHERE),
    ("9.255.255.255", Scope.PUBLIC, ANYWHERE),
    ("10.0.0.1", Scope.PRIVATE, NEARBY),
    ("11.0.0.0", Scope.PUBLIC, ANYWHERE),
    ("100.63.255.255", Scope.PUBLIC, ANYWHERE),
    ("100.64.0.0", Scope.SHARED, NEARBY),
    ("100.127.255.255", Scope.SHARED, NEARBY),
    ("100.128.0.0", Scope.PUBLIC, ANYWHERE),
    ("126.255.255.255", Scope.PUBLIC, ANYWHERE),
    ("127.0.0.1", Scope.LOOPBACK, NEVER),
    ("127.255.0.9", Scope.LOOPBACK, NEVER),
    ("169.253.255.255", Scope.PUBLIC, ANYWHERE),
    ("169.254.1.1", Scope.LINK_LOCAL, NEARBY),
    ("172.15.255.255", Scope.PUBLIC, ANYWHERE),
    ("172.16.0.0", Scope.PRIVATE, NEARBY),
    ("172.31.255.255", Scope.PRIVATE, NEARBY),
    ("172.32.0.0", Scope.PUBLIC, ANYWHERE),
    ("192.0.0.4", Scope.RESERVED, NEARBY),
    ("192.0.1.1", Scope.PUBLIC, ANYWHERE),
    ("192.0.2.1", Scope.DOCUMENTATION, ANYWHERE),
    ("192.88.99.1", Scope.PUBLIC, ANYWHERE),
    ("192.168.255.255", Scope.PRIVATE, NEARBY),
    ("192.169.0.0", Scope.PUBLIC, ANYWHERE),
    ("198.17.255.255", Scope.PUBLIC, ANYWHERE),
    ("198.18.0.1", Scope.BENCHMARK, ANYWHERE),
    ("198.20.0.0", Scope.PUBLIC, ANYWHERE),
    ("198.51.100.7", Scope.DOCUMENTATION, ANYWHERE),
    ("203.0.113.7", Scope.DOCUMENTATION, ANYWHERE),
    ("223.255.255.255", Scope.PUBLIC, ANYWHERE),
    ("224.0.0.1", Scope.MULTICAST, NEVER),
    ("239.255.255.255", Scope.MULTICAST, NEVER),
    ("240.0.0.1", Scope.RESERVED, NEARBY),
    ("255.255.255.254", Scope.RESERVED, NEARBY),
    ("255.255.255.255", Scope.BROADCAST, NEVER),
    ("::", Scope.UNSPECIFIED, NEVER),
    ("::1", Scope.LOOPBACK, NEVER),
    ("::2", Scope.UNALLOCATED, NEVER),
    ("::10.0.0.1", Scope.UNALLOCATED, NEVER),
    ("::ffff:10.0.0.1", Scope.PRIVATE, NEARBY),
    ("::ffff:127.0.0.1", Scope.LOOPBACK, NEVER),
    ("::ffff:1.1.1.1", Scope.PUBLIC, ANYWHERE),
    ("64:ff9b::1.1.1.1", Scope.PUBLIC, ANYWHERE),
    ("64:ff9b::192.168.1.1", Scope.PRIVATE, NEARBY),
    ("64:ff9b:1::1", Scope.UNIQUE_LOCAL, NEARBY),
    ("100::1", Scope.UNALLOCATED, NEVER),
    ("2001::1", Scope.UNALLOCATED, NEVER),
    ("2001:2::1", Scope.BENCHMARK, ANYWHERE),
    ("2001:20::1", Scope.UNALLOCATED, NEVER),
    ("2001:200::1", Scope.PUBLIC, ANYWHERE),
    ("2001:db8::1", Scope.DOCUMENTATION, ANYWHERE),
    ("2002:101:101::1", Scope.PUBLIC, ANYWHERE),
    ("2002:a00:1::1", Scope.PRIVATE, NEARBY),
    ("2002:7f00:1::1", Scope.LOOPBACK, NEVER),
    ("2a01:4f8::1", Scope.PUBLIC, ANYWHERE),
    ("3fff:fff::1", Scope.DOCUMENTATION, ANYWHERE),
    ("4000::1", Scope.UNALLOCATED, NEVER),
    ("5f00::1", Scope.UNALLOCATED, NEVER),
    ("fc00::1", Scope.UNIQUE_LOCAL, NEARBY),
    ("fd12:3456::1", Scope.UNIQUE_LOCAL, NEARBY),
    ("fe00::1", Scope.UNALLOCATED, NEVER),
    ("fe80::1", Scope.ZONED, NEVER),
    ("febf::1", Scope.ZONED, NEVER),
    ("fec0::1", Scope.UNIQUE_LOCAL, NEARBY),
    ("ff02::1", Scope.MULTICAST, NEVER),
]


@pytest.mark.parametrize(("text", "scope", "dialled"), TABLE)
def test_an_address_is_what_its_range_is(text: str, scope: Scope, dialled: Dialled) -> None:
    found = scope_of(ip_address(text))
    assert (found, found.dialled) == (scope, dialled)
    endpoint = Endpoint(ip_address(text), 51820)
    assert is_dialable(endpoint) is (dialled is not NEVER)
    assert is_dialable_from_elsewhere(endpoint) is (dialled is ANYWHERE)


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("vpn.example.com", Scope.NAME),
        ("localhost", Scope.LOOPBACK),
        ("node.localhost", Scope.LOOPBACK),
        ("localhost.example.com", Scope.NAME),
        ("mylocalhost", Scope.NAME),
        ("nowhere.invalid", Scope.NO_NAME),
    ],
)
def test_a_name_may_stand_for_any_machine_but_for_reserved_ones(name: str, scope: Scope) -> None:
    assert scope_of(name) is scope
    assert is_dialable_from_elsewhere(Endpoint(name, 1)) is (scope is Scope.NAME)


def test_what_is_not_there_is_dialled_by_nobody() -> None:
    assert not is_dialable(None)
    assert not is_dialable_from_elsewhere(None)


@given(st.ip_addresses(v=4))
def test_what_python_takes_for_global_is_dialled_from_anywhere(address: IPv4Address) -> None:
    protocols = int(address) >> 8 == 0xC00000  # 192.0.0.0/24: anycast addresses, of no machine
    if address.is_global and not address.is_multicast and not protocols:
        assert scope_of(address).dialled is ANYWHERE
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        assert scope_of(address).dialled is NEVER


@given(st.ip_addresses(v=4))
def test_an_ipv6_address_that_holds_an_ipv4_one_is_what_that_is(address: IPv4Address) -> None:
    value = int(address)
    for prefix, shift in ((0xFFFF << 32, 0), (0x0064FF9B << 96, 0), (0x2002 << 112, 80)):
        assert scope_of(IPv6Address(prefix | value << shift)) is scope_of(address)


@given(st.ip_addresses(v=6))
def test_every_ipv6_address_has_a_scope(address: IPv6Address) -> None:
    found = scope_of(address).dialled
    if address.is_multicast or address.is_link_local or address.is_loopback:
        assert found is NEVER
    if address.is_site_local:
        assert found is NEARBY


@pytest.mark.parametrize(
    ("annotated", "used", "expected"),
    [
        ("198.51.100.1:51820", "198.51.100.1:51820", False),
        ("198.51.100.1:51820", "198.51.100.1:4000", False),
        ("198.51.100.1:51820", "203.0.113.9:51820", True),
        ("198.51.100.1:51820", None, False),
        ("10.0.0.1:51820", "10.0.0.1:51820", True),
        ("100.72.1.5:51820", "203.0.113.9:4000", True),
        ("0.0.0.0:51820", "203.0.113.9:4000", True),
        ("vpn.example.com:51820", "203.0.113.9:4000", False),
        ("localhost:51820", "localhost:51820", True),
        (None, None, True),
        (None, "203.0.113.9:4000", True),
    ],
)
def test_behind_nat_is_who_is_not_dialled_where_it_says(
    annotated: str | None, used: str | None, expected: bool
) -> None:
    ends = [None if text is None else parse_endpoint(text) for text in (annotated, used)]
    assert is_behind_nat(*ends) is expected
