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
    """When the API server was heard, and what time it is for heartbeats.

    Moments at which heartbeats are judged are Unix seconds, as heartbeats are. How long the server
    was silent is measured by the ``steady`` clock, in seconds: the machine's own may be put right
    meanwhile, and a silence would seem to be over.
    """

    def __init__(self) -> None:
        self._heard: tuple[float, float] | None = None
        self._frozen = 0.0
        self._until = float("-inf")

    def heard(self, at: float, steady: float, *, away: bool = True) -> None:
        """Take note that the API server spoke at ``at``, which is ``steady`` on the steady clock.

        A long silence before it was an outage, unless it is known that the server was not ``away``:
        where nothing happens in a cluster, it has nothing to say.
        """
        if self._heard is not None:
            silence = steady - self._heard[1]
            if silence < 0:
                return
            if away and silence > OUTAGE:
                self._frozen = self.judged(at, steady)
                self._until = steady + GRACE
        self._heard = at, steady

    def silence(self, steady: float) -> float:
        """Return the seconds since the server was heard; 0 before it was heard once."""
        return 0.0 if self._heard is None else max(0.0, steady - self._heard[1])

    def judged(self, now: float, steady: float) -> float:
        """Return the moment at which heartbeats are to be judged now, which is ``steady``.

        Once the server was heard, the clock counts as it was then, and time goes on by the steady
        one: what somebody does to the clock meanwhile makes no heartbeat older.
        """
        if steady < self._until:
            return self._frozen
        if self._heard is None:
            return now
        return self._heard[0] + min(self.silence(steady), QUIET)
