"""Rules for a Peer object as a whole: those of Kilo, of WireGuard and of the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.mesh.endpoint import is_dns_name
from kgctl.mesh.key import PresharedKey
from kgctl.mesh.peer import InvalidPeer
from kgctl.mesh.text import printable
from kgctl.state.peer_objects import peer_of, unknown_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def peer_problems(peer: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the name of a Peer, and the reasons for which Kilo or the API server refuses it.

    The name is untrusted; the reasons are printable.
    """
    parsed = peer_of(peer)
    problems = list(parsed.problems) if isinstance(parsed, InvalidPeer) else []
    problems += _required(peer)
    problems += unknown_fields(peer)
    if parsed.name and not is_dns_name(parsed.name):
        problems.append(
            f'metadata.name "{printable(parsed.name, 60)}" is not an RFC 1123 subdomain'
        )
    return parsed.name, tuple(problems)


def _required(peer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the problems that the API server refuses, but Kilo would not."""
    spec = peer.get("spec")
    if not isinstance(spec, dict):
        yield "spec is missing" if spec is None else "spec is not a mapping"
        return
    if spec.get("allowedIPs") is None:
        yield "allowedIPs is missing"
    if not isinstance(spec.get("presharedKey", ""), str):
        yield "presharedKey is not a string: put it in quotes"


def peer_doubts(peer: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is odd about a Peer by itself, and that a parsed peer does not show."""
    spec = peer.get("spec")
    key = spec.get("presharedKey") if isinstance(spec, dict) else None
    if key and isinstance(key, str) and PresharedKey.parse(key) is None:
        yield "presharedKey is not base64 of 32 bytes, so it is ignored"
