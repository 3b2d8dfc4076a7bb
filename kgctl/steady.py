"""A monotonic clock that includes the time that the machine sleeps."""

from __future__ import annotations

import time

_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def steady() -> float:
    """Return the seconds of a monotonic clock that includes sleep.

    After a laptop wakes up, its last contact with the server is hours old. Linux's monotonic clock,
    which Python uses, stops during sleep; those of other systems do not.
    """
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)
