"""The loop that follows a cluster: its timing, its batches, and its end."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from kgctl.errors import KgctlError
from kgctl.state.feeds import PolledFeed
from kgctl.state.follow import CHANGED, Inbox, Once, end_at_signals, follow, rest_after, until_tick

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from kgctl.state.feeds import Snapshot

END = "SIGTERM"


class Script:
    """A loop at a clock that is moved by waiting, and by ``work`` seconds for each look.

    ``messages`` come at their time: kinds of objects that change, or ``END``.
    """

    def __init__(self, *messages: tuple[float, str], work: float = 0.0) -> None:
        self.now = 0.0
        self.looks: list[tuple[float, Collection[str]]] = []
        self._work = work
        script, messages_left = self, sorted(messages)

        class Timed(Inbox):
            def get(self, timeout: float) -> str | None:
                if message := super().get(0):
                    return message
                due = messages_left[0][0]
                if due > script.now + timeout:
                    script.now += timeout
                    return None
                script.now = max(script.now, due)
                kind = messages_left.pop(0)[1]
                if kind == END:
                    return kind
                self.changed(kind)
                return super().get(0)

        self.inbox = Timed()

    def clock(self) -> float:
        return self.now

    def look(self, changed: Collection[str]) -> Collection[str]:
        return changed

    def hear(self, changed: Collection[str]) -> None:
        self.looks.append((self.now, changed))
        self.now += self._work

    def run(self, pause: Callable[[float], float] = lambda _took: 10.0) -> list[float]:
        assert follow(self, self.hear, self.inbox, pause=pause, clock=self.clock) == END
        return [when for when, _ in self.looks]


def test_without_a_change_it_looks_after_each_pause() -> None:
    script = Script((35.0, END))
    assert script.run() == [10, 20, 30]
    assert all(not changed for _, changed in script.looks)


def test_a_pause_may_depend_on_how_long_a_look_took() -> None:
    script = Script((29.0, END), work=1.0)
    assert script.run(until_tick) == [1, 5, 9, 13, 17, 21, 25]


def test_a_change_is_looked_at_at_once_and_others_are_gathered_meanwhile() -> None:
    script = Script((3.0, "nodes"), (3.05, "peers"), (3.1, "nodes"), (8.0, "nodes"), (9.0, END))
    assert script.run() == [3, pytest.approx(3.2), 8]
    assert [changed for _, changed in script.looks] == [{"nodes"}, {"peers", "nodes"}, {"nodes"}]


def test_the_rest_grows_with_the_work_but_not_for_ever() -> None:
    events = [(number / 10, "nodes") for number in range(1, 300)]
    assert len(Script(*events, (30.0, END), work=0.5).run()) == 12  # of 2.5 s each
    assert [rest_after(took) for took in (0.0, 0.5, 60.0)] == [0.2, 2, 5]


def test_changes_without_end_keep_no_signal_waiting() -> None:
    events = [(number / 1000, "nodes") for number in range(1000)]
    script = Script(*events, (0.5005, END))
    script.run()
    assert script.now < 0.6


@pytest.mark.parametrize("ended_by", ["a thread", "a signal"])
def test_it_ends_within_half_a_second(ended_by: str) -> None:
    inbox = Inbox()
    ended = 0.0

    def end(*_: object) -> None:
        nonlocal ended
        ended = time.monotonic()
        inbox.end(END)

    before = signal.signal(signal.SIGTERM, end)
    kill = end if ended_by == "a thread" else lambda: os.kill(os.getpid(), signal.SIGTERM)
    timer = threading.Timer(0.1, kill)
    timer.start()
    try:
        pause = follow(Script(), lambda _seen: None, inbox, pause=lambda _took: 1e12)
    finally:
        signal.signal(signal.SIGTERM, before)
        timer.join()
    assert pause == END
    assert time.monotonic() - ended < 30


def test_a_signal_breaks_off_what_waits() -> None:
    before = signal.getsignal(signal.SIGTERM)
    timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        end_at_signals()
        timer.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            follow(Script(), lambda _seen: None, Inbox(), pause=lambda _took: 1e12)
    finally:
        timer.join()
        signal.signal(signal.SIGTERM, before)
    assert time.monotonic() - began < 30


def test_many_changes_are_one_message() -> None:
    inbox = Inbox()
    for _ in range(1000):
        inbox.changed("nodes")
    inbox.end("SIGINT")
    assert [inbox.get(0) for _ in range(3)] == [CHANGED, "SIGINT", None]
    inbox.changed("peers")
    assert inbox.get(0) == CHANGED
    assert inbox.kinds() == {"nodes", "peers"}
    assert inbox.kinds() == set()


def test_trouble_is_told_once_until_it_is_over() -> None:
    told: list[str] = []
    once = Once(told.append)
    for text in ("refused", "refused", "forbidden", "refused"):
        once.tell(text)
    once.over()
    once.tell("refused")
    assert told == ["refused", "forbidden", "refused", "refused"]


class File:
    """What is read again and again: its content, or an error."""

    def __init__(self) -> None:
        self.content: str | KgctlError = "first"
        self.failures: list[KgctlError] = []
        self.seen: list[tuple[float, str, str]] = []

    def read(self) -> str:
        if isinstance(self.content, KgctlError):
            raise self.content
        return self.content

    def run(self, script: Script, every: float, pause: float = math.inf) -> None:
        """Follow it as a command does that reads files."""
        feed = PolledFeed(
            self.read, "first", every=every, changed=script.inbox.changed,
            failed=self.failures.append, clock=script.clock,
        )  # fmt: skip

        def hear(seen: Snapshot[str]) -> None:
            self.seen.append((script.now, seen.content, seen.standing.trouble))

        assert (
            follow(
                feed,
                hear,
                script.inbox,
                pause=lambda _took: pause,
                turns=[feed],
                clock=script.clock,
            )
            == END
        )


def test_a_file_is_read_after_each_interval_and_less_often_while_that_fails() -> None:
    file, script = File(), Script((2000.0, END))
    file.content = KgctlError("cannot read it")
    file.run(script, every=10)
    assert [when for when, _, _ in file.seen] == [10, 30, 70, 150, 310, 610, 910, 1210, 1510, 1810]
    assert {(content, trouble) for _, content, trouble in file.seen} == {
        ("first", "cannot read it")
    }
    assert len(file.failures) == 10


def test_a_file_that_can_be_read_again_is_read_as_often_as_before() -> None:
    file, script = File(), Script((75.0, END))
    file.content = KgctlError("cannot read it")
    original = file.read

    def read() -> str:
        if script.now > 25:
            file.content = "second"
        return original()

    file.read = read  # type: ignore[method-assign]
    file.run(script, every=10)
    assert file.seen == [
        (10, "first", "cannot read it"),
        *((when, "second", "") for when in (30, 40, 50, 60, 70)),
    ]


def test_between_two_reads_of_a_file_ages_are_shown() -> None:
    file, script = File(), Script((25.0, END))
    file.run(script, every=10, pause=4)
    assert [when for when, _, _ in file.seen] == [4, 8, 10, 14, 18, 20, 24]
