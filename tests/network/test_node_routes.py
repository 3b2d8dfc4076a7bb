"""The routes of an agent in the kernel."""

from __future__ import annotations

import time
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING

import pytest

from kgctl.host.host_routes import HostRoute
from kgctl.host.node_routes import Applied, NodeRoutes
from kgctl.host.route_messages import MAIN
from kgctl.host.routes import TAKEN
from kgctl.mesh.agent_plan import TABLE
from kgctl.mesh.cidr import Cidr, parse_cidr
from tests.network.inside import PRIVATE, TUNNEL, WIREGUARD, node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.network.namespace import Namespace


@pytest.fixture
def machine() -> Iterator[Namespace]:
    with node() as made:
        made.ip("address", "add", "10.1.0.11/24", "dev", PRIVATE)
        made.ip("address", "add", "fd01::11/64", "dev", PRIVATE, "nodad")
        made.ip("address", "add", "10.4.0.1/16", "dev", WIREGUARD)
        yield made


@pytest.fixture
def routes(machine: Namespace) -> Iterator[NodeRoutes]:
    assert machine
    made = NodeRoutes([WIREGUARD, TUNNEL])
    yield made
    made.close()


def route(dst: str, device: str, via: str = "", src: str = "", table: int = MAIN) -> HostRoute:
    cidr = parse_cidr(dst)
    assert cidr is not None
    gateway, source = (ip_address(text) if text else None for text in (via, src))
    return HostRoute(cidr, device, gateway, source, table)


WANTED = [
    route("10.42.1.0/24", WIREGUARD, "10.4.0.2", "10.1.0.11"),
    route("10.5.0.7/16", WIREGUARD, "", "10.1.0.11"),  # with host bits
    route("10.42.2.0/24", PRIVATE, "10.1.0.12"),
    route("fd42:2::/64", PRIVATE, "fd01::12"),
    route("fd42:3::/64", WIREGUARD, "", "10.1.0.11"),  # a source of the other family
    route("10.42.3.0/24", PRIVATE, "fd01::12"),  # and a gateway of it
    route("10.1.0.12/32", TUNNEL, "10.1.0.12", "10.1.0.11", TABLE),
    route("fd01::12/128", TUNNEL, "fd09::12", "fd01::11", TABLE),
]


def listed(machine: Namespace) -> list[str]:
    """The routes of both families, without those of addresses."""
    found = []
    for family in ("-4", "-6"):
        for table in ("main", str(TABLE)):
            # a table that nothing was ever in is an error
            text = machine.run("ip", family, "route", "show", "table", table, check=False).stdout
            found += [
                f"{table} {' '.join(line.split())}"
                for line in text.splitlines()
                if "proto kernel" not in line
            ]
    return found


def test_they_look_as_the_references_and_stay(machine: Namespace, routes: NodeRoutes) -> None:
    assert routes.apply(WANTED) == Applied(added=8)
    via6 = "via inet6 fd01::12 dev eth0 proto static onlink"
    assert listed(machine) == [
        "main 10.5.0.0/16 dev kilo0 proto static src 10.1.0.11",
        "main 10.42.1.0/24 via 10.4.0.2 dev kilo0 proto static src 10.1.0.11 onlink",
        "main 10.42.2.0/24 via 10.1.0.12 dev eth0 proto static onlink",
        f"main 10.42.3.0/24 {via6}",
        "1107 10.1.0.12 via 10.1.0.12 dev tunl0 proto static src 10.1.0.11 onlink",
        "main fd42:2::/64 via fd01::12 dev eth0 proto static metric 1024 onlink pref medium",
        "main fd42:3::/64 dev kilo0 proto static metric 1024 pref medium",
        "1107 fd01::12 via fd09::12 dev tunl0 proto static src fd01::11 metric 1024 onlink "
        "pref medium",
    ]
    assert routes.apply(WANTED) == Applied()
    assert routes.apply(WANTED, whole=False) == Applied()
    successor = NodeRoutes([WIREGUARD, TUNNEL])
    assert successor.apply(WANTED) == Applied()
    on_private = [one for one in WANTED if one.device == PRIVATE]
    assert successor.apply([], on_private) == Applied(removed=8)
    assert listed(machine) == []
    successor.close()


def test_a_whole_round_mends_what_others_changed(machine: Namespace, routes: NodeRoutes) -> None:
    routes.apply(WANTED)
    before = listed(machine)
    machine.ip("route", "del", "10.42.1.0/24")
    machine.ip("route", "change", "10.42.2.0/24", "via", "10.1.0.99", "proto", "4")
    machine.ip("route", "add", "10.9.0.0/16", "dev", WIREGUARD, "proto", "static", "scope", "0")
    machine.ip("route", "add", "10.9.0.0/16", "dev", WIREGUARD, "table", str(TABLE))
    assert routes.apply(WANTED, whole=False) == Applied()
    fixed = routes.apply(WANTED)
    assert (fixed.added, fixed.removed) == (1, 2)
    assert fixed.refused[0].reason == TAKEN  # it lacks the mark of the agent's
    machine.ip("route", "del", "10.42.2.0/24")
    assert routes.apply(WANTED) == Applied(added=1)
    assert listed(machine) == before


def test_a_change_replaces_before_it_removes(machine: Namespace, routes: NodeRoutes) -> None:
    routes.apply(WANTED)
    moved = route("10.42.1.0/24", TUNNEL, "10.1.0.12", "10.1.0.11")
    assert routes.apply([moved, *WANTED[2:]], whole=False) == Applied(replaced=1, removed=1)
    assert "main 10.42.1.0/24 via 10.1.0.12 dev tunl0 proto static src 10.1.0.11 onlink" in listed(
        machine
    )


def test_the_routes_of_others_survive(machine: Namespace, routes: NodeRoutes) -> None:
    others = [
        ("10.42.1.0/24", "via", "10.1.0.1", "proto", "bird", "metric", "32"),
        ("10.42.2.0/24", "via", "10.1.0.99", "dev", PRIVATE, "proto", "static", "onlink"),
        ("10.5.0.0/16", "dev", WIREGUARD),
        ("10.42.3.0/24", "via", "10.1.0.12", "dev", PRIVATE, "proto", "static"),
        ("blackhole", "10.42.4.0/24", "proto", "static"),
    ]
    for words in others:
        machine.ip("route", "add", *words)
    before = listed(machine)
    wanted = [
        *WANTED[:3],
        route("10.42.3.0/24", PRIVATE, "10.1.0.12"),  # as it is, but for the flag
        route("10.42.4.0/24", PRIVATE, "10.1.0.12"),
    ]
    for whole in (True, False):
        done = routes.apply(wanted, whole=whole)
        assert (done.added, done.replaced, done.removed) == (0, 0, 0)
        assert {str(one.route.dst) for one in done.refused} == {
            "10.42.1.0/24",
            "10.5.0.0/16",
            "10.42.2.0/24",
            "10.42.4.0/24",
        }
        assert {one.reason for one in done.refused} == {TAKEN}
    assert routes.apply([], whole=False) == Applied()
    assert routes.apply([], routes.applied()) == Applied()
    assert listed(machine) == before


def test_a_refused_route_stops_no_other(machine: Namespace, routes: NodeRoutes) -> None:
    wanted = [
        route("10.42.1.0/24", WIREGUARD, "10.4.0.2", "192.0.2.1"),
        route("10.42.1.0/24", WIREGUARD, "10.4.0.3"),
        route("10.42.2.0/24", "gone0", "10.4.0.2"),
        route("10.42.3.0/24", TUNNEL, "10.1.0.12"),
        route("10.42.4.0/24", WIREGUARD, "10.4.0.3"),
        route("fd42::/64", WIREGUARD, "10.4.0.3"),
    ]
    machine.ip("link", "set", TUNNEL, "down")
    done = routes.apply(wanted)
    assert done.added == 1
    reasons = [one.reason for one in done.refused]
    assert reasons[0] == "the network has another route there already"
    assert reasons[1] == "there is no interface gone0"
    assert sorted(reasons[2:]) == [
        "Invalid argument (IPv6 does not support RTA_VIA attribute)",
        "Invalid argument (Invalid prefsrc address)",
        "Network is down (Nexthop device is not up)",
    ]
    machine.ip("link", "set", TUNNEL, "up")
    assert routes.apply(wanted, whole=False).added == 1


def test_what_was_taken_meanwhile_is_not_replaced(machine: Namespace, routes: NodeRoutes) -> None:
    routes.apply([])
    machine.ip("route", "add", "10.42.1.0/24", "via", "10.1.0.1")
    (refused,) = routes.apply(WANTED[:1], whole=False).refused
    assert refused.reason == TAKEN


def test_two_thousand_routes_take_a_moment(routes: NodeRoutes) -> None:
    gateway = IPv4Address("10.4.0.2")
    wanted = [
        HostRoute(
            Cidr(IPv4Address((10 << 24) + (64 << 16) + (number << 8)), 24), WIREGUARD, gateway
        )
        for number in range(2000)
    ]
    start = time.process_time()
    assert routes.apply(wanted).added == 2000
    added = time.process_time()
    assert routes.apply(wanted) == Applied()
    read = time.process_time()
    assert routes.apply(wanted[1:], whole=False) == Applied(removed=1)
    event = time.process_time()
    assert added - start < 1
    assert read - added < 1
    assert event - read < 0.5
