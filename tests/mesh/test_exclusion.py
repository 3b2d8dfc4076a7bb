"""Addresses that are excluded from routes into the tunnel."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.cidr import Address, Cidr, parse_address, single
from kgctl.mesh.routes import (
    Exclusion,
    Route,
    around,
    exclude,
    halves,
    order,
    passage,
    sorted_routes,
)
from tests.wireguard.test_device import cidr

GATEWAY = parse_address("10.4.0.1")

# few bits, so that networks meet: 10.0.0.0/24 and what is in and around it
ADDRESSES = st.integers(0, 255).map(lambda last: IPv4Address(0x0A000000 | last))
NETWORKS = st.builds(
    lambda address, prefix: Cidr(address, prefix).masked(), ADDRESSES, st.integers(22, 32)
)
GATEWAYS = st.sampled_from([None, GATEWAY, parse_address("10.4.0.2")])
ROUTES = st.dictionaries(NETWORKS, GATEWAYS, max_size=6).map(
    lambda found: [Route(network, gateway) for network, gateway in found.items()]
)


def chosen(routes: list[Route], address: Address) -> Route | None:
    """Return the route by which a kernel sends: the most specific one."""
    fitting = [route for route in routes if route.destination.contains(address)]
    return max(fitting, key=lambda route: route.destination.prefix, default=None)


@given(ROUTES, st.sets(ADDRESSES, max_size=4), ADDRESSES)
def test_only_what_is_kept_out_is_out(
    routes: list[Route], outside: set[Address], address: Address
) -> None:
    found = list(passage(routes, outside).routes)
    before, after = chosen(routes, address), chosen(found, address)
    if address in outside:
        assert after is None
    else:
        assert (before is None) == (after is None)
        assert before is None or (after is not None and after.gateway == before.gateway)


@given(ROUTES, ADDRESSES, NETWORKS)
def test_an_address_with_a_way_of_its_own_is_in_no_danger(
    routes: list[Route], address: Address, own: Cidr
) -> None:
    found = list(passage(routes, [address], [own]).routes)
    way = chosen(found, address)
    assert way is None or (own.contains(address) and way.destination.prefix <= own.prefix)


WIDER = st.builds(
    lambda address, prefix: Cidr(address, prefix).masked(), ADDRESSES, st.integers(0, 32)
)
MANY = st.lists(st.builds(Route, NETWORKS | WIDER, GATEWAYS), max_size=12)


@given(MANY, st.lists(ADDRESSES, max_size=4), st.sets(NETWORKS, max_size=3))
def test_regions_are_cut_as_all_routes_at_once_are(
    routes: list[Route], outside: list[Address], others: set[Cidr]
) -> None:
    routes.append(Route(cidr("2001:db8::/32")))
    whole: dict[Cidr, Address | None] = {}
    for route in sorted(routes, key=lambda one: -one.destination.prefix):
        network = route.destination
        for part in (network,) if network.prefix else halves(network):
            whole.setdefault(part, route.gateway)
    excluded = []
    for address in sorted(set(outside)):
        own = max((one.prefix for one in others if one.contains(address)), default=0)
        cut = exclude(whole, address, wider_than=own)
        excluded += [Exclusion(address, network) for network, _ in cut]
    found = passage(routes, outside, others)
    assert found.excluded == tuple(excluded)
    assert {one.destination: one.gateway for one in found.routes} == whole
    places = [order(one.destination) for one in found.routes]
    assert places == sorted(set(places))


@given(st.lists(st.tuples(NETWORKS, GATEWAYS, st.sets(st.integers(0, 3))), max_size=8))
def test_sorting_again_is_sorting(found: list[tuple[Cidr, Address | None, set[int]]]) -> None:
    routes = {network: Route(network, gateway) for network, gateway, _ in found}
    last: tuple[Route, ...] = ()
    for step in range(4):
        now = [routes[network] for network, _, steps in found if step in steps]
        now = list(dict.fromkeys(now))
        last = sorted_routes(now, last)
        assert last == tuple(sorted(now, key=lambda one: order(one.destination)))


def test_a_default_route_is_two_halves_and_leaves_the_machine_s_own() -> None:
    both = [Route(cidr("0.0.0.0/0"), GATEWAY), Route(cidr("::/0"))]
    found = passage(both, [])
    assert [str(route) for route in found.routes] == [
        "0.0.0.0/1 via 10.4.0.1",
        "128.0.0.0/1 via 10.4.0.1",
        "::/1",
        "8000::/1",
    ]
    assert found.excluded == ()


def test_a_half_that_another_claims_stays_its_own() -> None:
    found = passage([Route(cidr("0.0.0.0/0"), GATEWAY), Route(cidr("128.0.0.0/1"))], [])
    assert [str(route) for route in found.routes] == ["0.0.0.0/1 via 10.4.0.1", "128.0.0.0/1"]


def test_what_was_taken_out_of_what_is_told() -> None:
    inner = parse_address("192.0.2.1")
    assert inner is not None
    routes = [Route(cidr("192.0.2.0/30")), Route(cidr("192.0.2.1/32")), Route(cidr("10.0.0.0/8"))]
    found = passage(routes, [inner])
    assert [str(route) for route in found.routes] == [
        "10.0.0.0/8",
        "192.0.2.0/32",
        "192.0.2.2/31",
    ]
    assert found.excluded == (
        Exclusion(inner, cidr("192.0.2.1/32")),
        Exclusion(inner, cidr("192.0.2.0/30")),
    )
    assert str(found.excluded[0]) == "192.0.2.1 of 192.0.2.1/32"


def test_around_and_halves() -> None:
    address = IPv6Address("2001:db8::1")
    parts = list(around(Cidr(IPv6Address("2001:db8::"), 126), address))
    assert [str(part) for part in parts] == ["2001:db8::2/127", "2001:db8::/128"]
    assert list(around(single(address), address)) == []
    assert [str(half) for half in halves(cidr("10.0.0.7/8"))] == ["10.0.0.0/9", "10.128.0.0/9"]


def test_a_default_route_is_spared_unless_asked_for() -> None:
    claims = {cidr("0.0.0.0/0"): "a", cidr("0.0.0.0/1"): "b"}
    assert exclude(claims, IPv4Address(1)) == [(cidr("0.0.0.0/1"), "b")]
    assert claims[cidr("0.0.0.0/0")] == "a"
    assert len(claims) == 32
