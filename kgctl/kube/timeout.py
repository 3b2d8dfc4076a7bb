"""Request timeouts as in kubectl, and the comparison of this machine's clock with the server's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import ClusterError
from kgctl.mesh.text import parse_duration, printable

if TYPE_CHECKING:
    from collections.abc import Sequence


def parse_timeout(text: str) -> float | None:
    """Parse a timeout, and return its seconds; None for no limit.

    As in ``kubectl --request-timeout``, it is a number of seconds (``30``), or in Go's notation
    (``5s``, ``1m30s``, ``1.5h``). Zero is no limit.

    Raises:
        ClusterError: it is neither, or negative.
    """
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text) or None

    seconds = parse_duration(text)
    if seconds is None:
        raise ClusterError(
            f'request timeout "{printable(text, 40)}" is not a timeout: give seconds (30) or a '
            "duration (5s, 1m30s); 0 is no limit",
            field="request timeout",
            value=text,
        )
    return seconds or None


def remaining(deadline: float | None, limit: float | None = None) -> float | None:
    """Return the seconds left for a step that may take at most ``limit``; None is no limit.

    Raises:
        TimeoutError: no time is left.
    """
    if deadline is None:
        return limit
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("it took too long")
    return left if limit is None else min(left, limit)


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class _Heard(NamedTuple):
    date: str
    asked: float
    answered: float


class ServerClock:
    """Compares this machine's clock with a server's, by the ``Date`` of its answers.

    All times are in Unix seconds, by this machine's clock.
    """

    def __init__(self) -> None:
        self._asked: float | None = None
        self._heard: _Heard | None = None

    def asked(self, at: float) -> None:
        """Record that a request was sent at ``at``, whose answer is read later."""
        if self._asked is None:
            self._asked = at

    def answered(self, date: str, asked: float, at: float) -> None:
        """Record the ``date`` of an answer received at ``at``, to a request sent at ``asked``."""
        if date:
            self._heard = _Heard(date, asked if self._asked is None else self._asked, at)
        self._asked = None

    def ahead(self) -> float | None:
        """Return the least seconds that this machine's clock is ahead; negative if it is behind.

        It is 0 if the clocks may agree: the server wrote its time at some moment between the
        request and the answer, in whole seconds. None if no answer has a date.
        """
        server = None if self._heard is None else http_date(self._heard.date)
        if self._heard is None or server is None:
            return None
        if self._heard.asked > server + 1:
            return self._heard.asked - (server + 1)
        return min(0.0, self._heard.answered - server)


def http_date(text: str) -> float | None:
    """Return the Unix seconds of a ``Date`` header (RFC 9110, 5.6.7); None if it is not one.

    Only the form that senders must use is parsed: ``Sun, 06 Nov 1994 08:49:37 GMT``.
    """
    fields = text.split(" ")
    if len(fields) != 6 or fields[5] != "GMT" or fields[2] not in _MONTHS:
        return None
    day, year, clock = fields[1], fields[3], fields[4].split(":")
    if not _digits([day, *clock], 2) or not _digits([year], 4) or len(clock) != 3:
        return None
    from datetime import UTC, datetime

    hour, minute, second = map(int, clock)
    month = _MONTHS.index(fields[2]) + 1
    try:
        moment = datetime(int(year), month, int(day), hour, minute, min(second, 59), tzinfo=UTC)
        return moment.timestamp()
    except ValueError:
        return None


def _digits(texts: Sequence[str], count: int) -> bool:
    return all(len(one) == count and one.isascii() and one.isdigit() for one in texts)
