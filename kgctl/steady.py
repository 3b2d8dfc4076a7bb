"""A clock that nobody sets."""

from __future__ import annotations

import time

_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def steady() -> float:
    """Return the seconds of a clock that nobody sets, and that goes on while the machine sleeps.

    A laptop that wakes up has not heard the server for hours. Linux' monotonic clock, which is
    Python's as well, stands still meanwhile; those of other systems do not.
    """
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)
