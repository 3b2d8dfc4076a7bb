"""A session of an agent on a machine in memory: when rounds run, and what is left at the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from kgctl.agent.session import HOST, AgentSession
from kgctl.errors import HostError, InterfaceGoneError, UnreachableError
from kgctl.state.follow import OUTAGE, Inbox
from kgctl.steady import steady
from tests.agent.machine import Machine, own_node, the_node
from tests.support.several import objects_of

if TYPE_CHECKING:
    from kgctl.state.interface import Objects


class Copy:
    """A copy of the cluster, empty at first."""

    def __init__(self) -> None:
        self.objects: Objects | None = None
        self.heard = self.heard_steady = 0.0

    def start(self) -> None: ...

    def read(self) -> Objects | None:
        return self.objects

    def hear(self, *objects: dict[str, Any]) -> None:
        self.objects = objects_of([*objects])
        self.heard, self.heard_steady = time.time(), steady()


class Session:
    """A session, its copy of the cluster, and what was ``called`` at its end."""

    def __init__(self, **settings: Any) -> None:
        self.called: list[str] = []
        self.machine = machine = Machine(**settings)
        self.copy, self.inbox = Copy(), Inbox()
        calls = self.called

        class Link:
            def delete(self) -> None:
                calls.append("delete the link")

            def close(self) -> None:
                calls.append("close")

        class Announcer:
            def end(self) -> None:
                calls.append("end")

            def settle(self, seconds: float) -> bool:
                return seconds > 0

        def leave() -> None:
            calls.append("leave")
            raise UnreachableError("the API server is away")

        self.session = AgentSession(
            machine.settings,
            machine.rounds,
            Announcer(),  # type: ignore[arg-type]
            Link(),  # type: ignore[arg-type]
            machine.installed,
            machine.lines.journal,
            leave=leave,
            inbox=self.inbox,
        )

    def act(self, *, whole: bool = False) -> bool:
        return self.session.act(self.copy, whole=whole)


def now_node(number: int, location: str, age: int = 0) -> dict[str, Any]:
    return the_node(number, location, last_seen=str(int(time.time()) - age))


def test_rounds_begin_when_the_cluster_was_read() -> None:
    one = Session()
    assert one.act()
    assert one.session.state() is None
    one.copy.hear(own_node(), now_node(2, "fra"))
    assert one.act()
    state, _ = one.session.state() or pytest.fail("nothing was read")
    assert len(state.nodes) == 2
    assert one.session.figures().ready


def test_a_change_on_the_machine_makes_a_round_a_whole_one() -> None:
    one = Session()
    one.copy.hear(own_node(), now_node(2, "fra"))
    one.act()
    one.session.changed("nodes", "fra-2")
    one.act()
    assert one.machine.installed.calls == [True]
    one.inbox.changed(HOST)
    one.act()
    assert one.machine.installed.calls == [True, True]


def test_an_error_is_counted_and_the_machine_looked_at_again() -> None:
    one = Session()
    one.copy.hear(own_node(), now_node(2, "fra"))
    one.act()
    reads = one.machine.link.reads

    def gone() -> bool:
        raise InterfaceGoneError("the interface kilo0 is gone")

    before, one.machine.link.open = one.machine.link.open, gone  # type: ignore[method-assign]
    assert not one.act(whole=True)
    one.machine.link.open = before  # type: ignore[method-assign]
    assert one.act()
    assert one.machine.link.reads == reads + 1
    assert one.session.figures().errors == {"apply": 1}


def test_heartbeats_are_judged_as_of_the_last_contact() -> None:
    one = Session()
    one.copy.hear(own_node(), now_node(2, "fra", age=10))
    one.act()
    one.copy.heard_steady -= OUTAGE + 60
    one.copy.heard -= OUTAGE + 60
    one.act()
    assert one.session.figures().nodes == 2


def test_a_server_that_is_restored_from_a_backup_ends_no_node() -> None:
    one = Session()
    one.copy.hear(own_node(), now_node(2, "fra", age=40))
    one.copy.heard_steady -= 30
    one.copy.heard -= 30
    one.act()
    one.session.failed("nodes", UnreachableError("the API server is away"), 1.0)
    one.copy.hear(own_node(), now_node(2, "fra", age=3600), now_node(3, "nyc", age=3600))
    one.act()
    assert one.session.figures().nodes == 2  # the third was never seen alive


def test_without_an_outage_an_old_heartbeat_counts() -> None:
    one = Session()
    one.copy.hear(own_node(), now_node(2, "fra", age=10))
    one.act()
    one.copy.hear(own_node(), now_node(2, "fra", age=3600))
    one.act()
    assert one.session.figures().nodes == 1


@pytest.mark.parametrize(
    ("settings", "called"),
    [
        ({}, ["end", "leave", "close"]),
        ({"clean_up_interface": True}, ["end", "leave", "delete the link", "close"]),
        ({"clean_up": False, "clean_up_interface": True}, ["end", "close"]),
    ],
)
def test_leaving_undoes_what_the_settings_say(settings: dict[str, Any], called: list[str]) -> None:
    one = Session(**settings)
    one.copy.hear(own_node(), now_node(2, "fra"))
    one.act()
    one.session.leave()
    assert one.called == called
    assert (one.machine.installed.plan is None) == settings.get("clean_up", True)
    failed = [line["msg"] for line in one.machine.told("error")]
    assert failed == (["failed to remove the annotations"] if "leave" in called else [])


def test_a_single_round_is_announced() -> None:
    one = Session()
    one.copy.hear(own_node(), now_node(2, "fra"))
    assert one.session.once(one.copy)
    assert one.called == ["end", "close"]
    one = Session()
    one.copy.hear(own_node(), now_node(2, "fra"))
    one.machine.installed.errors = [HostError("cannot run iptables")]
    assert not one.session.once(one.copy)
