"""The loop that follows a cluster, and the state of the cluster during an outage of its API server.

The loop waits, gathers changes, looks and rests, until it is ended.

A node whose heartbeat is 60 s old takes no part in the network. But without the API server kgctl
gets no heartbeats, so an old one proves nothing, and the tunnel must go on. When the server is
back, the nodes need a while to write their next heartbeat. So heartbeats are judged as of a moment
that stands still meanwhile.
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
"""The message that something changed; any other message is the reason to end the loop."""

_GATHER, _MOST_GATHERED = 0.2, 5.0  # seconds in which changes are gathered after a look
_REST = 4  # times as long as the work, so that heartbeats of a large cluster never fill a core
_LONGEST_WAIT = 3600.0  # seconds; a queue rejects too large timeouts


class Inbox:
    """Receives changes from threads, and the end also from signal handlers; merges changes."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()  # its put is reentrant
        self._kinds: set[str] = set()
        self._changed = False

    def changed(self, kind: str) -> None:
        """Record that objects of a kind changed; for threads."""
        self._kinds.add(kind)
        if not self._changed:
            self._changed = True
            self._queue.put(CHANGED)

    def end(self, why: str) -> None:
        """End the loop; signal handlers may call this too."""
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
        while self._kinds:  # one by one: a kind that a thread adds meanwhile is not lost
            taken.add(self._kinds.pop())
        return taken


class Turn(Protocol):
    """A task that the thread of the loop runs periodically, or after changes."""

    def changed(self, now: float) -> None:
        """Record that there was a change."""
        ...

    def wait(self, now: float) -> float:
        """Return the seconds until it is due: 0 or less if it is now, infinite if it is not."""
        ...

    def run(self) -> None:
        """Run the task."""
        ...


class Feed(Protocol[Seen]):
    """A source to follow; see ``kgctl.state.feeds``."""

    def look(self, changed: Collection[str]) -> Seen:
        """Return the present state; ``changed`` are the kinds that changed since the last look."""
        ...


def take_turns(
    inbox: Inbox, turns: Sequence[Turn], *, clock: Callable[[], float] = time.monotonic
) -> str:
    """Run each turn when it is due, earlier turns first; return the reason for the end."""
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
    """Call ``listener`` with the state of ``feed`` after changes, and periodically, until the end.

    ``pause`` gets the seconds that the last look took, and returns the seconds between the starts
    of two looks without changes. After a change, the loop rests to gather more changes. It also
    runs ``turns``. Returns the reason given to ``inbox.end``.
    """
    return take_turns(inbox, [*turns, _Looks(feed, listener, inbox, pause, clock)], clock=clock)


class _Looks(Generic[S]):
    """The turn of ``follow``: decides when to look."""

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
    """Make SIGTERM end a command as Ctrl-C does: it raises KeyboardInterrupt during any wait."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # no handler of errors catches it


def rest_after(took: float) -> float:
    """Return the seconds to gather changes, after work that ``took`` seconds."""
    return min(max(_GATHER, _REST * took), _MOST_GATHERED)


def until_tick(took: float, tick: float = 1.0) -> float:
    """Return the seconds between two looks that show ages, if one look ``took`` seconds.

    ``tick`` is the minimum, in seconds: the unit of the shortest age.
    """
    return max(tick, _REST * took)


class Once:
    """Reports a problem once while it stays the same; for any thread."""

    def __init__(self, tell: Callable[[str], Any]) -> None:
        self._tell = tell
        self._told = ""

    def tell(self, text: str) -> None:
        """Report a problem, unless it is the last one reported."""
        if text != self._told:
            self._tell(text)
        self._told = text

    def over(self) -> None:
        """Record the end of the problem: it is reported again if it returns."""
        self._told = ""


QUIET = 15.0
"""Seconds of silence after which time stands still. Kilo's agents write a heartbeat every 30
seconds, so the last heartbeat of a healthy node never counts as 60 s old."""

OUTAGE = 45.0
"""Seconds of silence that count as an outage: more than between two heartbeats."""

GRACE = READY_SECONDS + 30.0
"""Seconds after an outage in which nodes may write their next heartbeat."""


class Contact:
    """The last contact with the API server, and the moment at which heartbeats are judged.

    That moment is in Unix seconds, as heartbeats are. The server's silence is measured in seconds
    by the ``steady`` clock: if the system clock were adjusted meanwhile, a silence would seem to
    be over.
    """

    def __init__(self) -> None:
        self._heard: tuple[float, float] | None = None
        self._frozen = 0.0
        self._until = float("-inf")
        self._failed = False

    def failed(self) -> None:
        """Record that the API server could not be followed: a shorter silence is an outage then."""
        self._failed = True

    def heard(self, at: float, steady: float, *, away: bool = True) -> None:
        """Record an answer of the API server at ``at``, which is ``steady`` on the steady clock.

        A long silence before it was an outage, unless the server was not ``away``: without changes
        in the cluster, it sends nothing.
        """
        if self._heard is not None:
            silence = steady - self._heard[1]
            if silence < 0 or (self._failed and not silence):
                return
            if away and silence > (QUIET if self._failed else OUTAGE):
                self._frozen = self.judged(at, steady)
                self._until = steady + GRACE
        self._heard = at, steady
        self._failed = False

    def is_grace(self, steady: float) -> bool:
        """Return whether an outage is over, and nodes may still have to write their heartbeats."""
        return steady < self._until

    def silence(self, steady: float) -> float:
        """Return the seconds since the last answer; 0 before the first one."""
        return 0.0 if self._heard is None else max(0.0, steady - self._heard[1])

    def judged(self, now: float, steady: float) -> float:
        """Return the moment at which to judge heartbeats now, which is ``steady``.

        After an answer, time goes on by the steady clock from the system clock's time of the
        answer, so that an adjustment of the system clock makes no heartbeat older.
        """
        if self.is_grace(steady):
            return self._frozen
        if self._heard is None:
            return now
        return self._heard[0] + min(self.silence(steady), QUIET)


LASTS = 60
"""Seconds of a watch: its end shows that the server is there, even without changes."""

SILENCE = LASTS + 15.0
"""Seconds after which a server that sends nothing, not even the end of a watch, is away."""


class Standing(NamedTuple):
    """The state of a followed cluster at a moment. All times are in Unix seconds.

    Heartbeats are ``judged`` as of the last moment for which the server's data can be trusted to be
    complete; their ages are shown by the clock. ``trouble`` describes a problem, or is empty.
    """

    judged: float
    heard: float
    trouble: str


class Hearing:
    """Determines the state of a cluster that was read at ``first`` and is followed by informers.

    ``poll`` is the number of seconds between lists where watching is not allowed. ``worded``
    formats an error.
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
        """Record that objects of a kind cannot be followed; called from an informer's thread.

        A missing right to watch is no trouble: the informer lists repeatedly instead.
        """
        if isinstance(error, ForbiddenError):
            self._polled.add(kind)
        else:
            self._failures[kind] = self._steady(), self._worded(error)

    def standing(self, informers: ClusterInformer) -> Standing:
        """Return the state of the cluster now."""
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
        """Return when the server last sent anything of a kind, in Unix and in steady seconds."""
        return max(self._first, (informer.heard, informer.heard_steady), key=lambda one: one[1])

    def _trouble(self, kind: str, heard: float, now: float) -> str:
        failed, error = self._failures.get(kind, (0.0, ""))
        if failed > heard:
            return error
        longest = SILENCE + (self._poll if kind in self._polled else 0.0)
        return "the API server does not answer" if now - heard > longest else ""
