"""How long a request may take, as kubectl lets it be said."""

from __future__ import annotations

import re

from kgctl.cluster.errors import ClusterError
from kgctl.mesh.text import printable

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(h|ms|m|s|us|µs|ns)")


def parse_timeout(text: str) -> float | None:
    """Return the seconds that ``text`` names; None where it names no limit.

    As ``kubectl --request-timeout`` has it: a number of seconds (``30``), or Go's notation
    (``5s``, ``1m30s``, ``1.5h``). Zero is no limit.

    Raises:
        ClusterError: it is neither, or negative.
    """
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text) or None
    parts = list(_PART.finditer(text))
    if not parts or "".join(part.group() for part in parts) != text:
        raise ClusterError(
            f'"{printable(text, 40)}" is no timeout: give seconds (30) or a duration (5s, 1m30s); '
            "0 is no limit"
        )
    return sum(float(part[1]) * _UNITS[part[2]] for part in parts) or None
