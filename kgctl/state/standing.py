"""How a cluster that is followed stands: when it was heard, and whether the API server is away.

Which moment heartbeats are judged at, when the API server is away for a while.

A node whose heartbeat is 60 s old takes no part. But while nobody can tell us of heartbeats, an
old one says nothing, and the tunnel has to go on; and when the API server is back, the nodes need
a while until they have written the next one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.errors import ForbiddenError
from kgctl.mesh.node import READY_SECONDS
from kgctl.steady import steady

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.errors import ClusterError
    from kgctl.kube.informer import Informer
    from kgctl.state.feeds import ClusterInformer


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


LASTS = 60
"""Seconds of a watch: its end is a word of the server's, even where nothing happens."""

SILENCE = LASTS + 15.0
"""Seconds after which a server that says nothing, not even the end of a watch, is away."""


class Standing(NamedTuple):
    """A followed cluster at a moment. All times are in Unix seconds.

    Heartbeats are ``judged`` as of a moment at which the server may still be trusted to have told
    all; their ages are those of the clock. ``trouble`` says what is wrong, or is empty.
    """

    judged: float
    heard: float
    trouble: str


class Hearing:
    """Finds out how a cluster stands that was read at ``first`` and is followed by informers.

    ``poll`` is the number of seconds between lists where watching is not allowed. ``worded`` puts
    an error into words.
    """

    def __init__(
        self,
        first: float,
        poll: float,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = steady,
        worded: Callable[[object], str] = str,
    ) -> None:
        self._worded = worded
        self._first = first, steady()
        self._poll = poll
        self._clock = clock
        self._steady = steady
        self._polled: set[str] = set()
        self._contact = Contact()
        self._contact.heard(*self._first)
        self._failures: dict[str, tuple[float, str]] = {}
        self._away = False

    def failed(self, kind: str, error: ClusterError) -> None:
        """Take note that objects of a kind cannot be followed; called from an informer's thread.

        Who may not watch reads again and again: that is no trouble.
        """
        if isinstance(error, ForbiddenError):
            self._polled.add(kind)
        else:
            self._failures[kind] = self._steady(), self._worded(error)

    def standing(self, informers: ClusterInformer) -> Standing:
        """Return how the cluster stands now."""
        now, trouble = self._steady(), ""
        heard = oldest = self._word(informers.nodes)
        for kind, informer in (("nodes", informers.nodes), ("peers", informers.peers)):
            word = self._word(informer)
            why = self._trouble(kind, word[1], now)
            if why:
                trouble, oldest = trouble or why, min(oldest, word, key=lambda one: one[1])
        self._contact.heard(*heard, away=self._away)
        self._away = bool(trouble)
        return Standing(self._contact.judged(self._clock(), now), oldest[0], trouble)

    def _word(self, informer: Informer[Any]) -> tuple[float, float]:
        """Return when the server last said anything of a kind, in Unix and in steady seconds."""
        return max(self._first, (informer.heard, informer.heard_steady), key=lambda one: one[1])

    def _trouble(self, kind: str, heard: float, now: float) -> str:
        failed, error = self._failures.get(kind, (0.0, ""))
        if failed > heard:
            return error
        longest = SILENCE + (self._poll if kind in self._polled else 0.0)
        return "the API server does not answer" if now - heard > longest else ""
