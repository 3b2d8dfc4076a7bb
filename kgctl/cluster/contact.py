"""Which moment heartbeats are judged at, when the API server is away for a while.

A node whose heartbeat is 60 s old takes no part. But while nobody can tell us of heartbeats, an
old one says nothing, and the tunnel has to go on; and when the API server is back, the nodes need
a while until they have written the next one.
"""

from __future__ import annotations

from kgctl.mesh.node import READY_SECONDS

QUIET = 15.0
"""Seconds without a word after which time stands still. Kilo's agents write a heartbeat every 30
seconds: with it, the last word of a healthy node is never judged to be 60 s old."""

OUTAGE = 45.0
"""Seconds without a word that count as an outage: more than between two heartbeats."""

GRACE = READY_SECONDS + 30.0
"""Seconds after an outage in which nodes may write a heartbeat again."""


class Contact:
    """When the API server was heard, and what time it is for heartbeats. Times are Unix seconds."""

    def __init__(self) -> None:
        self._heard: float | None = None
        self._frozen = 0.0
        self._until = 0.0

    def heard(self, at: float, *, away: bool = True) -> None:
        """Take note that the API server spoke at ``at``.

        A long silence before it was an outage, unless it is known that the server was not ``away``:
        where nothing happens in a cluster, it has nothing to say.
        """
        if self._heard is None:
            self._heard = at
            return
        if away and at - self._heard > OUTAGE:
            self._frozen = self.judged(at)
            self._until = at + GRACE
        self._heard = max(self._heard, at)

    def judged(self, now: float) -> float:
        """Return the moment at which heartbeats are to be judged at ``now``."""
        if now < self._until:
            return self._frozen
        return now if self._heard is None else min(now, self._heard + QUIET)
