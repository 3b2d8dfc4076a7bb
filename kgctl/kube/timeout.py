"""Parses request timeouts as kubectl does, and measures what is left of one."""

from __future__ import annotations

import time

from kgctl.kube.errors import ClusterError
from kgctl.mesh.text import printable


def parse_timeout(text: str) -> float | None:
    """Return the seconds that ``text`` names; None where it names no limit.

    As ``kubectl --request-timeout`` has it: a number of seconds (``30``), or Go's notation
    (``5s``, ``1m30s``, ``1.5h``). Zero is no limit.

    Raises:
        ClusterError: it is neither, or negative.
    """
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text) or None
    from kgctl.mesh.duration import parse_duration

    seconds = parse_duration(text)
    if seconds is None:
        raise ClusterError(
            f'request timeout "{printable(text, 40)}" is no timeout: give seconds (30) or a '
            "duration (5s, 1m30s); 0 is no limit",
            field="request timeout",
            value=text,
        )
    return seconds or None


def remaining(deadline: float | None, limit: float | None = None) -> float | None:
    """Return the seconds left for a step that may take ``limit`` by itself; None is no limit.

    Raises:
        TimeoutError: there are none left.
    """
    if deadline is None:
        return limit
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left if limit is None else min(left, limit)
