"""Renewals of sessions after a change: which, when, and how often."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from kgctl.connect.network import devices_of, rewritten
from kgctl.connect.renewal import (
    DELAY,
    EVERY,
    IDLE,
    INTERVAL,
    LATE,
    LONGEST_SPREAD,
    RATE,
    SAMPLING,
    SELDOM,
    Renewals,
)
from kgctl.connect.synchroniser import Synchroniser
from kgctl.host.names import Names
from kgctl.mesh.key import PresharedKey, PublicKey
from kgctl.mesh.state import State, network_of
from kgctl.state.example import TAKEN_AT, Example
from kgctl.state.objects import state_of
from kgctl.wireguard.device import (
    SESSION_SECONDS,
    DeviceChange,
    DevicePeer,
    DeviceState,
    applied,
    device_change,
)
from tests.connect.test_synchroniser import OWN, Memory, MemoryRoutes, wanted
from tests.host.test_host import Dns
from tests.wireguard.test_device import KEYS, NETWORKS, cidr, endpoint

NOW = 1_000_000.0


# --- whose agents rewrite their device ---


def leaders(state: State) -> dict[str, PublicKey]:
    topology = network_of(state, now=TAKEN_AT)
    return {segment.leader.name: segment.key for segment in topology.segments}


def after(change: dict[str, dict[str, Any]]) -> set[str]:
    """Return the leaders whose agents rewrite their device when nodes or peers change."""
    before = state_of(Example().read())
    later = before._replace(
        nodes=tuple(node._replace(**change.get(node.name, {})) for node in before.nodes),
        peers=tuple(peer._replace(**change.get(peer.name, {})) for peer in before.peers),
    )
    found = rewritten(
        devices_of(network_of(before, now=TAKEN_AT)), devices_of(network_of(later, now=TAKEN_AT))
    )
    names = {key: name for name, key in leaders(before).items()}
    return {names[key] for key in found}


ALL = {"aws-1", "gcp-1", "fsn1-1", "home-nas", "edge-1"}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, set()),
        ({"aws-1": {"last_seen": TAKEN_AT - 1}}, set()),  # heartbeats
        ({"aws-4": {"endpoint": None}}, set()),  # it takes no part
        ({"office": {"allowed_ips": (cidr("10.5.0.3/32"),)}}, ALL),
        ({"office": {"preshared_key": PresharedKey(b"x" * 32)}}, ALL),
        ({"laptop": {"public_key": KEYS[0]}}, ALL),
        # a follower leaves: its leader's device does not hold its own segment
        ({"aws-2": {"last_seen": 0}}, ALL - {"aws-1"}),
        ({"gcp-2": {"subnet": cidr("10.42.77.0/24")}}, ALL - {"gcp-1"}),
        ({"gcp-1": {"key": KEYS[1]}}, ALL - {"gcp-1"}),  # who has it is another device
        # the segments behind it get other WireGuard IPs, so everybody is concerned
        ({"aws-1": {"last_seen": 0}, "aws-2": {"last_seen": 0}, "aws-3": {"last_seen": 0}},
         ALL - {"aws-1"}),
        ({"edge-1": {"persistent_keepalive": 7}}, {"edge-1"}),
    ],
)  # fmt: skip
def test_agents_rewrite_a_device_for_what_is_on_it(
    change: dict[str, dict[str, Any]], found: set[str]
) -> None:
    assert after(change) == found


# --- when ---


class Device:
    """A device in memory, with peers of whom packets come, and the clock of the renewals."""

    def __init__(self, *keys: PublicKey, hosts: int = 0, part: float = 1.0) -> None:
        peers = {
            key: DevicePeer(
                public_key=key,
                endpoint=endpoint(1),
                allowed_ips=frozenset({NETWORKS[number]}),
                persistent_keepalive=10,
                last_handshake=NOW - 10,
                received=1000,
                sent=1000,
            )
            for number, key in enumerate(keys)
        }
        self.state = DeviceState(peers=peers)
        self.renewals = Renewals(lambda: part)
        self.hosts = hosts
        self.now = 0.0
        self.renewed: list[tuple[float, PublicKey]] = []

    def changed(self, *keys: PublicKey) -> None:
        self.renewals.rewritten(keys, self.now, hosts=self.hosts)

    def traffic(self, key: PublicKey, *, received: int = 0, sent: int = 0) -> None:
        peer = self.state.peers[key]
        more = replace(peer, received=peer.received + received, sent=peer.sent + sent)
        self.state = replace(self.state, peers={**self.state.peers, key: more})

    def go_on(self, until: float, **each_tenth: dict[PublicKey, int]) -> None:
        """Let time pass, with so many bytes of traffic every tenth of a second."""
        while self.now < until:
            for kind, amounts in each_tenth.items():
                for key, amount in amounts.items():
                    self.traffic(key, **{kind: amount})
            if self.renewals.wait(self.now) <= 0:
                found = self.renewals.look(self.state, self.now, NOW + self.now)
                self.renewed += [(round(self.now, 1), one.public_key) for one in found]
                self.state = applied(self.state, DeviceChange(renew=found))
                for one in found:  # and its handshake
                    peer = replace(self.state.peers[one.public_key], last_handshake=NOW + self.now)
                    assert peer.allowed_ips == set(one.add_allowed_ips)
                    self.state.peers[one.public_key] = peer  # type: ignore[index]
            self.now += 0.1


ONE, TWO = KEYS[:2]


def test_a_session_begins_anew_a_second_after_the_change() -> None:
    device = Device(ONE, TWO)
    device.changed(ONE)
    device.go_on(20.0, sent={ONE: 100})
    assert [key for _, key in device.renewed[:1]] == [ONE]
    assert device.renewed[0][0] == pytest.approx(DELAY, abs=0.21)
    assert TWO not in {key for _, key in device.renewed}


def test_one_from_which_something_comes_stays() -> None:
    device = Device(ONE)
    device.changed(ONE)
    device.go_on(LATE + 10, received={ONE: 100}, sent={ONE: 100})
    assert device.renewed == []
    assert device.renewals.wait(device.now) == math.inf  # nothing is looked at for ever


def test_an_idle_one_begins_anew_once() -> None:
    device = Device(ONE)
    device.changed(ONE)
    device.go_on(LATE + 10)
    assert len(device.renewed) == 1


def test_an_agent_that_writes_late_is_noticed() -> None:
    device = Device(ONE)
    device.changed(ONE)
    device.go_on(12.0, received={ONE: 100}, sent={ONE: 100})
    device.go_on(13.0, sent={ONE: 100})
    assert device.renewed == []
    device.go_on(18.0, sent={ONE: 100})
    assert len(device.renewed) == 1


def test_it_happens_no_more_often_than_wireguard_tries() -> None:
    device = Device(ONE)
    for second in range(120):  # something changes all the time, and nobody ever answers
        device.changed(ONE)
        device.go_on(second + 0.3, sent={ONE: 100})
        device.changed(ONE)
        device.go_on(second + 1.0, sent={ONE: 100})
    times = [when for when, _ in device.renewed]
    assert len(times) > 5  # nor do changes that follow one another put it off for ever
    assert all(later - earlier >= INTERVAL - 0.05 for earlier, later in pairwise(times))


@pytest.mark.parametrize("hosts", [1, RATE, 100 * RATE])
def test_many_hosts_do_not_come_at_once(hosts: int) -> None:
    last = Device(ONE, hosts=hosts, part=1.0)
    last.changed(ONE)
    last.go_on(20)
    expected = DELAY + min(hosts / RATE, LONGEST_SPREAD)
    assert last.renewed[0][0] == pytest.approx(expected, abs=0.21)


@pytest.mark.parametrize(
    ("took", "age", "pause"),
    [
        (0.0, 10, EVERY),
        (0.06, 10, 3.0),
        (1.0, 10, SELDOM),  # soon enough before WireGuard itself notices
        (0.0, SESSION_SECONDS + 1, IDLE),  # nobody has a session that could be dropped
    ],
)
def test_a_device_that_takes_long_to_read_is_read_less_often(
    took: float, age: float, pause: float
) -> None:
    device = Device(ONE)
    peer = replace(device.state.peers[ONE], last_handshake=NOW - age)
    state = DeviceState(peers={ONE: peer})
    device.changed(ONE)
    first = device.renewals.wait(0.0)
    assert device.renewals.look(state, first, NOW, took=took) == ()
    assert device.renewals.wait(first) == pytest.approx(SAMPLING)
    later = first + SAMPLING
    device.renewals.look(state, later, NOW, took=took)
    assert device.renewals.wait(later) == pytest.approx(pause)


def test_a_session_that_begins_after_the_change_is_renewed_too() -> None:
    device = Device(ONE)
    device.state = DeviceState(peers={ONE: replace(device.state.peers[ONE], last_handshake=0.0)})
    device.changed(ONE)
    device.go_on(8.0, sent={ONE: 100})
    assert device.renewed == []
    peer = replace(device.state.peers[ONE], last_handshake=NOW + 8.0)
    device.state = DeviceState(peers={ONE: peer})
    device.go_on(12.0, received={ONE: 100}, sent={ONE: 100})
    device.go_on(12.0 + IDLE + EVERY, sent={ONE: 100})
    assert device.renewed


def test_where_there_is_no_session_or_no_peer_nothing_is_done() -> None:
    device = Device(ONE)
    device.state = DeviceState(
        peers={ONE: replace(device.state.peers[ONE], last_handshake=NOW - SESSION_SECONDS - 1)}
    )
    device.changed(ONE, TWO)
    device.go_on(20.0, sent={ONE: 100})
    assert device.renewed == []


def test_a_peer_that_has_moved_stays_there_while_its_session_begins_anew() -> None:
    sync, memory = Synchroniser(OWN, 51820, Names(lambda: None, Dns())), Memory()
    routes, network = MemoryRoutes(memory), wanted(NETWORKS[0])
    sync.apply(network, memory, routes, now=NOW, whole=True)
    moved = replace(memory.state.peers[ONE], endpoint=endpoint(9), last_handshake=NOW - 10)
    memory.state = replace(memory.state, peers={ONE: moved})
    renewals = Renewals(lambda: 0.0)
    renewals.rewritten([ONE], 0.0, hosts=1)
    assert renewals.look(memory.state, 0.6, NOW) == ()
    peers = renewals.look(memory.state, 1.0, NOW)
    sync.renew(memory, memory.state, peers)
    memory.state = replace(
        memory.state, peers={ONE: replace(memory.state.peers[ONE], last_handshake=0.0)}
    )
    for _ in range(2):
        sync.apply(network, memory, routes, now=NOW + 2, whole=True)
        assert memory.state.peers[ONE].endpoint == endpoint(9)
    # but not for ever, when it does not answer there
    sync.apply(network, memory, routes, now=NOW + SESSION_SECONDS, whole=True)
    assert memory.state.peers[ONE].endpoint == endpoint(1)
    assert not device_change(memory.state, memory.state, given={}, now=NOW)
