"""What the kernel reports of others' changes."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kgctl.host.changes import ChangeWatcher
from kgctl.host.host_routes import HostRoute
from kgctl.host.node_routes import NodeRoutes
from kgctl.host.policy_rules import HostRule, PolicyRules
from tests.network.inside import PRIVATE, TUNNEL, WIREGUARD, node
from tests.support.recorded_agents import cidr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.network.namespace import Namespace

DEVICES = (WIREGUARD, TUNNEL, PRIVATE)


class Calls:
    """Counts calls, which a test can await."""

    def __init__(self) -> None:
        self.count = 0
        self._called = threading.Semaphore(0)

    def __call__(self) -> None:
        self.count += 1
        self._called.release()

    def one(self) -> bool:
        return self._called.acquire(timeout=10)

    def none(self) -> bool:
        time.sleep(0.3)
        return not self._called.acquire(blocking=False)


@pytest.fixture
def machine() -> Iterator[Namespace]:
    with node() as made:
        machine_settles()
        yield made


def machine_settles() -> None:
    time.sleep(0.3)  # duplicate address detection of the interfaces' own addresses


@pytest.mark.parametrize(
    "words",
    [
        "route del 10.42.1.0/24",
        "route add 10.42.2.0/24 dev kilo0 table 1107",
        "-6 route add fd42::/64 dev kilo0 proto static",
        "rule del to 10.1.0.12",
        "-6 rule add to fd01::12 lookup 1107",
        "link set kilo0 mtu 1280",
        "link set tunl0 down",
        "link del kilo0",
        "address add 10.4.0.1/16 dev kilo0",
        "-6 address add fd04::1/64 dev kilo0 nodad",
        "address flush dev eth0 scope global",
    ],
)
def test_a_change_of_others_is_reported_once(machine: Namespace, words: str) -> None:
    machine.ip("address", "add", "10.1.0.11/24", "dev", PRIVATE)
    machine.ip("route", "add", "10.42.1.0/24", "dev", WIREGUARD, "proto", "static")
    machine.ip("rule", "add", "to", "10.1.0.12", "lookup", "1107")
    calls = Calls()
    with closing(ChangeWatcher(calls, DEVICES)):
        machine.ip(*words.split())
        assert calls.one()
        assert calls.none()


@pytest.mark.parametrize(
    "words",
    [
        "route add 10.42.2.0/24 dev kilo0 proto bird",
        "route add 10.42.2.0/24 dev kilo0 table 100 proto static",
        "rule add to 10.1.0.12 lookup 100",
        "link add name pod1 type veth peer name pod2",
        "address add 10.42.0.7/32 dev lo",
    ],
)
def test_a_change_to_other_things_is_not(machine: Namespace, words: str) -> None:
    calls = Calls()
    with closing(ChangeWatcher(calls, DEVICES)):
        machine.ip(*words.split())
        assert calls.none()


def test_many_changes_are_one_burst(machine: Namespace) -> None:
    calls = Calls()
    lines = [f"route add 10.42.{number}.0/24 dev kilo0 proto static\n" for number in range(200)]
    with closing(ChangeWatcher(calls, DEVICES, rest=0.2)):
        machine.run("ip", "-batch", "-", stdin="".join(lines))
        assert calls.one()
        assert calls.none()


def test_own_changes_are_not_reported(machine: Namespace) -> None:
    assert machine
    calls = Calls()
    with closing(NodeRoutes([WIREGUARD])) as routes, closing(PolicyRules()) as rules:
        own = {routes.port, rules.port}
        with closing(ChangeWatcher(calls, DEVICES, lambda: own)):
            wanted = [HostRoute(cidr(text), WIREGUARD) for text in ("10.42.1.0/24", "fd42::/64")]
            assert routes.apply(wanted).added == 2
            assert rules.apply([HostRule(cidr("10.1.0.12/32"))]).added == 1
            assert routes.apply([]).removed == 2
            assert rules.apply([]).removed == 1
            assert calls.none()


def test_a_deleted_route_is_back_at_once(machine: Namespace) -> None:
    wanted = [HostRoute(cidr(f"10.42.{number}.0/24"), WIREGUARD) for number in range(3)]
    mended = threading.Semaphore(0)
    rounds = []
    with closing(NodeRoutes([WIREGUARD])) as routes:
        routes.apply(wanted)

        def changed() -> None:
            rounds.append(routes.apply(wanted).added)
            mended.release()

        with closing(ChangeWatcher(changed, DEVICES, lambda: {routes.port})):
            before = machine.ip("route")
            machine.ip("route", "del", "10.42.1.0/24")
            assert mended.acquire(timeout=10)
            assert machine.ip("route") == before
            time.sleep(0.3)
    assert rounds == [1]  # what it mended itself is no change


def test_it_closes_at_once_and_says_nothing_then(machine: Namespace) -> None:
    calls = Calls()
    watcher = ChangeWatcher(calls, DEVICES, rest=5)
    machine.ip("link", "set", WIREGUARD, "mtu", "1280")
    time.sleep(0.1)
    start = time.monotonic()
    watcher.close()
    assert time.monotonic() - start < 5
    assert calls.count == 0
    assert not [one for one in threading.enumerate() if one.name == "changes"]
