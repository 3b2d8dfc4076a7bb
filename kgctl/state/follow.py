"""The one loop that follows a cluster: wait, gather changes, look, rest, until the end.

How a cluster that is followed stands: when it was heard, and whether the API server is away.

Which moment heartbeats are judged at, when the API server is away for a while.

A node whose heartbeat is 60 s old takes no part. But while nobody can tell us of heartbeats, an
old one says nothing, and the tunnel has to go on; and when the API server is back, the nodes need
a while until they have written the next one.
"""

from __future__ import annotations

import queue
import signal
import time
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from kgctl.errors import ForbiddenError
from kgctl.mesh.node import READY_SECONDS
from kgctl.steady import steady

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from types import FrameType

    from kgctl.errors import ClusterError
    from kgctl.kube.informer import Informer
    from kgctl.state.feeds import ClusterInformer


S = TypeVar("S")
Seen = TypeVar("Seen", covariant=True)

CHANGED = "changed"
"""The message that there may be something to do; any other one is why the loop ends."""

_GATHER, _MOST_GATHERED = 0.2, 5.0  # seconds in which changes are gathered after a look
_REST = 4  # times as long as the work: a large cluster's heartbeats never take a whole processor
_LONGEST_WAIT = 3600.0  # seconds; a queue refuses to wait for centuries


class Inbox:
    """Takes changes and the end from threads and signal handlers; many changes are one message."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()  # its put may be interrupted
        self._kinds: set[str] = set()
        self._changed = False

    def changed(self, kind: str) -> None:
        """Note that objects of a kind changed; for threads."""
        self._kinds.add(kind)
        if not self._changed:
            self._changed = True
            self._queue.put(CHANGED)

    def end(self, why: str) -> None:
        """End the loop; signal handlers may call this, too."""
        self._queue.put(why)

    def get(self, timeout: float) -> str | None:
        """Return the next message, or None after ``timeout`` seconds."""
        try:
            message = self._queue.get(timeout=min(timeout, _LONGEST_WAIT))
        except queue.Empty:
            return None
        if message == CHANGED:
            self._changed = False
        return message

    def kinds(self) -> Collection[str]:
        """Return the kinds of objects that changed since the last call."""
        taken: set[str] = set()
        while self._kinds:  # one by one: what a thread adds meanwhile is not lost
            taken.add(self._kinds.pop())
        return taken


class Turn(Protocol):
    """Something that is done now and then, or after changes, by the thread of the loop."""

    def changed(self, now: float) -> None:
        """Note that there was a change."""
        ...

    def wait(self, now: float) -> float:
        """Return the seconds until it is due: 0 or less when it is, infinite when it is not."""
        ...

    def run(self) -> None:
        """Do it."""
        ...


class Feed(Protocol[Seen]):
    """What is followed; see ``kgctl.state.feeds``."""

    def look(self, changed: Collection[str]) -> Seen:
        """Return what is known now; ``changed`` are the kinds that changed since the last look."""
        ...


def take_turns(
    inbox: Inbox, turns: Sequence[Turn], *, clock: Callable[[], float] = time.monotonic
) -> str:
    """Run each turn when it is due, the first ones first, until the end; return why it ended."""
    while True:
        now = clock()
        message = inbox.get(max(0.0, min(turn.wait(now) for turn in turns)))
        if message == CHANGED:
            now = clock()
            for turn in turns:
                turn.changed(now)
        elif message is not None:
            return message
        else:
            _run_first(turns, clock())


def _run_first(turns: Sequence[Turn], now: float) -> None:
    """Run the first turn that is due: another message may come before the next one."""
    for turn in turns:
        if turn.wait(now) <= 0:
            turn.run()
            return


def follow(
    feed: Feed[S],
    listener: Callable[[S], None],
    inbox: Inbox,
    *,
    pause: Callable[[float], float],
    turns: Sequence[Turn] = (),
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Call ``listener`` with what ``feed`` has after changes, and now and then, until the end.

    ``pause`` gets how many seconds the last look took, and returns how many may pass between the
    beginnings of two looks while nothing changes. After a change there is a rest, in which others
    are gathered. ``turns`` are done besides. Returns why it ended, as ``inbox.end`` was given it.
    """
    return take_turns(inbox, [*turns, _Looks(feed, listener, inbox, pause, clock)], clock=clock)


class _Looks(Generic[S]):
    """The turn of ``follow``: when to look."""

    def __init__(
        self,
        feed: Feed[S],
        listener: Callable[[S], None],
        inbox: Inbox,
        pause: Callable[[float], float],
        clock: Callable[[], float],
    ) -> None:
        self._feed = feed
        self._listener = listener
        self._inbox = inbox
        self._pause = pause
        self._clock = clock
        self._began = self._rested = clock()
        self._took = 0.0
        self._pending = False

    def changed(self, _now: float) -> None:
        self._pending = True

    def wait(self, now: float) -> float:
        due = now if self._pending else self._began + self._pause(self._took)
        return max(due, self._rested) - now

    def run(self) -> None:
        pending, self._pending = self._pending, False
        self._began = self._clock()
        self._listener(self._feed.look(self._inbox.kinds()))
        ended = self._clock()
        self._took = ended - self._began
        if pending:
            self._rested = ended + rest_after(self._took)


def end_at_signals() -> None:
    """Have SIGTERM end a command as Ctrl-C does: by a KeyboardInterrupt, whatever it waits for."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # which nothing takes for an error to live through


def rest_after(took: float) -> float:
    """Return the seconds in which changes are gathered, after work that took so many."""
    return min(max(_GATHER, _REST * took), _MOST_GATHERED)


def until_tick(took: float, tick: float = 1.0) -> float:
    """Return the seconds between two looks that show ages, if one takes so many.

    ``tick`` is the least, in seconds: what the shortest age is shown in.
    """
    return max(tick, _REST * took)


class Once:
    """Reports a problem once as long as it stays the same; for any thread."""

    def __init__(self, tell: Callable[[str], Any]) -> None:
        self._tell = tell
        self._told = ""

    def tell(self, text: str) -> None:
        """Report a problem, unless it was the last one reported."""
        if text != self._told:
            self._tell(text)
        self._told = text

    def over(self) -> None:
        """Note that the problem is over: it is reported again if it returns."""
        self._told = ""


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
