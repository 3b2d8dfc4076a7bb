"""The schedule of a session in the loop of ``kgctl.state.follow``, and its signal handling.

The loop takes turns with rounds, ticks and renewals of sessions. A signal ends it in order.
"""

from __future__ import annotations

import gc
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kgctl.state.follow import take_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kgctl.state.follow import Inbox, Turn


FIRST = 0.02
"""Seconds after which the first event after a calm is applied."""

TICK = 10.0
"""Seconds between two checks for answers of the API server while nothing else happens."""

_SMALL_COLLECTIONS = (700, 10, 10)
"""Python's default thresholds: kgctl raises them for commands that end after a second."""

QUIET = 0.1
"""Seconds without another event after which all other events are applied; so long is a calm."""

PATIENCE = 0.5
"""Seconds after which a change is applied while events keep coming."""

REST = 1.0
"""A round waits this many times as long as the last round of events took: events without end use
at most half a core."""

FIRST_RETRY = 1.0
"""Seconds until a failed round is repeated; doubled each time, up to the period."""


def collect_often() -> None:
    """Have Python collect garbage as it does by default, for a program that stays."""
    gc.set_threshold(*_SMALL_COLLECTIONS)


def keep_for_good() -> None:
    """Spare the objects that are alive now from all later collections of garbage.

    A large network is a million objects that stay, and to look at all of them for garbage takes a
    third of a second. They are freed when nothing refers to them, as before: only cycles among them
    would stay, and the data of a network has none. Call it once, or cycles might add up.
    """
    gc.collect()
    gc.freeze()


class Schedule:
    """Decides when a round is due: after each period, and soon after a change.

    Times are seconds of any monotonic clock.
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self._next: float | None = None
        self._first_event: float | None = None
        self._last_event = float("-inf")
        self._calm = True  # before the first event
        self._rested = float("-inf")
        self._failures = 0

    def event(self, now: float) -> None:
        """Record a change."""
        if self._first_event is None:
            self._first_event = now
            self._calm = now - self._last_event >= QUIET
        self._last_event = now

    def wait(self, now: float) -> float:
        """Return the seconds until the next round; 0 if it is due."""
        due = now if self._next is None else self._next
        if self._first_event is not None:
            gathered = min(self._last_event + QUIET, self._first_event + PATIENCE)
            gathered = self._first_event + FIRST if self._calm else gathered
            due = min(due, max(gathered, self._rested))
        return max(0.0, due - now)

    def whole(self, now: float) -> bool:
        """Return whether the due round is a periodic one, which checks everything."""
        return self._next is None or now >= self._next

    def done(self, now: float, *, whole: bool, failed: bool = False, took: float = 0.0) -> None:
        """Record the end of a round that ``took`` so many seconds."""
        self._first_event = None
        if not whole:
            self._rested = now + REST * took
        self._failures = self._failures + 1 if failed else 0
        if failed:
            retry = now + min(self._period, FIRST_RETRY * 2.0 ** min(self._failures - 1, 16))
            # rounds of events must not postpone the periodic one, which repairs, for ever
            self._next = retry if whole or self._next is None else min(self._next, retry)
        elif whole or self._next is None:
            self._next = now + self._period


def run(
    inbox: Inbox,
    schedule: Schedule,
    act: Callable[[bool], bool],
    *,
    tick: Callable[[], None],
    every: float,
    timers: Sequence[Turn] = (),
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Run the loop until ``inbox.end`` is called; return the reason that it was given.

    ``act`` runs a round: it takes whether the round is a whole one, and returns whether it
    succeeded. ``tick`` is called at least ``every`` so many seconds. ``timers`` are further turns
    with their own times.
    """
    turns: list[Turn] = [_Ticks(tick, every, clock), _Rounds(schedule, act, clock), *timers]
    return take_turns(inbox, turns, clock=clock)


class _Ticks:
    """The turn that calls ``tick`` every so many seconds."""

    def __init__(self, tick: Callable[[], None], every: float, clock: Callable[[], float]) -> None:
        self._tick = tick
        self._every = every
        self._clock = clock
        self._next = clock()

    def changed(self, _now: float) -> None: ...

    def wait(self, now: float) -> float:
        return self._next - now

    def run(self) -> None:
        self._next = self._clock() + self._every
        self._tick()


class _Rounds:
    """The turn that runs a round when the schedule makes it due."""

    def __init__(
        self, schedule: Schedule, act: Callable[[bool], bool], clock: Callable[[], float]
    ) -> None:
        self._schedule = schedule
        self._act = act
        self._clock = clock

    def changed(self, now: float) -> None:
        self._schedule.event(now)

    def wait(self, now: float) -> float:
        return self._schedule.wait(now)

    def run(self) -> None:
        began = self._clock()
        whole = self._schedule.whole(began)
        succeeded = self._act(whole)
        ended = self._clock()
        self._schedule.done(ended, whole=whole, failed=not succeeded, took=ended - began)


class Deadline:
    """A turn that runs a round when something ends: a node's last heartbeat, or a peer's time.

    ``left`` returns the seconds until then, infinite if nothing ends.
    """

    def __init__(
        self,
        left: Callable[[], float],
        act: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._left = left
        self._act = act
        self._clock = clock
        self._rest = float("-inf")

    def changed(self, _now: float) -> None:
        """Do nothing: changes have a turn of their own."""

    def wait(self, now: float) -> float:
        """Return the seconds until the round is due."""
        return max(self._left(), self._rest - now)

    def run(self) -> None:
        """Run the round."""
        # after it, what has ended no longer counts; time may also stand still
        self._rest = self._clock() + 1.0
        self._act()


class Signals:
    """Ends a session on SIGTERM, and on SIGINT and SIGHUP unless they are ignored.

    A shell starts a background job with SIGINT ignored, and nohup(1) starts a program with SIGHUP
    ignored: kgctl respects both.

    Usually a signal waits in the inbox, and does not interrupt a step.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._interruptible = False
        self._came = False
        self.name = ""

    def came(self) -> bool:
        """Return whether a signal came."""
        return self._came

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Handle signals inside the context."""
        numbers = [
            number
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if number is signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN
        ]
        before = {number: signal.signal(number, self._take) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Let a signal interrupt the block, which must leave nothing half done.

        Raises:
            KeyboardInterrupt: a signal came, now or before.
        """
        self._interruptible = True
        try:
            if self._came:
                raise KeyboardInterrupt
            yield
        finally:
            self._interruptible = False

    def _take(self, number: int, _frame: object) -> None:
        self._came = True
        self.name = signal.Signals(number).name
        if self._interruptible:
            self._interruptible = False
            raise KeyboardInterrupt
        self._inbox.end(self.name)
