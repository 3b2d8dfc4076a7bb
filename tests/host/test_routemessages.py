"""Messages of the routing socket, as pyroute2 reads them, and answers to batches."""

from __future__ import annotations

import errno
import struct
from ipaddress import ip_address

import pytest
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from kgctl.host.routes import MAIN, PROTOCOL, answers, message
from kgctl.mesh.routes import Route
from tests.wireguard.test_device import cidr


@pytest.mark.parametrize(
    ("network", "gateway", "source"),
    [
        ("10.42.0.0/24", "10.4.0.1", "10.5.0.1"),
        ("10.4.0.1/32", None, "10.5.0.1"),
        ("10.4.0.1/32", None, None),
        ("fd10:42::/64", "fd10::1", "fd10:5::1"),
        ("fd10::1/128", None, None),
        ("0.0.0.0/1", "10.4.0.1", None),
    ],
)
@pytest.mark.parametrize("verb", ["add", "replace", "del"])
def test_a_message_says_what_is_meant(
    verb: str, network: str, gateway: str | None, source: str | None
) -> None:
    route = Route(cidr(network), ip_address(gateway) if gateway else None)
    address = ip_address(source) if source else None
    data = message(verb, route, number=7, index=3, protocol=PROTOCOL, source=address)
    read = rtmsg(data)
    read.decode()
    assert read["header"]["length"] == len(data)
    assert read["header"]["sequence_number"] == 7
    kinds = {"add": (24, 0x605), "replace": (24, 0x505), "del": (25, 5)}
    assert (read["header"]["type"], read["header"]["flags"]) == kinds[verb]
    assert read.get_attr("RTA_DST") == network.split("/")[0]
    assert read["dst_len"] == int(network.split("/")[1])
    assert (read["table"], read.get_attr("RTA_TABLE")) == (MAIN, MAIN)
    assert (read["proto"], read["type"], read.get_attr("RTA_OIF")) == (PROTOCOL, 1, 3)
    assert read.get_attr("RTA_GATEWAY") == gateway
    assert read.get_attr("RTA_PREFSRC") == source
    assert read["flags"] == (4 if gateway else 0)  # RTNH_F_ONLINK
    assert read["scope"] == (253 if gateway is None and "." in network else 0)


def _answer(number: int, code: int, rest: bytes = b"") -> bytes:
    body = struct.pack("=l", -code) + rest
    return struct.pack("=LHHLL", 16 + len(body), 2, 0, number, 0) + body


def test_answers_come_many_at_a_time() -> None:
    data = _answer(1, 0) + _answer(2, errno.EEXIST, b"\0" * 16) + _answer(3, 0)
    assert list(answers(data)) == [(1, 0), (2, errno.EEXIST), (3, 0)]


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 15, b"\0" * 64, _answer(1, 0)[:18], struct.pack("=LHHLL", 8, 2, 0, 1, 0)]
)
def test_what_is_no_answer_is_none(data: bytes) -> None:
    assert list(answers(data)) == []
