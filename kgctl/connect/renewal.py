"""Renewal of sessions that nodes dropped, before WireGuard notices.

WireGuard gives up a session after 15 seconds without an answer. When a change makes a node's agent
rewrite its device, kgctl renews the session with the node one second later, unless packets still
arrive from it. An agent may take longer, so kgctl watches the node for a while and also renews the
session if it sends packets and nothing comes back.
"""

from __future__ import annotations

import math
import time
from random import SystemRandom
from typing import TYPE_CHECKING, NamedTuple

from kgctl.connect.network import rewritten
from kgctl.errors import KgctlError
from kgctl.mesh.text import some
from kgctl.wireguard.device import SESSION_SECONDS, PeerChange

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from kgctl.connect.journal import Journal
    from kgctl.connect.network import Wanted
    from kgctl.connect.synchroniser import Synchroniser
    from kgctl.host.tunnel import Tunnel
    from kgctl.mesh.key import PublicKey
    from kgctl.wireguard.device import DevicePeer, DeviceState


DELAY = 1.0
"""Seconds after a change: in small networks Kilo's agents write their devices within 0.1."""

PATIENCE = 2.0
"""Maximum seconds by which successive changes delay a renewal."""

SAMPLING = 0.4
"""Seconds of the delay in which a received packet proves that the node still has the session."""

LATE = 35.0
"""Seconds in which an agent may still write: it resynchronises every 30."""

EVERY = 2.0
"""Seconds between two looks at the byte counters meanwhile."""

REST = 50.0
"""A look waits this many times as long as the last one took: a device has no way to return some of
its peers, and one with 5,000 takes kgctl and WireGuard a tenth of a second to read."""

SELDOM = 5.0
"""Maximum seconds between two looks for that reason. WireGuard itself notices a dropped session
after 15."""

IDLE = 10.0
"""Seconds between two looks while no watched peer has a session. One that begins right after a look
and is dropped at once is renewed two looks later, which is still before WireGuard notices."""

INTERVAL = 5.0
"""Seconds between two renewals of one session: WireGuard's REKEY_TIMEOUT, within which it does
not repeat a handshake either (the WireGuard paper, section 6.1)."""

RATE = 500
"""Peers per second that may renew their session with one node, for the same change."""

LONGEST_SPREAD = 5.0
"""Maximum seconds over which these renewals are spread."""

_IDLE, _CHANGED, _SAMPLED, _LATE = "idle", "changed", "sampled", "late"
_KEEPALIVE_BYTES = 32  # size of a keepalive, which gets no answer


class _Sample(NamedTuple):
    """The byte counters of a peer."""

    received: int
    sent: int


class Renewals:
    """Decides when to renew which sessions. Times are seconds of a monotonic clock.

    ``random_part`` returns a random number from 0 to 1, which differs between hosts.
    """

    def __init__(self, random_part: Callable[[], float] | None = None) -> None:
        self._random_part = random_part or SystemRandom().random
        self._phase = _IDLE
        self._due = math.inf
        self._first_change = 0.0
        self._waiting: float | None = None
        self._spread = 0.0
        self._until = 0.0
        self._watched: dict[PublicKey, _Sample | None] = {}
        self._renewed: dict[PublicKey, float] = {}

    def rewritten(self, keys: Collection[PublicKey], now: float, *, hosts: int) -> None:
        """Record that agents rewrite the devices of the nodes with these ``keys``.

        ``hosts`` is the number of hosts that see the change at the same time.
        """
        if not keys:
            return
        self._until = now + LATE
        self._watched = dict.fromkeys(keys) | self._watched
        self._spread = min(hosts / RATE, LONGEST_SPREAD) * self._random_part()
        if self._phase is _SAMPLED:  # sampling continues: successive changes do not delay it
            self._waiting = now
            return
        if self._phase is not _CHANGED:
            self._phase, self._first_change = _CHANGED, now
        self._due = self._after(now)

    def _after(self, change: float) -> float:
        """Return the time of the first look after a change."""
        return min(change, self._first_change + PATIENCE) + DELAY - SAMPLING + self._spread

    def wait(self, now: float) -> float:
        """Return the seconds until the next look at the device; infinite if none is due."""
        return max(0.0, self._due - now)

    def look(
        self, state: DeviceState, now: float, seconds: float, *, took: float = 0.0
    ) -> tuple[PeerChange, ...]:
        """Return the peers to renew at ``now``, which is ``seconds`` in Unix time.

        ``took`` are the seconds for which the device was read.
        """
        if self._phase is _CHANGED:
            self._phase, self._due = _SAMPLED, now + SAMPLING
            self._sample(state)
            return ()
        found = tuple(self._dead(state, now, seconds))
        self._renewed |= {one.public_key: now for one in found}
        idle = not any(_has_session(state.peers.get(key), seconds) for key in self._watched)
        pause = IDLE if idle else min(max(EVERY, REST * took), SELDOM)
        self._phase, self._due = _LATE, now + pause
        self._sample(state)
        if now >= self._until or not self._watched:
            self.stop()
        elif self._waiting is not None:
            self._phase, self._first_change = _CHANGED, self._waiting
            self._due, self._waiting = self._after(self._waiting), None
        return found

    def stop(self) -> None:
        """Stop looking until the next change."""
        self._phase, self._due, self._waiting = _IDLE, math.inf, None
        self._watched.clear()
        self._renewed.clear()

    def _sample(self, state: DeviceState) -> None:
        self._watched = {
            key: _Sample(peer.received, peer.sent)
            for key in self._watched
            if (peer := state.peers.get(key)) is not None
        }

    def _dead(self, state: DeviceState, now: float, seconds: float) -> Iterator[PeerChange]:
        for key, before in self._watched.items():
            peer = state.peers.get(key)
            if peer is None or before is None or not _has_session(peer, seconds):
                continue
            if now - self._renewed.get(key, -math.inf) < INTERVAL:
                continue
            if peer.received == before.received and (
                self._phase is _SAMPLED or peer.sent - before.sent > _KEEPALIVE_BYTES
            ):
                yield _begun_anew(peer)


def _has_session(peer: DevicePeer | None, seconds: float) -> bool:
    return peer is not None and seconds - peer.last_handshake <= SESSION_SECONDS


def _begun_anew(peer: DevicePeer) -> PeerChange:
    """Return a change that sets the peer up again at its last endpoint, without a session."""
    return PeerChange(
        public_key=peer.public_key,
        new=True,
        endpoint=peer.endpoint,
        persistent_keepalive=peer.persistent_keepalive,
        preshared_key=peer.preshared_key,
        add_allowed_ips=tuple(sorted(peer.allowed_ips, key=str)),
    )


_NAMED = 5  # nodes in one line of the log


class SessionKeeper:
    """Renews sessions that nodes dropped: a turn of the loop of ``kgctl.state.follow``."""

    def __init__(self, tunnel: Tunnel, synchroniser: Synchroniser, journal: Journal) -> None:
        self._tunnel = tunnel
        self._synchroniser = synchroniser
        self._journal = journal
        self._renewals = Renewals()
        self._names: Mapping[PublicKey, str] = {}

    def network_changed(self, before: Wanted, after: Wanted) -> None:
        """Record a change of the network."""
        self._names = after.names
        keys = rewritten(before.devices, after.devices)
        self._renewals.rewritten(keys, time.monotonic(), hosts=len(after.devices.peers))

    def changed(self, _now: float) -> None:
        """Ignore an event: the round that follows reports what changed."""

    def wait(self, _now: float) -> float:
        """Return the seconds until the next look; infinite if none is due."""
        return self._renewals.wait(time.monotonic())

    def run(self) -> None:
        """Look at the device, and renew dead sessions. A failure is only logged."""
        try:
            self._look()
        except KgctlError as error:  # the next round reports it if it lasts
            self._journal.debug("failed to restart sessions", err=error)

    def _look(self) -> None:
        device, began = self._tunnel.device, time.monotonic()
        try:
            state = device.read()
        except KgctlError:
            self._renewals.stop()
            raise
        now = time.monotonic()
        peers = self._renewals.look(state, now, time.time(), took=now - began)
        if peers:
            self._synchroniser.renew(device, state, peers)
            named = [self._names.get(one.public_key, str(one.public_key)) for one in peers]
            self._journal.info("restarted sessions", peers=some(named, _NAMED))
