"""The loop of a session: waits for what comes first, a change, a signal, or the period."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.connect.schedule import Schedule


class Timer(Protocol):
    """Something else that is done now and then."""

    def wait(self) -> float:
        """Return the seconds until it is due; 0 when it is, infinite where it is not."""
        ...

    def run(self) -> None:
        """Do it."""
        ...


CHANGED = "changed"
"""What is put into the inbox when there may be something to do; any other word ends the loop."""


class Inbox:
    """Takes messages from threads and from signal handlers. Many changes are one message."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()  # its put may be interrupted
        self._changed = False

    def put(self, message: str) -> None:
        """Leave a message."""
        if message == CHANGED:
            if self._changed:
                return
            self._changed = True
        self._queue.put(message)

    def get(self, timeout: float) -> str | None:
        """Return the next message, or None after ``timeout`` seconds."""
        try:
            message = self._queue.get(timeout=timeout)
        except queue.Empty:
            return None
        if message == CHANGED:
            self._changed = False
        return message


def run(
    inbox: Inbox,
    schedule: Schedule,
    act: Callable[[bool], bool],
    *,
    tick: Callable[[], None],
    every: float,
    timer: Timer | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Act whenever it is due, until a message other than ``CHANGED``; return that message.

    ``act`` gets whether the round is a whole one, and returns whether it succeeded. ``tick`` is
    called at least every so many seconds. ``timer`` is for what has its own time.
    """
    next_tick = clock()
    while True:
        now = clock()
        if now >= next_tick:
            tick()
            next_tick = now + every
        wait = min(schedule.wait(now), max(0.0, next_tick - now))
        wait = wait if timer is None else min(wait, timer.wait())
        message = inbox.get(wait) if wait > 0 else inbox.get(0)
        if message == CHANGED:
            schedule.event(clock())
        elif message is not None:
            return message
        elif schedule.wait(clock()) == 0:
            whole = schedule.whole(clock())
            succeeded = act(whole)
            schedule.done(clock(), whole=whole, failed=not succeeded)
        elif timer is not None and timer.wait() == 0:
            timer.run()
