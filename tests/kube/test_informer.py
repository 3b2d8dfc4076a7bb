"""An informer follows the API server through all its failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kgctl.errors import (
    ClusterError,
    ConnectionLostError,
    ForbiddenError,
    GoneError,
    OverloadedError,
)
from kgctl.kube.informer import LONGEST_PAUSE, Informer, Kind
from kgctl.kube.lists import Listed
from kgctl.kube.watch import Event

if TYPE_CHECKING:
    from collections.abc import Generator


class Server:
    """Answers lists and watches as a test writes them down; hears what comes of it."""

    def __init__(self) -> None:
        self.lists: list[Listed[str] | ClusterError] = []
        self.watches: list[list[Event[str] | ClusterError]] = []
        self.watched_from: list[str] = []
        self.changes: list[str] = []
        self.failures: list[ClusterError] = []
        self.slept: list[float] = []
        self.now = 0.0
        self.kind = Kind("things", lambda text: text.split("=")[0], self.list, self.watch)
        self.informer = Informer(
            self.kind, self, poll=7, sleep=self.slept.append, clock=lambda: self.now, memory=1000
        )

    def list(self) -> Listed[str]:
        answer = self.lists.pop(0)
        if isinstance(answer, ClusterError):
            raise answer
        return answer

    def watch(self, version: str) -> Generator[Event[str], None, None]:
        self.watched_from.append(version)
        for event in self.watches.pop(0):
            if isinstance(event, ClusterError):
                raise event
            self.now += 10
            yield event
        self.now += 10

    def changed(self, kind: str, name: str) -> None:
        assert kind == "things"
        self.changes.append(name)

    def failed(self, kind: str, error: ClusterError, pause: float) -> None:
        assert kind == "things"
        self.failures.append(error)

    def objects(self) -> set[str]:
        return set(self.informer.objects or ())


def test_it_lists_watches_and_goes_on_from_the_last_event() -> None:
    server = Server()
    assert server.informer.objects is None
    server.lists = [Listed(["a=1", "b=1"], "5")]
    server.watches = [
        [Event("MODIFIED", "a=2", "6"), Event("DELETED", "b=1", "7"), Event("ADDED", "c=1", "8")],
        [Event("BOOKMARK", None, "20")],
        [],
    ]
    for _ in range(3):
        server.informer.step()
    assert server.objects() == {"a=2", "c=1"}
    assert server.watched_from == ["5", "8", "20"]
    assert server.changes == ["", "a", "b", "c"]
    assert server.slept == []
    assert server.informer.heard_steady == server.now


def test_objects_without_end_are_not_kept() -> None:
    server = Server()
    server.lists = [Listed(["a=1"], "5"), Listed(["a=1"], "6")]
    new: list[Event[str] | ClusterError] = [
        Event("ADDED", f"new-{number}=1", "7", 100) for number in range(20)
    ]
    server.watches = [new[:6], new[6:], []]  # over more than one watch
    server.informer.step()
    assert not server.failures
    server.informer.step()
    assert "take more than 0 MiB of memory: is it the API server?" in str(server.failures[0])
    assert len(server.objects()) == 11
    server.informer.step()
    assert server.objects() == {"a=1"}


def test_an_object_that_changes_or_goes_takes_its_memory_once() -> None:
    server = Server()
    server.lists = [Listed(["a=1"], "5")]
    same = [Event("MODIFIED", f"a={number}", "7", 600) for number in range(20)]
    coming = [
        Event(kind, f"{number}=1", "8", 300)
        for number in range(20)
        for kind in ("ADDED", "DELETED")
    ]
    server.watches = [[*same, *coming]]
    server.informer.step()
    assert not server.failures
    assert server.objects() == {"a=19"}


def test_an_expired_version_is_listed_anew() -> None:
    server = Server()
    server.lists = [Listed(["a=1"], "5"), Listed(["a=2"], "900")]
    server.watches = [[GoneError("too old", 410)], []]
    server.informer.step()
    server.informer.step()
    assert server.watched_from == ["5", "900"]
    assert server.objects() == {"a=2"}
    assert server.slept == []  # the first time at once


def test_after_a_broken_connection_a_lower_version_is_believed() -> None:
    server = Server()
    server.lists = [Listed(["a=9"], "900"), Listed(["a=1"], "5")]
    server.watches = [[ConnectionLostError("cut")], []]
    server.informer.step()
    server.informer.step()
    assert server.watched_from == ["900", "5"]
    assert server.objects() == {"a=1"}


def test_pauses_grow_while_it_is_away_and_what_is_known_stays() -> None:
    server = Server()
    server.lists = [Listed(["a=1"], "5"), *[ConnectionLostError("away")] * 12, Listed(["a=1"], "6")]
    server.watches = [[ConnectionLostError("cut")], []]
    for _ in range(14):
        server.informer.step()
    assert server.objects() == {"a=1"}
    assert len(server.slept) == 13
    assert server.slept[0] < 0.5
    assert LONGEST_PAUSE * 0.7 < server.slept[-1] < LONGEST_PAUSE * 1.3
    assert server.changes == [""]  # nothing had changed when it was back


def test_an_overloaded_server_is_left_alone_for_as_long_as_it_asks() -> None:
    server = Server()
    server.lists = [OverloadedError("429", 429, "", 17), Listed([], "5")]
    server.watches = [[]]
    server.informer.step()
    server.informer.step()
    assert server.slept == [17]


def test_without_the_right_to_watch_it_lists_once_a_period() -> None:
    server = Server()
    server.lists = [Listed(["a=1"], "5"), Listed(["a=2"], "6")]
    server.watches = [[ForbiddenError("no watch", 403)]]
    for _ in range(3):
        server.informer.step()
    assert server.objects() == {"a=2"}
    assert server.slept == [7, 7]
    assert len(server.failures) == 1


def test_a_watch_that_always_ends_at_once_is_not_run_hot() -> None:
    server = Server()
    server.lists = [Listed(["a=1"], "5")]
    server.watches = [[]] * 3
    server.informer._clock = lambda: 0.0
    for _ in range(3):
        server.informer.step()
    assert len(server.slept) == 3
    assert server.slept[2] > server.slept[0]


def test_a_fault_of_its_own_does_not_end_it() -> None:
    server = Server()
    server.lists = []  # which raises IndexError
    server.informer.step()
    assert "internal error: IndexError" in str(server.failures[0])
    server.lists, server.watches = [Listed(["a=1"], "5")], [[]]
    server.informer.step()
    assert server.objects() == {"a=1"}


def test_an_event_does_not_end_the_patience_with_a_server_that_ails() -> None:
    """It lists, sends one event, and breaks off: that is no health, and lists cost much."""
    server = Server()
    server.lists = [Listed(["a=1"], str(number)) for number in range(6)]
    server.watches = [[Event("MODIFIED", "a=2", "9"), ConnectionLostError("gone")]] * 6
    server.informer._clock = lambda: 0.0
    for _ in range(6):
        server.informer.step()
    assert server.slept == sorted(server.slept)
    assert server.slept[-1] > 8 * server.slept[0]


def ailing(lasting: float, rounds: int = 60) -> tuple[Server, float]:
    """Follow a server that breaks every watch off, and return it and the seconds that it took."""
    server, now = Server(), 0.0

    def watch(version: str) -> Generator[Event[str], None, None]:
        nonlocal now
        yield Event("MODIFIED", "a=2", "9")
        now += lasting
        yield Event("MODIFIED", "a=3", "10")
        raise ConnectionLostError("broken off")

    def sleep(seconds: float) -> None:
        nonlocal now
        server.slept.append(seconds)
        now += seconds

    server.lists = [Listed(["a=1"], "5")] * rounds
    server.informer._kind = server.informer._kind._replace(watch=watch)
    server.informer._clock, server.informer._sleep = lambda: now, sleep
    for _ in range(rounds):
        server.informer.step()
    return server, now


@pytest.mark.parametrize("lasting", [0.0, 0.9, 1.1, 3.0, 8.0])
def test_a_server_that_ails_is_listed_less_and_less(lasting: float) -> None:
    server, seconds = ailing(lasting)
    assert 60 / seconds < 1 / 20  # lists a second
    assert 0.7 * LONGEST_PAUSE < server.slept[-1] < 1.3 * LONGEST_PAUSE


@pytest.mark.parametrize("lasting", [15.0, 300.0])
def test_a_watch_that_lasted_ends_the_patience(lasting: float) -> None:
    """As behind a load balancer that ends connections: that is no reason to be late."""
    server, _ = ailing(lasting)
    assert max(server.slept) < 0.4


class _Ended(BaseException):
    """What ends the thread of a test: no fault ends it by itself."""


@pytest.mark.parametrize("fault", [SystemExit, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("deaf", [False, True])
def test_nothing_ends_its_thread_unheard(fault: type[BaseException], deaf: bool) -> None:
    server = Server()
    steps = 0

    def watched() -> None:
        nonlocal steps
        steps += 1
        raise fault

    def slept(seconds: float) -> None:
        server.slept.append(seconds)
        if len(server.slept) >= 3:
            raise _Ended

    server.informer.step = watched  # type: ignore[method-assign]
    server.informer._sleep = slept
    if deaf:
        server.failed = None  # type: ignore[assignment]  # the listener fails too
    with pytest.raises(_Ended):
        server.informer.run()
    assert steps == 3
    assert len(server.failures) == (0 if deaf else 3)
    assert all(fault.__name__ in str(one) for one in server.failures)


def test_of_minor_changes_the_listener_hears_now_and_then() -> None:
    """The server of these tests has an event each ten seconds."""
    server = Server()
    kind = server.kind._replace(
        minor=lambda before, after: after if before[:3] == after[:3] else None
    )
    server.informer = Informer(kind, server, clock=lambda: server.now)
    server.lists = [Listed(["a=1", "b=1"], "1")]
    events = [("MODIFIED", f"a=1{number}") for number in range(5)]
    events += [("MODIFIED", "b=2"), ("DELETED", "a=14"), ("ADDED", "a=14")]
    server.watches = [[Event(kind, text, str(2 + at)) for at, (kind, text) in enumerate(events)]]
    server.informer.step()
    # at 10, 30 and 50 s; then all others, which are not minor
    assert server.changes == ["", "a", "a", "a", "b", "a", "a"]
    assert server.informer.objects == ["b=2", "a=14"]
