"""Choice of the endpoint at which a peer is dialled.

The peer's own annotation is followed at once, since the peer may have moved; if nothing arrives
from there, the previous endpoint is used again. Sightings by nodes never move a live session:
without a session, the endpoints are tried in turn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kgctl.mesh.dialability import is_dialable_from_elsewhere
from kgctl.wireguard.device import SESSION_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.sightings import Sightings
    from kgctl.wireguard.device import DevicePeer, DeviceState

TURN = 10.0
"""Minimum seconds to try an endpoint: two of WireGuard's attempts, 5 seconds apart."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """An endpoint that was chosen at ``since``, when the peer's annotation was ``annotated``.

    ``received`` and ``sent`` are the peer's byte counters at that time. ``proven`` means that more
    bytes arrived since. ``tried`` are the endpoints that failed before; ``reached`` is where the
    peer was before its annotation changed.
    """

    endpoint: Endpoint
    annotated: Endpoint | None
    since: float
    received: int = 0
    sent: int = 0
    proven: bool = False
    tried: tuple[Endpoint, ...] = ()
    reached: Endpoint | None = None

    def at(self, peer: DevicePeer | None, now: float) -> _Choice:
        """Return this choice as made at ``now``."""
        counts = (0, 0) if peer is None else (peer.received, peer.sent)
        return replace(self, since=now, received=counts[0], sent=counts[1], proven=False)


class Dialler:
    """Chooses endpoints. Times are seconds of a monotonic clock.

    ``given`` are the endpoints that an earlier kgctl set on the device.
    """

    def __init__(self, given: Mapping[PublicKey, Endpoint] | None = None) -> None:
        self._given = dict(given or {})
        self._choices: dict[PublicKey, _Choice] = {}
        self._settled: dict[PublicKey, tuple[_Choice, Sightings]] = {}
        self._present: Mapping[PublicKey, DevicePeer] = {}
        self._unix = 0.0
        self.is_settled = False
        """Whether ``choose`` would choose the same again for the same sightings."""

    def look(
        self, state: DeviceState, known: Mapping[PublicKey, Sightings], now: float, unix: float
    ) -> None:
        """Record the device's sessions at ``now``, which is ``unix`` in Unix seconds.

        A peer without a session moves to its next endpoint when the current one had its turn.
        """
        self._present, self._unix, self.is_settled = state.peers, unix, False
        for key, choice in self._choices.items():
            peer = state.peers.get(key)
            if peer is not None:
                self._choices[key] = self._looked_at(choice, peer, known.get(key), now)

    def choose(self, known: Mapping[PublicKey, Sightings], now: float) -> dict[PublicKey, Endpoint]:
        """Return the endpoint to dial for each peer that has one; its host may be a name."""
        before, settled = self._choices, self._settled
        self._choices, self._settled, self.is_settled = {}, {}, True
        for key, seen in known.items():
            choice, last = before.get(key), settled.get(key)
            if last is None or last[0] is not choice or last[1] is not seen:
                chosen = self._chosen(key, choice, seen, now)
                if chosen is None:
                    continue
                # a choice that stays as it is, stays so until it or the sightings change
                last = (chosen, seen) if chosen is choice else None
                choice = chosen
                if last is None:
                    self.is_settled = False
            if last is not None:
                self._settled[key] = last
            if choice is not None:
                self._choices[key] = choice
        return {key: choice.endpoint for key, choice in self._choices.items()}

    def _looked_at(
        self, choice: _Choice, peer: DevicePeer, seen: Sightings | None, now: float
    ) -> _Choice:
        before = choice.received if peer.received >= choice.received else 0  # the counter was reset
        if self._lives(peer) and (choice.proven or peer.received > before):
            return replace(choice, proven=True, tried=(), reached=None)
        if choice.proven:
            return choice.at(peer, now)  # an endpoint that worked gets another turn
        if seen is None or now - choice.since < TURN or peer.sent <= choice.sent:
            return choice
        return _next(choice, seen).at(peer, now)

    def _chosen(
        self, key: PublicKey, choice: _Choice | None, seen: Sightings, now: float
    ) -> _Choice | None:
        peer = self._present.get(key)
        candidates = seen.candidates()
        if choice is None:
            return self._first(key, seen, candidates, now)
        if choice.annotated != seen.annotated:
            choice = _said_otherwise(choice, seen.annotated, peer, now)
        if choice.proven or _is_kept(choice, candidates):
            return choice
        if not candidates:
            return None
        tried = (*choice.tried, choice.endpoint)
        best = next((one for one in candidates if one not in tried), candidates[0])
        if best == choice.endpoint:
            return choice
        return replace(choice, endpoint=best, tried=tried).at(peer, now)

    def _first(
        self, key: PublicKey, seen: Sightings, candidates: tuple[Endpoint, ...], now: float
    ) -> _Choice | None:
        given, peer = self._given.pop(key, None), self._present.get(key)
        if given is not None and peer is not None and self._lives(peer):
            return replace(_Choice(given, seen.annotated, now).at(peer, now), proven=True)
        return _Choice(candidates[0], seen.annotated, now).at(peer, now) if candidates else None

    def _lives(self, peer: DevicePeer) -> bool:
        return self._unix - peer.last_handshake <= SESSION_SECONDS


def _said_otherwise(
    choice: _Choice, annotated: Endpoint | None, peer: DevicePeer | None, now: float
) -> _Choice:
    """Return the choice after the peer's annotation changed.

    The new annotation is followed if other hosts can dial it, or if the old one was in use.
    """
    followed = annotated is not None and (
        is_dialable_from_elsewhere(annotated) or choice.endpoint == choice.annotated
    )
    if not followed or annotated is None:
        return replace(choice, annotated=annotated)
    reached = (peer and peer.endpoint) or choice.endpoint if choice.proven else choice.reached
    moved = replace(choice, endpoint=annotated, annotated=annotated, tried=(), reached=reached)
    return moved.at(peer, now)


def _is_kept(choice: _Choice, candidates: tuple[Endpoint, ...]) -> bool:
    """Return whether an unproven choice stays valid with these candidates.

    An annotated endpoint that no other host can dial yields to the sightings.
    """
    if choice.endpoint not in (*candidates, choice.reached):
        return False
    own = choice.endpoint == choice.annotated and not is_dialable_from_elsewhere(choice.annotated)
    return not own or all(one in (*choice.tried, choice.endpoint) for one in candidates)


def _next(choice: _Choice, seen: Sightings) -> _Choice:
    """Return the choice that follows one that failed."""
    own, *others = seen.candidates() or (choice.endpoint,)
    reached = [] if choice.reached is None else [choice.reached]
    order = list(dict.fromkeys([own, *reached, *others]))
    tried = (*choice.tried, choice.endpoint)
    left = [one for one in order if one not in tried]
    if not left:
        return replace(choice, endpoint=order[0], tried=())
    return replace(choice, endpoint=left[0], tried=tried)
