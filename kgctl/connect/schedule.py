"""When the next round is due: after each period, and soon after a change."""

from __future__ import annotations

QUIET = 0.1
"""Seconds without another event after which a change is applied."""

PATIENCE = 0.5
"""Seconds after which a change is applied while events keep coming."""

FIRST_RETRY = 1.0
"""Seconds until a round that failed is tried again; doubled each time, up to the period."""


class Schedule:
    """Tells when to act. Times are seconds of any clock that never goes back."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._next: float | None = None
        self._first_event: float | None = None
        self._last_event = 0.0
        self._failures = 0

    def event(self, now: float) -> None:
        """Take note of a change."""
        if self._first_event is None:
            self._first_event = now
        self._last_event = now

    def wait(self, now: float) -> float:
        """Return the seconds until the next round; 0 when it is due."""
        due = now if self._next is None else self._next
        if self._first_event is not None:
            due = min(due, self._last_event + QUIET, self._first_event + PATIENCE)
        return max(0.0, due - now)

    def whole(self, now: float) -> bool:
        """Tell whether the round that is due is one of the period's, which checks everything."""
        return self._next is None or now >= self._next

    def done(self, now: float, *, whole: bool, failed: bool = False) -> None:
        """Take note that a round has ended."""
        self._first_event = None
        self._failures = self._failures + 1 if failed else 0
        if failed:
            retry = now + min(self._period, FIRST_RETRY * 2.0 ** min(self._failures - 1, 16))
            # the rounds of events must not put off for ever the one that mends
            self._next = retry if whole or self._next is None else min(self._next, retry)
        elif whole or self._next is None:
            self._next = now + self._period
