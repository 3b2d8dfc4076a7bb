"""Spans of time as Go writes them: ``30s``, ``1m30s``, ``1.5h``."""

from __future__ import annotations

import re

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(h|ms|m|s|us|µs|ns)"


def parse_duration(text: str) -> float | None:
    """Return the seconds that ``text`` names in the notation of Go's ``time.ParseDuration``.

    None where it is not a duration, or has a sign: nothing here lasts less than no time.
    """
    if text == "0":
        return 0.0
    parts = list(re.finditer(_PART, text))
    if not parts or "".join(part.group() for part in parts) != text:
        return None
    return sum(float(part[1]) * _UNITS[part[2]] for part in parts)
