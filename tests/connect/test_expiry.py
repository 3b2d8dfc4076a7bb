"""Peers that expire: a session drops them at their time, without any event from the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kgctl.connect.identity import establish
from kgctl.connect.network import NotAMemberError, devices_of
from kgctl.connect.outside import Guarding, Servers
from kgctl.connect.rounds import Rounds
from kgctl.connect.schedule import Deadline, Schedule, run
from kgctl.connect.synchroniser import Synchroniser
from kgctl.host.names import Names
from kgctl.host.record import RecordFile
from kgctl.host.surroundings import Surroundings
from kgctl.mesh.key import PublicKey
from kgctl.mesh.state import network_of
from kgctl.mesh.text import time_text
from kgctl.state.follow import Inbox
from kgctl.state.objects import state_of
from tests.agent.machine import the_node
from tests.connect.journals import Lines
from tests.connect.test_identity import options
from tests.connect.test_membership import Store
from tests.connect.test_synchroniser import Memory, MemoryRoutes
from tests.host.test_host import Dns
from tests.support.several import key, objects_of, peer
from tests.wireguard.test_device import cidr

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.host.links import Device, Routes, RouteTable

NOW = 1_700_000_000.0


def expiring(name: str, address: str, end: float) -> dict[str, Any]:
    made = peer(name, address, persistentKeepalive=25)
    made["metadata"]["annotations"] = {"kgctl.dev/expires": time_text(int(end))}
    return made


def public_key(name: str) -> PublicKey:
    found = PublicKey.parse(key(f"peer {name}"))
    assert found is not None
    return found


class MemoryTunnel:
    """The interface of a session, in memory."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.device: Device = self.memory
        self.routes: Routes = MemoryRoutes(self.memory)

    def surroundings(self, _table: RouteTable) -> Surroundings:
        return Surroundings()


class Host:
    """The rounds of the host "laptop", by a clock that is moved by hand."""

    def __init__(self, place: Path) -> None:
        self.now = NOW
        self.store, self.lines, self.tunnel = Store(), Lines(), MemoryTunnel()
        names = Names(lambda: None, Dns())
        settings = options()
        identity = establish(settings, self.store, None, None)
        for _ in identity.enter():
            pass
        guarding = Guarding(settings, Servers("10.250.0.1", names, connections=frozenset))
        self.rounds = Rounds(
            settings,
            identity,
            self.tunnel,  # type: ignore[arg-type]
            Synchroniser(identity.private_key, 51820, names),
            guarding,
            names,
            RecordFile("kilo0", place),
            self.lines.journal,
            clock=lambda: self.now,
        )

    def own(self, end: float | None = None) -> dict[str, Any]:
        found: dict[str, Any] = self.store.peers["laptop"]
        if end is None:
            return found
        annotations = {"kgctl.dev/expires": time_text(int(end))}
        return {**found, "metadata": {**found["metadata"], "annotations": annotations}}

    def round(self, *peers: dict[str, Any], judged: float = NOW, whole: bool = False) -> None:
        node = the_node(2, "fra", last_seen=str(int(judged)))
        self.rounds.apply(objects_of([node, *peers]), judged, whole=whole)

    @property
    def peers(self) -> set[PublicKey]:
        return set(self.tunnel.memory.state.peers)


def test_a_peer_ends_at_its_time_though_nothing_changes_and_heartbeats_stand_still(
    tmp_path: Path,
) -> None:
    host = Host(tmp_path)
    network = (host.own(), expiring("guest", "10.5.0.9/32", NOW + 90), peer("tv", "10.5.0.8/32"))
    host.round(*network, whole=True)
    assert {public_key("guest"), public_key("tv")} < host.peers
    assert cidr("10.5.0.9/32") in {one.destination for one in host.tunnel.memory.present}
    assert host.rounds.expires_at == NOW + 90
    host.now = NOW + 89
    host.round(*network)
    assert public_key("guest") in host.peers
    host.now = NOW + 90  # the API server is away: heartbeats are judged as of an earlier time
    host.round(*network)
    assert public_key("guest") not in host.peers
    assert public_key("tv") in host.peers
    assert cidr("10.5.0.9/32") not in {one.destination for one in host.tunnel.memory.present}
    assert host.rounds.expires_at == float("inf")


def test_more_time_lets_a_peer_in_again(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.round(host.own(), expiring("guest", "10.5.0.9/32", NOW - 1), whole=True)
    assert public_key("guest") not in host.peers
    host.round(host.own(), expiring("guest", "10.5.0.9/32", NOW + 60))
    assert public_key("guest") in host.peers
    assert host.rounds.expires_at == NOW + 60


def test_a_host_whose_own_time_is_over_says_so_and_does_not_come_back(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.round(host.own(NOW + 60), whole=True)
    assert host.rounds.expires_at == NOW + 60
    host.now = NOW + 60
    with pytest.raises(
        NotAMemberError, match=r'"laptop" takes no part: expired 2023-11-14T22:14:20Z'
    ):
        host.round(host.own(NOW + 60))
    del host.store.peers["laptop"]  # kgctl peer prune
    with pytest.raises(NotAMemberError, match="was deleted, so it is not created again"):
        host.round()
    assert host.store.peers == {}


def test_a_host_without_an_end_comes_back(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.round(host.own(), whole=True)
    del host.store.peers["laptop"]
    with pytest.raises(NotAMemberError, match="no longer in the cluster"):
        host.round()
    assert "laptop" in host.store.peers


def test_settings_do_not_concern_the_agents_devices() -> None:
    found = []
    for one in (peer("tv", "10.5.0.8/32"), expiring("tv", "10.5.0.8/32", NOW + 60)):
        one["spec"]["persistentKeepalive"] = 25
        node = the_node(2, "fra", last_seen=str(int(NOW)))
        found.append(devices_of(network_of(state_of(objects_of([node, one])), now=NOW)))
    assert found[0] == found[1]


class Timed(Inbox):
    """An inbox in which waiting moves the clock, and which ends after some seconds."""

    def __init__(self, until: float) -> None:
        super().__init__()
        self.now, self.until = 0.0, until

    def get(self, timeout: float) -> str | None:
        if self.now + timeout >= self.until:
            return "SIGTERM"
        self.now += timeout
        return None


def test_the_loop_runs_a_round_at_each_end_and_not_more() -> None:
    inbox = Timed(100.0)
    ends, rounds = [12.5, 40.0], []

    def left() -> float:
        return min((end for end in ends if end > inbox.now), default=float("inf")) - inbox.now

    class Ends:
        """Ends as rounds find them: the next one, as of the last round."""

        at = ends[0]

        def left(self) -> float:
            return self.at - inbox.now

        def act(self) -> None:
            rounds.append(inbox.now)
            self.at = inbox.now + left()

    end = Ends()
    run(
        inbox,
        Schedule(30.0),
        lambda _whole: True,
        tick=lambda: None,
        every=10.0,
        timers=(Deadline(end.left, end.act, clock=lambda: inbox.now),),
        clock=lambda: inbox.now,
    )
    assert rounds == [12.5, 40.0]


def test_a_time_that_stands_still_does_not_make_the_loop_spin() -> None:
    inbox, rounds = Timed(10.0), 0

    def act() -> None:
        nonlocal rounds
        rounds += 1

    run(
        inbox,
        Schedule(30.0),
        lambda _whole: True,
        tick=lambda: None,
        every=10.0,
        timers=(Deadline(lambda: -1.0, act, clock=lambda: inbox.now),),
        clock=lambda: inbox.now,
    )
    assert rounds == 10
