"""Messages of the routing socket, as pyroute2 reads them, and answers to batches."""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, cast

import pytest
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from kgctl.host.batches import Refusal, answers
from kgctl.host.links import NetLink, RouteTable
from kgctl.host.route_messages import (
    MAIN,
    KernelRoute,
    open_routes,
    read_route,
    request,
    route_messages,
)
from kgctl.host.routes import PROTOCOL, kernel_route, read_routes
from kgctl.mesh.routes import Route
from tests.wireguard.test_device import cidr

if TYPE_CHECKING:
    from kgctl.host.netlink import Netlink
    from kgctl.mesh.cidr import Address


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
    sources: dict[int, Address] = {address.version: address} if address else {}
    kind, flags, body = request(verb, kernel_route(verb, route, index=3, sources=sources))
    kinds = {"add": (24, 0x600), "replace": (24, 0x500), "del": (25, 0)}
    assert (kind, flags) == kinds[verb]
    read = decoded(body)
    assert read.get_attr("RTA_DST") == network.split("/")[0]
    assert read["dst_len"] == int(network.split("/")[1])
    assert (read["table"], read.get_attr("RTA_TABLE")) == (MAIN, MAIN)
    assert (read["proto"], read["type"], read.get_attr("RTA_OIF")) == (PROTOCOL, 1, 3)
    assert read.get_attr("RTA_GATEWAY") == gateway
    assert read.get_attr("RTA_PREFSRC") == (None if verb == "del" else source)
    assert read["flags"] == (4 if gateway else 0)  # RTNH_F_ONLINK
    assert read["scope"] == (253 if gateway is None and "." in network else 0)


def decoded(body: bytes) -> Any:
    """A route as pyroute2 reads it."""
    read = rtmsg(struct.pack("=LHHLL", 16 + len(body), 24, 0, 7, 0) + body)
    read.decode()
    return read


def test_a_gateway_of_the_other_family_and_a_large_table() -> None:
    route = KernelRoute(
        cidr("10.42.0.0/24"),
        3,
        ip_address("fd10::1"),
        ip_address("10.1.0.1"),
        table=1107,
        protocol=4,
        onlink=True,
        metric=7,
    )
    body = request("add", route).body
    read = decoded(body)
    assert read.get_attr("RTA_VIA") == {"family": socket.AF_INET6, "addr": "fd10::1"}
    assert (read["table"], read.get_attr("RTA_TABLE")) == (0, 1107)
    assert read.get_attr("RTA_PRIORITY") == 7
    assert read_route(body) == route


def _answer(number: int, code: int, rest: bytes = b"", flags: int = 0) -> bytes:
    body = struct.pack("=l", -code) + rest
    head = struct.pack("=LHHLL", 16 + len(body), 2, flags, number, 0)
    return head + body + bytes(-len(body) % 4)


def test_answers_come_many_at_a_time() -> None:
    data = _answer(1, 0) + _answer(2, errno.EEXIST, b"\0" * 16) + _answer(3, 0)
    assert list(answers(data)) == [(1, None), (2, Refusal(errno.EEXIST)), (3, None)]


def test_an_answer_has_the_words_of_the_kernel() -> None:
    words = b"Invalid\nsource.\0"
    rest = b"\0" * 16 + struct.pack("=HH", 4 + len(words), 1) + words
    ((number, refusal),) = answers(_answer(1, errno.EINVAL, rest, 0x300))
    assert number == 1
    assert refusal is not None
    assert refusal.reason == "Invalid argument (Invalid\\nsource)"
    assert Refusal(errno.EINVAL).reason == "Invalid argument"


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 15, b"\0" * 64, _answer(1, 0)[:18], struct.pack("=LHHLL", 8, 2, 0, 1, 0)]
)
def test_what_is_no_answer_is_none(data: bytes) -> None:
    assert list(answers(data)) == []


class Dumping:
    """A routing socket that gives prepared messages of one family."""

    def __init__(self, *messages: bytes) -> None:
        self.messages = messages

    def dump(self, _kind: int, asked: bytes) -> tuple[list[bytes], bool]:
        return [one for one in self.messages if one[0] == asked[0]], True


def listed(destination: str, *attributes: list[Any], **fields: int) -> bytes:
    """A route as the kernel lists it, encoded by pyroute2."""
    network = ip_network(destination)
    data = rtmsg()
    data["family"] = socket.AF_INET if network.version == 4 else socket.AF_INET6
    data["dst_len"] = network.prefixlen
    address = [["RTA_DST", str(network.network_address)]] if network.prefixlen else []
    data["attrs"] = [*address, *attributes]
    for name, value in {"table": MAIN, "type": 1, **fields}.items():
        data[name] = value
    data.encode()
    return bytes(data.data[16:])


def hop(interface: int, gateway: str) -> dict[str, Any]:
    return {"hops": 0, "oif": interface, "flags": 0, "attrs": [["RTA_GATEWAY", gateway]]}


def test_routes_are_read_as_the_kernel_lists_them() -> None:
    lan, tunnel = ["RTA_OIF", 2], ["RTA_OIF", 9]
    via = ["RTA_VIA", {"family": socket.AF_INET6, "addr": "fe80::9"}]
    messages = (
        listed("0.0.0.0/0", lan, ["RTA_GATEWAY", "192.0.2.1"]),
        listed("10.1.0.0/24", lan),
        listed("10.2.0.0/16", lan, via),
        listed("10.3.0.0/16", ["RTA_MULTIPATH", [hop(2, "192.0.2.7"), hop(3, "192.0.2.8")]]),
        listed("10.42.0.0/24", tunnel, ["RTA_GATEWAY", "10.4.0.1"], proto=PROTOCOL),
        listed("10.43.0.0/24", tunnel, proto=4),
        listed("127.0.0.1/32", ["RTA_OIF", 1], table=255),
        listed("10.44.0.0/24", lan, ["RTA_TABLE", 1107], table=0),
        listed("fd10:42::/64", tunnel, proto=PROTOCOL),
        listed("::/0", lan, ["RTA_GATEWAY", "fe80::1"]),
    )
    link = NetLink(9, "kilo0", "wireguard", mtu=1420, up=True)
    table = read_routes(cast("Netlink", Dumping(*messages)), link)
    assert table.own == {
        Route(cidr("10.42.0.0/24"), ip_address("10.4.0.1")),
        Route(cidr("fd10:42::/64"), None),
    }
    assert table.others == {
        cidr(text) for text in ("0.0.0.0/0", "10.1.0.0/24", "10.2.0.0/16", "10.3.0.0/16", "::/0")
    }
    gateways = ("192.0.2.1", "192.0.2.7", "192.0.2.8", "fe80::9", "fe80::1")
    assert table.gateways == {ip_address(text) for text in gateways}


def test_a_route_that_is_listed_again_is_the_same_object() -> None:
    link = NetLink(9, "kilo0", "wireguard", mtu=1420, up=True)

    def route(destination: str, gateway: str) -> bytes:
        attributes = ["RTA_OIF", 9], ["RTA_GATEWAY", gateway]
        return listed(destination, *attributes, proto=PROTOCOL)

    one, two = route("10.1.0.0/24", "10.4.0.1"), route("10.2.0.0/24", "10.4.0.2")
    moved, others = route("10.2.0.0/24", "10.4.0.3"), listed("10.9.0.0/24", ["RTA_OIF", 2])
    known: dict[bytes, Route] = {}
    for messages in ((one, two, others), (one, moved), (others, one, moved), (two,), (one,)):
        table = read_routes(cast("Netlink", Dumping(*messages)), link, known)
        assert table == read_routes(cast("Netlink", Dumping(*messages)), link)
        assert set(known) == set(messages) - {others}  # it does not grow
        assert {id(route) for route in known.values()} == set(map(id, table.own))


@pytest.mark.parametrize("data", [b"", b"\x02", bytes(12), b"\x02\xff" + bytes(10), b"\x02" * 40])
def test_what_is_no_route_is_passed_over(data: bytes) -> None:
    class Odd:
        def dump(self, *_: object) -> tuple[list[bytes], bool]:
            return [data], True

    assert not read_routes(cast("Netlink", Odd()), None).own


def test_a_kernel_without_ipv6_lists_each_route_once() -> None:
    class Without6:
        def dump(self, *_: object) -> tuple[list[bytes], bool]:
            return [listed("10.1.0.0/24", ["RTA_OIF", 2])], True

    found = list(route_messages(cast("Netlink", Without6()), MAIN))
    assert len(found) == 1
    assert read_route(found[0]) == KernelRoute(cidr("10.1.0.0/24"), 2)
    cached = listed("10.1.0.0/24", ["RTA_OIF", 2], flags=0x200)
    assert read_route(cached) is None


def test_a_table_that_is_not_there_has_no_routes() -> None:
    class Empty:
        def dump(self, *_: object) -> tuple[list[bytes], bool]:
            raise OSError(errno.ENOENT, "no table")

    assert read_routes(cast("Netlink", Empty()), None) == RouteTable(set(), frozenset())


def test_the_routes_of_this_machine_are_those_of_pyroute2() -> None:
    from pyroute2 import IPRoute

    routes = open_routes()
    table = read_routes(routes, None)
    routes.close()
    with IPRoute() as reference:
        for family, everything in ((socket.AF_INET, "0.0.0.0/0"), (socket.AF_INET6, "::/0")):
            for one in reference.route("dump", family=family, table=MAIN):
                address = one.get_attr("RTA_DST")
                text = f"{address}/{one['dst_len']}" if address else everything
                assert cidr(text) in table.others
