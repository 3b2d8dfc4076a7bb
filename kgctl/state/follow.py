"""The one loop that follows a cluster: wait, gather changes, look, rest, until the end."""

from __future__ import annotations

import queue
import signal
import time
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from types import FrameType

S = TypeVar("S")
Seen = TypeVar("Seen", covariant=True)

CHANGED = "changed"
"""The message that there may be something to do; any other one is why the loop ends."""

_GATHER, _MOST_GATHERED = 0.2, 5.0  # seconds in which changes are gathered after a look
_REST = 4  # times as long as the work: a large cluster's heartbeats never take a whole processor
_LONGEST_WAIT = 3600.0  # seconds; a queue refuses to wait for centuries


class Inbox:
    """Takes changes and the end from threads and signal handlers; many changes are one message."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()  # its put may be interrupted
        self._kinds: set[str] = set()
        self._changed = False

    def changed(self, kind: str) -> None:
        """Note that objects of a kind changed; for threads."""
        self._kinds.add(kind)
        if not self._changed:
            self._changed = True
            self._queue.put(CHANGED)

    def end(self, why: str) -> None:
        """End the loop; signal handlers may call this, too."""
        self._queue.put(why)

    def get(self, timeout: float) -> str | None:
        """Return the next message, or None after ``timeout`` seconds."""
        try:
            message = self._queue.get(timeout=min(timeout, _LONGEST_WAIT))
        except queue.Empty:
            return None
        if message == CHANGED:
            self._changed = False
        return message

    def kinds(self) -> Collection[str]:
        """Return the kinds of objects that changed since the last call."""
        taken: set[str] = set()
        while self._kinds:  # one by one: what a thread adds meanwhile is not lost
            taken.add(self._kinds.pop())
        return taken


class Turn(Protocol):
    """Something that is done now and then, or after changes, by the thread of the loop."""

    def changed(self, now: float) -> None:
        """Note that there was a change."""
        ...

    def wait(self, now: float) -> float:
        """Return the seconds until it is due: 0 or less when it is, infinite when it is not."""
        ...

    def run(self) -> None:
        """Do it."""
        ...


class Feed(Protocol[Seen]):
    """What is followed; see ``kgctl.state.feeds``."""

    def look(self, changed: Collection[str]) -> Seen:
        """Return what is known now; ``changed`` are the kinds that changed since the last look."""
        ...


def take_turns(
    inbox: Inbox, turns: Sequence[Turn], *, clock: Callable[[], float] = time.monotonic
) -> str:
    """Run each turn when it is due, the first ones first, until the end; return why it ended."""
    while True:
        now = clock()
        message = inbox.get(max(0.0, min(turn.wait(now) for turn in turns)))
        if message == CHANGED:
            now = clock()
            for turn in turns:
                turn.changed(now)
        elif message is not None:
            return message
        else:
            _run_first(turns, clock())


def _run_first(turns: Sequence[Turn], now: float) -> None:
    """Run the first turn that is due: another message may come before the next one."""
    for turn in turns:
        if turn.wait(now) <= 0:
            turn.run()
            return


def follow(
    feed: Feed[S],
    listener: Callable[[S], None],
    inbox: Inbox,
    *,
    pause: Callable[[float], float],
    turns: Sequence[Turn] = (),
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Call ``listener`` with what ``feed`` has after changes, and now and then, until the end.

    ``pause`` gets how many seconds the last look took, and returns how many may pass between the
    beginnings of two looks while nothing changes. After a change there is a rest, in which others
    are gathered. ``turns`` are done besides. Returns why it ended, as ``inbox.end`` was given it.
    """
    return take_turns(inbox, [*turns, _Looks(feed, listener, inbox, pause, clock)], clock=clock)


class _Looks(Generic[S]):
    """The turn of ``follow``: when to look."""

    def __init__(
        self,
        feed: Feed[S],
        listener: Callable[[S], None],
        inbox: Inbox,
        pause: Callable[[float], float],
        clock: Callable[[], float],
    ) -> None:
        self._feed = feed
        self._listener = listener
        self._inbox = inbox
        self._pause = pause
        self._clock = clock
        self._began = self._rested = clock()
        self._took = 0.0
        self._pending = False

    def changed(self, _now: float) -> None:
        self._pending = True

    def wait(self, now: float) -> float:
        due = now if self._pending else self._began + self._pause(self._took)
        return max(due, self._rested) - now

    def run(self) -> None:
        pending, self._pending = self._pending, False
        self._began = self._clock()
        self._listener(self._feed.look(self._inbox.kinds()))
        ended = self._clock()
        self._took = ended - self._began
        if pending:
            self._rested = ended + rest_after(self._took)


def end_at_signals() -> None:
    """Have SIGTERM end a command as Ctrl-C does: by a KeyboardInterrupt, whatever it waits for."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # which nothing takes for an error to live through


def rest_after(took: float) -> float:
    """Return the seconds in which changes are gathered, after work that took so many."""
    return min(max(_GATHER, _REST * took), _MOST_GATHERED)


def until_tick(took: float, tick: float = 1.0) -> float:
    """Return the seconds between two looks that show ages, if one takes so many.

    ``tick`` is the least, in seconds: what the shortest age is shown in.
    """
    return max(tick, _REST * took)


class Once:
    """Reports a problem once as long as it stays the same; for any thread."""

    def __init__(self, tell: Callable[[str], Any]) -> None:
        self._tell = tell
        self._told = ""

    def tell(self, text: str) -> None:
        """Report a problem, unless it was the last one reported."""
        if text != self._told:
            self._tell(text)
        self._told = text

    def over(self) -> None:
        """Note that the problem is over: it is reported again if it returns."""
        self._told = ""
