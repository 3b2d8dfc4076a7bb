"""Rounds against a device and routes in memory: writes, and writes that are avoided."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest

from kgctl.connect.network import Wanted
from kgctl.connect.synchroniser import OVERDUE, Synchroniser
from kgctl.errors import HostError
from kgctl.host.links import Refused, RouteChange, RouteTable
from kgctl.host.names import Names
from kgctl.mesh.cidr import parse_address
from kgctl.mesh.endpoint import Endpoint
from kgctl.mesh.routes import Route
from kgctl.wireguard.conf import PeerSection
from kgctl.wireguard.device import SESSION_SECONDS, DeviceChange, DeviceState, applied
from kgctl.wireguard.keys import PrivateKey
from tests.host.test_host import Dns
from tests.wireguard.test_device import KEYS, NETWORKS, cidr, endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kgctl.mesh.cidr import Address, Cidr

NOW = 1_000_000.0
OWN = PrivateKey(b"a" * 32)


class Memory:
    """A device and routes at once."""

    def __init__(self) -> None:
        self.state = DeviceState()
        self.present: set[Route] = set()
        self.refuses: set[Cidr] = set()
        self.others: set[Cidr] = set()
        self.reads = 0
        self.writes: list[DeviceChange | RouteChange] = []

    def read(self) -> DeviceState:
        self.reads += 1
        return self.state

    def apply(self, change: DeviceChange) -> None:
        self.writes.append(change)
        self.state = applied(self.state, change)


class MemoryRoutes:
    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def read(self) -> RouteTable:
        self.memory.reads += 1
        return RouteTable(set(self.memory.present), frozenset(self.memory.others))

    def apply(
        self, change: RouteChange, stopped: Callable[[], bool] = lambda: False
    ) -> list[Refused]:
        self.memory.writes.append(change)
        refused = []
        for route in (*change.add, *change.replace):
            if route.destination in self.memory.refuses:
                refused.append(Refused(route, "there already"))
            else:
                before = {
                    one for one in self.memory.present if one.destination == route.destination
                }
                self.memory.present -= before
                self.memory.present.add(route)
        self.memory.present -= set(change.remove)
        return refused


def wanted(*networks: Cidr, host: str | None = None) -> Wanted:
    dialled = Endpoint(host, 51820) if host else endpoint(1)
    section = PeerSection(public_key=KEYS[0], allowed_ips=networks, endpoint=dialled)
    return Wanted(peers=(section,), routes=tuple(map(Route, networks)), names={KEYS[0]: "ams-1"})


def synchroniser(dns: Dns | None = None) -> tuple[Synchroniser, Memory, Names]:
    names = Names(lambda: None, dns or Dns())
    return Synchroniser(OWN, 51820, names), Memory(), names


def test_only_what_differs_is_written_and_nothing_read_for_nothing() -> None:
    sync, memory, _ = synchroniser()
    routes = MemoryRoutes(memory)
    change = sync.apply(wanted(NETWORKS[0]), memory, routes, now=NOW, whole=True)
    assert change
    assert len(memory.writes) == 2
    reads = memory.reads
    for _ in range(100):  # heartbeats
        again = sync.apply(wanted(NETWORKS[0]), memory, routes, now=NOW, whole=False)
        assert again is None
    assert (memory.reads, len(memory.writes)) == (reads, 2)
    more = sync.apply(wanted(*NETWORKS[:2]), memory, routes, now=NOW, whole=False)
    assert more is not None
    assert more.device.peers[0].add_allowed_ips == (NETWORKS[1],)
    assert more.device.private_key is None
    assert more.routes == RouteChange([Route(NETWORKS[1])], [], [])
    assert (sync.device_writes, sync.route_writes) == (2, 2)


def test_rounds_of_events_read_nothing_but_after_a_failure() -> None:
    sync, memory, _ = synchroniser()
    routes = MemoryRoutes(memory)
    sync.apply(wanted(NETWORKS[0]), memory, routes, now=NOW, whole=True)
    reads = memory.reads
    sync.apply(wanted(NETWORKS[1]), memory, routes, now=NOW, whole=False)
    assert memory.reads == reads
    with pytest.raises(HostError):
        sync.apply(wanted(NETWORKS[2]), Broken(), routes, now=NOW, whole=False)
    memory.state = replace(memory.state, peers={})  # nobody knows what the failure left
    sync.apply(wanted(NETWORKS[2]), memory, routes, now=NOW, whole=False)
    assert memory.reads == reads + 1
    assert memory.state.peers[KEYS[0]].allowed_ips == {NETWORKS[2]}


class Broken(Memory):
    """A device that takes no change."""

    def apply(self, change: DeviceChange) -> None:
        raise HostError("no buffer space")


def test_a_peer_that_moved_since_the_last_reading_stays_where_it_is() -> None:
    sync, memory, _ = synchroniser()
    routes = MemoryRoutes(memory)

    def hears(at: float, where: Endpoint) -> None:
        peer = replace(memory.state.peers[KEYS[0]], last_handshake=at, endpoint=where)
        memory.state = replace(memory.state, peers={KEYS[0]: peer})

    sync.apply(wanted(NETWORKS[0]), memory, routes, now=NOW, whole=True)
    hears(NOW - SESSION_SECONDS + 1, endpoint(2))  # it has moved, and its session is nearly over
    sync.apply(wanted(NETWORKS[0]), memory, routes, now=NOW, whole=True)
    hears(NOW + 5, endpoint(3))  # it moves on, and has a new one
    change = sync.apply(wanted(*NETWORKS[:2]), memory, routes, now=NOW + 10, whole=False)
    assert change is not None
    assert [one.endpoint for one in change.device.peers] == [None]
    assert memory.state.peers[KEYS[0]].endpoint == endpoint(3)


def test_it_listens_where_the_network_calls_it_unless_a_port_is_given() -> None:
    network = wanted(NETWORKS[0])
    for given, called, port in ((None, None, 51820), (None, 4242, 4242), (5555, 4242, 5555)):
        sync = Synchroniser(OWN, given, Names(lambda: None, Dns()))
        assert sync.target(replace(network, listen_port=called)).listen_port == port


def test_a_whole_round_mends_what_somebody_else_broke() -> None:
    sync, memory, _ = synchroniser()
    routes = MemoryRoutes(memory)
    sync.apply(wanted(NETWORKS[0]), memory, routes, now=NOW, whole=True)
    memory.state = replace(memory.state, peers={})
    memory.present.clear()
    sync.apply(wanted(NETWORKS[0]), memory, routes, now=NOW, whole=True)
    assert memory.state.peers[KEYS[0]].allowed_ips == {NETWORKS[0]}
    assert memory.present == {Route(NETWORKS[0])}


def test_a_refused_route_is_told_once_and_tried_again() -> None:
    sync, memory, _ = synchroniser()
    routes = MemoryRoutes(memory)
    memory.refuses = {NETWORKS[0]}
    change = sync.apply(wanted(NETWORKS[0]), memory, routes, now=NOW, whole=True)
    assert change is not None
    assert [one.route for one in change.refused] == [Route(NETWORKS[0])]
    change = sync.apply(wanted(NETWORKS[0]), memory, routes, now=NOW, whole=True)
    assert change is not None
    assert change.refused == []
    assert not change  # nothing was written
    memory.refuses.clear()
    sync.apply(wanted(NETWORKS[0]), memory, routes, now=NOW, whole=True)
    assert memory.present == {Route(NETWORKS[0])}


def test_a_change_has_only_the_routes_that_were_accepted() -> None:
    sync, memory, _ = synchroniser()
    memory.refuses = {NETWORKS[0]}
    change = sync.apply(wanted(*NETWORKS[:3]), memory, MemoryRoutes(memory), now=NOW, whole=True)
    assert change is not None
    assert change.routes == RouteChange([Route(NETWORKS[1]), Route(NETWORKS[2])], [], [])
    assert [str(one.route.destination) for one in change.refused] == [str(NETWORKS[0])]
    assert sync.route_writes == 2


def test_a_name_is_resolved_aside_and_again_when_a_handshake_is_overdue() -> None:
    dns = Dns()
    dns.names["ams.example"] = ["192.0.2.1"]
    sync, memory, names = synchroniser(dns)
    routes, to_name = MemoryRoutes(memory), wanted(NETWORKS[0], host="ams.example")
    sync.apply(to_name, memory, routes, now=NOW, whole=True)
    assert memory.state.peers[KEYS[0]].endpoint is None  # nobody waits for a DNS server
    assert names.settle(5)
    sync.apply(to_name, memory, routes, now=NOW, whole=False)
    assert memory.state.peers[KEYS[0]].endpoint == endpoint(1)

    def shakes_hands(at: float) -> None:
        peer = replace(memory.state.peers[KEYS[0]], last_handshake=at)
        memory.state = replace(memory.state, peers={KEYS[0]: peer})

    dns.names["ams.example"] = ["192.0.2.2"]
    asked = dns.asked
    shakes_hands(NOW)
    sync.apply(to_name, memory, routes, now=NOW + OVERDUE - 1, whole=True)
    assert names.settle(5)
    assert dns.asked == asked  # it is well
    sync.apply(to_name, memory, routes, now=NOW + OVERDUE + 1, whole=True)
    assert names.settle(5)
    sync.apply(to_name, memory, routes, now=NOW + OVERDUE + 1, whole=False)
    assert memory.state.peers[KEYS[0]].endpoint == endpoint(2)
    assert parse_address("192.0.2.2") == names.address("ams.example")


def test_no_round_leads_the_tunnel_into_itself() -> None:
    api: list[Address] = []
    names = Names(lambda: None, Dns())
    sync, memory = Synchroniser(OWN, 51820, names, outside=lambda: api), Memory()
    routes, wide = MemoryRoutes(memory), cidr("192.0.2.0/30")
    change = sync.apply(wanted(wide), memory, routes, now=NOW, whole=True)
    assert change is not None
    assert change.excluded  # 192.0.2.1 is where the peer is dialled
    assert destinations(memory) == ["192.0.2.0/32", "192.0.2.2/31"]

    api.append(IPv4Address("192.0.2.2"))  # the API server's name was resolved
    change = sync.apply(wanted(wide), memory, routes, now=NOW, whole=False)
    assert change is not None
    assert destinations(memory) == ["192.0.2.0/32", "192.0.2.3/32"]

    peer = memory.state.peers[KEYS[0]]  # and the peer has moved
    moved = replace(peer, endpoint=Endpoint(IPv4Address("192.0.2.3"), 1), last_handshake=NOW)
    memory.state = replace(memory.state, peers={KEYS[0]: moved})
    sync.apply(wanted(wide), memory, routes, now=NOW, whole=True)
    assert destinations(memory) == ["192.0.2.0/32"]
    again = sync.apply(wanted(wide), memory, routes, now=NOW, whole=True)
    assert again is not None
    assert again.excluded is None  # it was told


def test_a_route_of_the_machine_s_own_stays() -> None:
    sync, memory, _ = synchroniser()
    routes = MemoryRoutes(memory)
    memory.others = {NETWORKS[0]}
    change = sync.apply(wanted(*NETWORKS[:2]), memory, routes, now=NOW, whole=True)
    assert change is not None
    assert [one.route for one in change.refused] == [Route(NETWORKS[0])]
    assert memory.present == {Route(NETWORKS[1])}
    assert sync.route_writes == 1
    memory.others.add(NETWORKS[1])  # it comes into a network where that is the neighbourhood
    sync.apply(wanted(*NETWORKS[:2]), memory, routes, now=NOW, whole=True)
    assert memory.present == set()


def destinations(memory: Memory) -> list[str]:
    return sorted(str(route.destination) for route in memory.present)


def test_a_calculation_may_be_broken_off_and_the_next_round_does_it_all() -> None:
    names, memory = Names(lambda: None, Dns()), Memory()
    broken = [False, True, False]  # the device's part, the routes', and nothing more

    @contextmanager
    def breakable() -> Iterator[None]:
        if broken and broken.pop(0):
            raise KeyboardInterrupt
        yield

    sync = Synchroniser(OWN, 51820, names, breakable=breakable)
    goal = wanted(cidr("10.0.0.0/24"))
    with pytest.raises(KeyboardInterrupt):
        sync.apply(goal, memory, MemoryRoutes(memory), now=NOW, whole=True)
    assert memory.present == set()
    assert sync.apply(goal, memory, MemoryRoutes(memory), now=NOW, whole=False)
    assert {str(route.destination) for route in memory.present} == {"10.0.0.0/24"}
