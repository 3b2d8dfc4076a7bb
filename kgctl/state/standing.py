"""How a cluster that is followed stands: when it was heard, and whether the API server is away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.kube.errors import ForbiddenError
from kgctl.state.contact import Contact
from kgctl.steady import steady

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.kube.errors import ClusterError
    from kgctl.kube.informer import Informer
    from kgctl.state.informer import ClusterInformer

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
