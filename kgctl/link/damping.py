"""Damping: what changes again and again is written more and more seldom.

A node of one cluster decides how often a Peer in the other changes, and every write there makes
every node set up its network again. So the first few writes go at once, as a leader that moves
needs it; then each waits longer than the one before, up to five minutes. What is quiet for a while
is forgiven, one write for every ten minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.link.steps import PEER, Plan
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from kgctl.link.clusters import ClusterState
    from kgctl.link.steps import Step
    from kgctl.reporter import Reporter

AT_ONCE = 4
"""Writes of one thing that wait for nothing."""

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds between the writes after those: twice as long each time."""

FORGIVEN = 600.0
"""Seconds without a write after which one of the writes before is forgotten."""


class _Past(NamedTuple):
    """How often something was written lately, and when it was for the last time."""

    writes: int
    last: float


class Damper:
    """Says what may be written now; ``clock`` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._past: dict[Hashable, _Past] = {}

    def pause(self, key: Hashable) -> float:
        """Return for how many seconds the thing called ``key`` is not to be written yet."""
        past = self._past.get(key)
        if past is None:
            return 0.0
        return max(0.0, past.last + _interval(past.writes) - self._clock())

    def wrote(self, key: Hashable) -> float:
        """Note that the thing was written; return the seconds until it may be again."""
        now = self._clock()
        writes, last = self._past.get(key, _Past(0, now))
        writes = max(0, writes - int((now - last) // FORGIVEN)) + 1
        self._past[key] = _Past(writes, now)
        return _interval(writes)

    def forget(self) -> None:
        """Forget what is forgiven altogether, so that names that come and go take no room."""
        now = self._clock()
        self._past = {
            key: past
            for key, past in self._past.items()
            if now - past.last < past.writes * FORGIVEN
        }


class PlanDamper:
    """Leaves out of plans the Peers that were written too often lately; says so once."""

    def __init__(self, clock: Callable[[], float], reporter: Reporter) -> None:
        self._reporter = reporter
        self._damper = Damper(clock)
        self._damped: set[tuple[str, str]] = set()

    def only(self, plan: Plan) -> Plan:
        """Return a plan without what has to wait; what is left counts as written."""
        self._damper.forget()
        return Plan(
            [
                (ref, [step for step in steps if self._is_due(ref.name, step)])
                for ref, steps in plan.clusters
            ]
        )

    def _is_due(self, cluster: str, step: Step) -> bool:
        if step.kind != PEER or not step.writes:
            return True
        key = cluster, step.name
        if self._damper.pause(key):
            if key not in self._damped:
                self._damped.add(key)
                self._reporter.warn(
                    f"{printable(cluster)}: peer {printable(step.name)} changes all the time: it "
                    "is written more and more seldom, every 5 minutes in the end"
                )
            return False
        if not self._damper.wrote(key):
            self._damped.discard(key)
        return True


class FailureReports:
    """Reports which clusters have a network that cannot be built, and when it can be again.

    Once, whatever of the reason changes; one node decides how often that is so, and then it is
    reported more and more seldom.
    """

    def __init__(self, clock: Callable[[], float], reporter: Reporter) -> None:
        self._reporter = reporter
        self._damper = Damper(clock)
        self._said: set[str] = set()

    def report(self, states: Iterable[ClusterState]) -> None:
        """Report what is new of these clusters."""
        for state in states:
            name = state.member.name
            if state.failure is None and name in self._said:
                self._said.discard(name)
                self._reporter.inform(
                    f"{printable(name)}: its network can be built again: its links are kept"
                )
            elif state.failure is not None and name not in self._said:
                if self._damper.pause(name):
                    continue
                self._damper.wrote(name)
                self._said.add(name)
                self._reporter.warn(
                    f"{printable(name)}: its network cannot be built, so what links it stays as it "
                    f"is, and only links between the other clusters are kept: "
                    f"{self._reporter.worded(state.failure)}"
                )


def _interval(writes: int) -> float:
    """Return the seconds to wait after so many writes."""
    if writes < AT_ONCE:
        return 0.0
    return float(min(FIRST_PAUSE * 2 ** min(writes - AT_ONCE, 16), LONGEST_PAUSE))
