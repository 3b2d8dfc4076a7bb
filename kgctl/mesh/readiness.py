"""Reasons why a node or a peer is not ready, and the time at which heartbeats are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from kgctl.mesh.node import READY_SECONDS, Node
from kgctl.mesh.text import printable, time_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kgctl.mesh.peer import Peer

CLOCK_TOLERANCE = 10.0
"""Tolerated seconds between two clocks: a node is not ready 60 s after its last heartbeat."""

_SHOWN = 60  # characters of a value that does not parse
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def age(seconds: float) -> str:
    """Format a duration as kubectl does: ``42s``, ``5m``, ``3h``, ``12d``; ``0s`` if negative."""
    whole = max(0, int(seconds))
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 2 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    return f"{whole // _DAY}d"


def why_not_ready(node: Node, now: float, *, present: float | None = None) -> tuple[str, ...]:
    """Return the reasons why the node is not ready at ``now``; empty if it is.

    Ages are relative to ``present``, if given. Both times are in Unix seconds.
    """
    reasons = []
    if node.endpoint is None:
        reasons.append(_missing(node, "endpoint", "force-endpoint", "endpoint"))
    if node.key is None:
        reasons.append(_missing(node, "key", "key"))
    if node.subnet is None:
        reasons.append(_missing(node, "pod CIDR", "podCIDR"))
    if now - node.last_seen >= READY_SECONDS:
        reasons.append(_heartbeat(node, now if present is None else present))
    return tuple(reasons)


def why_peer_not_ready(peer: Peer, now: float) -> tuple[str, ...]:
    """Return the reasons why a valid peer is not ready at ``now`` (Unix s); empty if it is."""
    reasons = []
    if peer.is_expired(now):
        reasons.append(f"expired {time_text(peer.settings.expires or 0)}")
    if not peer.allowed_ips:
        reasons.append("no allowed IPs")
    if peer.public_key is None:
        reasons.append("public key is all zero")
    return tuple(reasons)


def _missing(node: Node, what: str, *fields: str) -> str:
    for name in fields:
        text = node.unreadable.get(name)
        if text is not None:
            return f'bad {what} "{printable(text, _SHOWN)}"'
    return f"no {what}"


def _heartbeat(node: Node, now: float) -> str:
    if "last-seen" in node.unreadable:
        return f'bad heartbeat "{printable(node.unreadable["last-seen"], _SHOWN)}"'
    if node.last_seen == 0:
        return "no heartbeat"
    return f"heartbeat {age(now - node.last_seen)} old"


def clock_trouble(ahead: float | None) -> str:
    """Return in words how far this machine's clock is off; empty if within the tolerance.

    ``ahead`` is how many seconds it is ahead of the API server's clock, negative if behind; None
    if unknown.
    """
    if ahead is None or abs(ahead) < CLOCK_TOLERANCE:
        return ""
    way = "ahead of" if ahead > 0 else "behind"
    return f"this machine's clock is {age(abs(ahead))} {way} the API server's"


def newest_heartbeat(heartbeats: Iterable[float], now: float) -> float:
    """Return the newest heartbeat, which is the time to judge a snapshot at; 0 if there is none.

    All times are in Unix seconds. Heartbeats later than ``now`` are ignored: a node can write any
    number, which would make all others look stale. If most heartbeats are later, the snapshot and
    ``now`` are from different clocks, and all count.
    """
    found = list(heartbeats)
    past = [one for one in found if one <= now]
    return max(past if 2 * len(past) >= len(found) else found, default=0)


def moment(at: float | Literal["newest"] | None, heartbeats: Iterable[float], now: float) -> float:
    """Return the time at which to judge heartbeats, in Unix seconds.

    ``at`` is that time, ``"newest"`` for the newest heartbeat, or None for ``now``.
    """
    if at == "newest":
        return newest_heartbeat(heartbeats, now)
    return now if at is None else at
