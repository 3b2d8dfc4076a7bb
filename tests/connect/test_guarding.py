"""Guards of a host: its gateways, resolvers, routes, and the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kgctl.connect.interface import Options
from kgctl.connect.network import wanted_of
from kgctl.connect.outside import Guarding, Servers, guards, kept_outside
from kgctl.connect.rounds import Refusals
from kgctl.connect.synchroniser import plan_routes
from kgctl.host.links import RouteTable
from kgctl.host.names import Names
from kgctl.host.surroundings import Surroundings
from kgctl.mesh.cidr import parse_address
from kgctl.mesh.endpoint import parse_endpoint
from kgctl.mesh.guards import Reason
from kgctl.mesh.node import Node
from kgctl.mesh.peer import Peer
from kgctl.mesh.policy import Limits
from kgctl.mesh.routes import Passages
from kgctl.mesh.state import State
from tests.connect.journals import Lines
from tests.host.test_host import Dns
from tests.wireguard.test_device import KEYS, cidr

if TYPE_CHECKING:
    from kgctl.connect.network import Wanted
    from kgctl.mesh.cidr import Address

NOW = 1000.0
OPTIONS = Options(
    name="laptop", interface="kilo0", address=None, extra=(), private_key=None, listen_port=None,
    keepalive=10, mtu=1420, period=30.0, clean_up=True, granularity="auto", topology_label="",
)  # fmt: skip


def address(text: str) -> Address:
    found = parse_address(text)
    assert found is not None
    return found


HERE = Surroundings(
    networks=frozenset(map(cidr, ("0.0.0.0/0", "192.168.88.0/24", "172.17.0.0/16"))),
    gateways=frozenset([address("192.168.88.1")]),
    addresses=frozenset([address("192.168.88.10"), address("172.17.0.1")]),
    resolvers=frozenset([address("10.66.0.53")]),
)
SERVER = address("10.77.0.1")


def changed(**values: object) -> Options:
    from dataclasses import replace

    return replace(OPTIONS, **values)  # type: ignore[arg-type]


def wanted(*claims: str, options: Options = OPTIONS) -> Wanted:
    node = Node(
        "edge",
        subnet=cidr("10.42.0.0/24"),
        endpoint=parse_endpoint("198.51.100.1:51820"),
        key=KEYS[0],
        last_seen=int(NOW),
        allowed_location_ips=tuple(map(cidr, claims)),
    )
    own = Peer(name="laptop", allowed_ips=(cidr("10.5.0.1/32"),), public_key=KEYS[1])
    return wanted_of(
        State(nodes=(node,), peers=(own,)),
        name="laptop",
        now=NOW,
        granularity="full",
        limits=options.limits,
        guards=guards(HERE, [SERVER], options),
    )


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ("192.168.88.1/32", Reason.OWN),  # the gateway, in this host's LAN
        ("192.168.88.0/25", Reason.OWN),
        ("192.168.88.0/24", Reason.OWN),
        ("172.17.0.0/16", Reason.OWN),
        ("10.66.0.53/32", Reason.RESOLVER),
        ("10.77.0.1/32", Reason.API_SERVER),
        ("169.254.169.254/32", Reason.SPECIAL),
        ("128.0.0.0/1", Reason.DEFAULT),
        ("8.8.8.0/24", Reason.PUBLIC),
    ],
)
def test_what_this_host_needs_is_granted_to_nobody(claim: str, reason: Reason) -> None:
    found = wanted(claim, "10.80.0.0/16")
    assert [str(one.reason) for one in found.refusals] == [reason]
    destinations = {str(route.destination) for route in found.routes}
    allowed = {str(one) for section in found.peers for one in section.allowed_ips}
    assert claim not in destinations | allowed
    assert "10.80.0.0/16" in destinations & allowed


def test_wider_networks_are_cut_around_it_unless_a_route_of_its_own_keeps_it_safe() -> None:
    found = wanted("10.66.0.0/16", "192.168.0.0/16")
    assert not found.refusals
    outside = kept_outside(HERE, OPTIONS, cut_off=False)
    table = RouteTable(set(), HERE.networks, HERE.gateways)
    planned = plan_routes(table, Passages(found.routes), outside)
    routes = {str(route.destination) for route in planned.passage.routes}
    assert "192.168.0.0/16" in routes  # the LAN's own route is narrower
    assert "10.66.0.0/16" not in routes
    assert "10.66.128.0/17" in routes
    resolver = address("10.66.0.53")
    assert not any(route.destination.contains(resolver) for route in planned.passage.routes)


def test_a_dns_server_that_the_person_wants_in_the_tunnel_goes_there() -> None:
    resolver = address("10.66.0.53")
    asked = changed(dns=(resolver,))  # which systemd-resolved then lists among its own
    assert not wanted("10.66.0.53/32", options=asked).refusals
    assert resolver not in kept_outside(HERE, asked, cut_off=False)

    accepted = changed(limits=Limits(accept={"edge": (cidr("10.66.0.0/24"),)}))
    assert not wanted("10.66.0.53/32", options=accepted).refusals
    assert resolver not in kept_outside(HERE, accepted, cut_off=False)

    everything = changed(extra=(cidr("0.0.0.0/0"),))
    assert wanted("10.66.0.53/32", options=everything).refusals  # through the tunnel, not to edge
    assert resolver not in kept_outside(HERE, everything, cut_off=False)
    for options in (asked, accepted, everything):
        assert resolver in kept_outside(HERE, options, cut_off=True)


def test_a_route_of_its_own_may_be_given_up_and_a_default_one_guards_nothing() -> None:
    accepted = changed(limits=Limits(accept={"edge": (cidr("172.17.0.0/16"),)}))
    assert not wanted("172.17.4.0/24", options=accepted).refusals
    halves = HERE._replace(networks=frozenset(map(cidr, ("0.0.0.0/1", "128.0.0.0/1"))))
    own = [one for one in guards(halves, [], OPTIONS) if one.network.prefix < 32]
    assert own == []


def test_a_refusal_is_told_once_and_kept_for_status() -> None:
    lines = Lines()
    refusals = Refusals(lines.journal)
    for _ in range(3):
        refusals.report(wanted("192.168.88.0/25", "8.8.8.0/24", "172.17.0.0/16").refusals)
    told = lines.told()
    assert [one["msg"] for one in told] == ["route refused", "refused a claim", "refused a claim"]
    assert told[0]["route"] == "172.17.0.0/16"
    assert {one["claimer"] for one in told} == {"node edge"}
    assert [one.get("accept") for one in told] == [None, "edge=192.168.88.0/25", "edge=8.8.8.0/24"]
    assert [one.reason for one in refusals.known] == ["own", "own", "public"]
    refusals.report(())
    assert refusals.known == ()


def test_what_limits_ask_for_is_no_warning() -> None:
    lines = Lines()
    refusals = Refusals(lines.journal)
    denied = changed(limits=Limits(deny=(cidr("10.90.0.0/16"),)))
    refusals.report(wanted("10.90.1.0/24", options=denied).refusals)
    assert lines.told() == []
    assert [one.expected for one in refusals.known] == [True]


def test_the_api_server_is_where_the_connections_go_before_any_name_is_known() -> None:
    dns, connected = Dns(), {address("192.0.2.1"), address("127.0.0.1")}
    names = Names(lambda: None, dns)
    servers = Servers("api.example", names, lambda: frozenset(connected))
    assert servers.addresses() == {address("192.0.2.1")}
    assert names.settle(5)
    assert servers.is_lost()
    dns.names["api.example"] = ["192.0.2.2"]
    servers.look_up_again()
    assert names.settle(5)
    assert not servers.is_lost()
    connected.clear()  # the last known one is remembered
    assert servers.addresses() == {address("192.0.2.1"), address("192.0.2.2")}
    for number in range(1, 40):
        connected.clear()
        connected.add(address(f"203.0.113.{number}"))
        servers.addresses()
    assert len(servers.addresses()) == 17
    assert address("203.0.113.39") in servers.addresses()


@pytest.mark.parametrize("more", [{}, {"cut_off": 5.0}])
def test_cut_off_is_who_hears_no_server_and_knows_not_where_it_is(more: dict[str, float]) -> None:
    dns = Dns()
    names = Names(lambda: None, dns)
    options = changed(dns=(address("10.66.0.53"),), **more)
    guarding = Guarding(options, Servers("api.example", names, frozenset))
    guarding.here = HERE
    assert not guarding.outside() & HERE.resolvers  # the person wants it in the tunnel
    assert names.settle(5)
    assert not guarding.outside() & HERE.resolvers  # the name fails, but the server is heard
    silence = more.get("cut_off", 180.0)
    guarding.silence = silence - 0.1
    assert not guarding.outside() & HERE.resolvers
    guarding.silence = silence
    assert guarding.outside() & HERE.resolvers == HERE.resolvers
    dns.names["api.example"] = ["192.0.2.2"]
    names.refresh("api.example")
    assert names.settle(5)
    assert guarding.outside() & HERE.resolvers  # who connects has to look it up, too
    guarding.silence = 0.0
    assert not guarding.outside() & HERE.resolvers
    guarding.silence = silence
    assert not guarding.outside() & HERE.resolvers  # it is only down


def test_an_address_is_no_name() -> None:
    servers = Servers("192.0.2.7", Names(lambda: None, Dns()), frozenset)
    servers.look_up_again()
    assert servers.addresses() == {address("192.0.2.7")}
    assert not servers.is_lost()
