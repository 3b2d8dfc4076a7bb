"""How long a request may take, as kubectl lets it be said."""

from __future__ import annotations

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
