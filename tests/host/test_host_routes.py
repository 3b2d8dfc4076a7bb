"""Which routes are an agent's, and the change to the wanted ones."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.host.host_routes import Change, HostRoute, Present, Reading, choose
from kgctl.host.route_messages import MAIN, KernelRoute
from kgctl.mesh.agent_plan import STATIC, TABLE
from tests.support.recorded_agents import cidr

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Cidr

NAMES = {1: "kilo0", 2: "tunl0", 3: "eth0"}
NUMBERS = {name: number for number, name in NAMES.items()}
OWN = frozenset({"kilo0", "tunl0"})
NETWORKS = [cidr(text) for text in ("10.42.1.7/24", "10.42.2.0/24", "10.1.0.12/32", "fd42::/64")]
GATEWAYS = [None, ip_address("10.1.0.12"), ip_address("10.4.0.2")]


def plain(destination: Cidr) -> int:
    """The metric of a route that was set without any."""
    return 0 if destination.version == 4 else 1024


WANTED = st.builds(
    HostRoute,
    st.sampled_from(NETWORKS),
    st.sampled_from(list(NUMBERS)),
    st.sampled_from(GATEWAYS),
    st.sampled_from([None, ip_address("10.1.0.11")]),
    st.sampled_from([MAIN, TABLE]),
)
KERNEL = st.builds(
    KernelRoute,
    st.sampled_from([one.masked() for one in NETWORKS]),
    st.sampled_from(list(NAMES)),
    st.sampled_from(GATEWAYS),
    st.none(),
    st.sampled_from([MAIN, MAIN, TABLE]),
    st.sampled_from([STATIC, STATIC, 2]),
    st.sampled_from([0, 0, 253]),
    st.booleans(),
    st.sampled_from([None, None, 100]),
).map(lambda one: one._replace(metric=plain(one.destination) if one.metric is None else 100))


def kernel(route: HostRoute) -> KernelRoute:
    return KernelRoute(
        route.dst,
        NUMBERS[route.device],
        route.via,
        route.src,
        route.table,
        STATIC,
        onlink=route.via is not None,
        metric=plain(route.dst),
    )


def read(machine: Machine, known: list[HostRoute]) -> Present:
    reading = Reading(OWN, known, NAMES.__getitem__)
    for route in machine.values():
        reading.add(route)
    return reading.result()


Place = tuple[int, int, int]


class Machine(dict[Place, KernelRoute]):
    """The routes of a machine: one for each table, destination and metric."""

    def set(self, route: KernelRoute) -> None:
        self[route.table, route.destination.number, route.metric] = route

    def carry_out(self, change: Change) -> None:
        for route in change.added:
            assert (*route.key, plain(route.dst)) not in self
            self.set(kernel(route))
        for route in change.replaced:
            assert (*route.key, plain(route.dst)) in self
            self.set(kernel(route))
        for route in change.removed:
            assert self.pop((*route.key, plain(route.dst))) == kernel(route)
        for found in change.surplus:
            del self[found.table, found.destination.number, found.metric]


@given(st.lists(WANTED, max_size=4), st.lists(KERNEL, max_size=6), st.lists(WANTED, max_size=6))
def test_a_change_leads_to_what_is_wanted_and_spares_others(
    before: list[HostRoute], others: list[KernelRoute], wanted: list[HostRoute]
) -> None:
    machine = Machine()
    known = list(choose(before)[0].values())
    for there in (*map(kernel, known), *others):
        machine.set(there)
    chosen, _ = choose(wanted)
    present = read(machine, [*known, *chosen.values()])
    own = {(*key, plain(route.dst)) for key, route in present.own.items()}
    own |= {(one.table, one.destination.number, one.metric) for one in present.surplus}
    spared = {place: route for place, route in machine.items() if place not in own}
    assert all(route.table == MAIN for route in spared.values())
    change = Change(present.own, chosen, present)
    machine.carry_out(change)
    assert spared.items() <= machine.items()
    missing = {one.route.key for one in change.refused}
    for key, route in chosen.items():
        if key not in missing and key not in change.others:
            assert machine[*key, plain(route.dst)] == kernel(route)
    left = read(machine, list(chosen.values()))
    again = Change(left.own, chosen, left)
    assert not any((again.added, again.replaced, again.removed, left.surplus))
    assert again.refused == change.refused


@pytest.mark.parametrize(
    ("route", "own"),
    [
        (KernelRoute(NETWORKS[1], 1, protocol=STATIC), True),
        (KernelRoute(NETWORKS[3], 1, protocol=STATIC, metric=1024), True),
        (KernelRoute(NETWORKS[1], 1, protocol=STATIC, metric=1024), False),
        (KernelRoute(NETWORKS[1], 1, protocol=STATIC, metric=100), False),
        (KernelRoute(NETWORKS[1], 1, protocol=STATIC, scope=253), False),
        (KernelRoute(NETWORKS[1], 1, protocol=STATIC, kind=6), False),
        (KernelRoute(NETWORKS[1], 1, protocol=3), False),
        (KernelRoute(NETWORKS[1], 1, GATEWAYS[1], protocol=STATIC), False),
        (KernelRoute(NETWORKS[1], 1, GATEWAYS[1], protocol=STATIC, onlink=True), True),
        (KernelRoute(NETWORKS[1], 3, GATEWAYS[1], protocol=STATIC, onlink=True), False),
        (KernelRoute(NETWORKS[2], 3, GATEWAYS[1], protocol=STATIC, onlink=True), True),
    ],
)
def test_what_is_the_agents(route: KernelRoute, own: bool) -> None:
    known = HostRoute(NETWORKS[2], "eth0", GATEWAYS[1])
    present = read(Machine({(MAIN, 0, 0): route}), [known])
    assert (len(present.own), len(present.others)) == ((1, 0) if own else (0, 1))
