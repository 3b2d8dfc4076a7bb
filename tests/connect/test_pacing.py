"""The schedule of rounds, the time at which heartbeats are judged, and the loop."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from kgctl.connect.journal import Journal, rfc3339
from kgctl.connect.schedule import FIRST, PATIENCE, QUIET, REST, Schedule, run
from kgctl.mesh.node import READY_SECONDS
from kgctl.state.follow import CHANGED, GRACE, Contact, Inbox
from kgctl.state.follow import QUIET as STANDS
from kgctl.steady import steady


def test_a_change_after_a_calm_is_applied_at_once() -> None:
    schedule = Schedule(30)
    assert schedule.wait(0) == 0
    schedule.done(0, whole=True)
    assert schedule.wait(1) == 29
    schedule.event(5)
    assert schedule.wait(5) == pytest.approx(FIRST)
    assert not schedule.whole(5 + FIRST)
    schedule.done(5 + FIRST, whole=False)
    assert schedule.wait(6) == 24  # the period goes on as it was


def test_a_change_among_others_is_applied_when_it_is_quiet_or_patience_ends() -> None:
    schedule = Schedule(30)
    schedule.done(0, whole=True)
    schedule.event(5)
    schedule.done(5, whole=False)
    schedule.event(5.05)
    assert schedule.wait(5.05) == pytest.approx(QUIET)
    for tick in range(100):  # events keep coming, a hundred a second
        schedule.event(5.05 + tick / 100)
    assert schedule.wait(5.45) == pytest.approx(PATIENCE - 0.4)
    assert schedule.wait(6.04) == 0
    schedule.done(6.05, whole=False)
    assert schedule.wait(6.05) == pytest.approx(23.95)


def test_rounds_of_events_rest_as_they_work_and_the_period_goes_on() -> None:
    schedule, now = Schedule(30), 0.0
    schedule.done(now, whole=True, took=7.0)
    schedule.event(1)
    assert schedule.wait(1) == pytest.approx(FIRST)  # whole rounds are rare enough
    schedule.done(2, whole=False, took=1.0)
    schedule.event(2)
    assert schedule.wait(2) == pytest.approx(REST)
    schedule.done(28, whole=False, took=9.0)
    schedule.event(28)
    assert schedule.wait(28) == 2
    assert schedule.whole(30)


def test_what_failed_is_tried_again_sooner_and_then_less_and_less_often() -> None:
    schedule, now, waits = Schedule(30), 0.0, []
    for _ in range(8):
        schedule.done(now, whole=True, failed=True)
        waits.append(schedule.wait(now))
        now += waits[-1]
        assert schedule.whole(now)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    schedule.done(now, whole=True)
    assert schedule.wait(now) == 30


def test_events_that_fail_do_not_put_off_the_round_that_mends() -> None:
    schedule, now = Schedule(30), 0.0
    schedule.done(now, whole=True)
    for _ in range(10):  # each of them fails, and the next event is there already
        schedule.event(now)
        now += PATIENCE
        if schedule.whole(now):
            break
        schedule.done(now, whole=False, failed=True)
    assert now <= 2


AHEAD = 900_000.0
"""Seconds by which Unix time is more than that of the steady clock."""


def hear(contact: Contact, now: float) -> None:
    contact.heard(now, now - AHEAD)


def heartbeats(contact: Contact, last_seen: float, now: float) -> bool:
    """Whether a node with that heartbeat is ready."""
    return contact.judged(now, now - AHEAD) - last_seen < READY_SECONDS


def test_ten_minutes_without_the_api_server_end_no_node() -> None:
    contact, start = Contact(), 1_000_000.0
    for beat in range(0, 120, 5):
        hear(contact, start + beat)
    last = start + 100  # a node's last heartbeat: the next was due when the server went away
    for away in range(0, 600, 10):
        assert heartbeats(contact, last, start + 115 + away)
    back = start + 115 + 600
    hear(contact, back)
    for later in range(0, int(GRACE), 5):  # its agent writes the next one only now
        hear(contact, back + later)
        assert heartbeats(contact, last, back + later)
    hear(contact, back + GRACE + 1)
    assert not heartbeats(contact, last, back + GRACE + 1)  # it is really gone
    assert heartbeats(contact, back + 60, back + GRACE + 1)  # and this one is not


def test_forty_seconds_without_the_api_server_end_no_node() -> None:
    """The beat before was half a minute old when the server went, and the next one failed."""
    for failed, stays in ((True, True), (False, False)):
        contact = Contact()
        hear(contact, 100)
        if failed:
            contact.failed()
            hear(contact, 100)  # the same word again
        hear(contact, 140)
        assert heartbeats(contact, 70, 140) == stays
        assert contact.is_grace(140 - AHEAD) == stays
    contact.failed()  # once, for a moment
    hear(contact, 141)
    hear(contact, 160)
    assert not contact.is_grace(160 - AHEAD)


def test_with_the_server_there_a_node_that_falls_silent_goes() -> None:
    contact = Contact()
    for second in range(0, 100, 5):
        hear(contact, second)
    assert heartbeats(contact, 40, 99)
    assert not heartbeats(contact, 35, 99)
    assert contact.judged(99, 99 - AHEAD) == 99
    assert contact.judged(1000, 1000 - AHEAD) == 95 + STANDS


def test_a_clock_that_is_put_right_ends_no_silence() -> None:
    contact, start = Contact(), 1_000_000.0
    for beat in range(0, 120, 5):  # the clock is an hour ahead, and so are the heartbeats' ages
        contact.heard(start + 3600 + beat, beat)
    before = contact.judged(start + 3600 + 115 + STANDS, 115 + STANDS)
    for away in range(0, 600, 10):  # now it is right, and the server is away
        assert contact.judged(start + 130 + away, 130 + away + 0.1) == before
        assert contact.silence(130 + away) == 15 + away
    for later in range(0, int(GRACE), 10):
        contact.heard(start + 730 + later, 730 + later)
        assert contact.judged(start + 730 + later, 730 + later) == before
    contact.heard(start + 730 + GRACE, 730 + GRACE)
    assert contact.judged(start + 731 + GRACE, 731 + GRACE) == start + 731 + GRACE


@pytest.mark.parametrize("jump", [7200, -7200])
def test_a_clock_that_jumps_makes_no_heartbeat_older(jump: int) -> None:
    contact, start = Contact(), 1_000_000.0
    contact.heard(start, 0)
    for away in range(int(STANDS)):  # also right after the last word, when time does not stand yet
        assert contact.judged(start + away + jump, away) == start + away
    for away in range(int(STANDS), 600, 10):
        assert contact.judged(start + away + jump, away) == start + STANDS


class Script:
    """A loop whose clock is moved by waiting, and by acting."""

    def __init__(self, *messages: tuple[float, str]) -> None:
        self.now = 0.0
        self.inbox = Inbox()
        self.messages = list(messages)
        self.acted: list[tuple[float, bool]] = []
        self.ticks: list[float] = []

    def run(self, period: float, every: float) -> str:
        script = self

        class Timed(Inbox):
            def get(self, timeout: float) -> str | None:
                if script.messages and script.messages[0][0] <= script.now + timeout:
                    script.now = max(script.now, script.messages[0][0])
                    return script.messages.pop(0)[1]
                script.now += timeout
                return None

        def act(whole: bool) -> bool:
            script.acted.append((script.now, whole))
            return True

        return run(
            Timed(),
            Schedule(period),
            act,
            tick=lambda: script.ticks.append(script.now),
            every=every,
            clock=lambda: script.now,
        )


def test_the_loop_acts_at_once_after_events_and_each_period() -> None:
    events = [(10 + number / 200, CHANGED) for number in range(200)]  # 200 a second
    script = Script(*events, (61.0, "SIGTERM"))
    assert script.run(30.0, 10.0) == "SIGTERM"
    whole = [when for when, is_whole in script.acted if is_whole]
    others = [when for when, is_whole in script.acted if not is_whole]
    assert whole == [0, 30, 60]
    assert len(others) <= 3  # of 200 events
    assert others[0] == 10 + FIRST
    assert script.ticks == [0, 10, 20, 30, 40, 50, 60]


def test_lines_have_the_reference_s_shape() -> None:
    lines: list[str] = []
    moment = datetime(2026, 1, 31, 12, 0, 0, 120_000, tzinfo=UTC)
    journal = Journal(lines.append, clock=lambda: moment)
    journal.info("created peer", peer="laptop")
    journal.error("failed to sync", err=ValueError("line\nbreak \x1b[2J"))
    journal.debug("not shown")
    first, second = map(json.loads, lines)
    assert list(first) == sorted(first)
    caller = first.pop("caller")
    assert caller.startswith("test_pacing.py:")
    assert first == {
        "component": "kgctl",
        "level": "info",
        "msg": "created peer",
        "peer": "laptop",
        "ts": "2026-01-31T12:00:00.12Z",
    }
    assert second["err"] == "line\\nbreak \\x1b[2J"
    assert all("\n" not in line for line in lines)


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("all", "diwe"),
        ("debug", "diwe"),
        ("info", "iwe"),
        ("warn", "we"),
        ("error", "e"),
        ("none", ""),
    ],
)
def test_levels(level: str, shown: str) -> None:
    lines: list[str] = []
    journal = Journal(lines.append, level=level, as_json=False)
    for log in (journal.debug, journal.info, journal.warn, journal.error):
        log("x", reason="y")
    assert "".join(line.split()[1][0] for line in lines) == shown


def test_times_are_go_s() -> None:
    assert rfc3339(datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == (
        "2025-12-31T23:00:00Z"
    )


def test_the_steady_clock_goes_on_while_the_machine_sleeps() -> None:
    with open("/proc/uptime") as file:  # noqa: PTH123 - it counts sleep, as proc(5) says
        assert steady() == pytest.approx(float(file.read().split()[0]), abs=2)
