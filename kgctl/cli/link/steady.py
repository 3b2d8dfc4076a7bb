"""Plans without what changes too often: see ``kgctl.link.damping``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.link.damping import Damper
from kgctl.link.plan import ADD, CHANGE, PEER, REMOVE
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.cli.link.carrying import Plan
    from kgctl.cli.link.clusters import ClusterRef
    from kgctl.link.plan import Step
    from kgctl.reporter import Reporter

_WRITES = (ADD, CHANGE, REMOVE)


class Steady:
    """Leaves out of plans the Peers that were written too often lately; says so once."""

    def __init__(self, clock: Callable[[], float], reporter: Reporter) -> None:
        self._reporter = reporter
        self._damper = Damper(clock)
        self._damped: set[tuple[str, str]] = set()

    def only(self, found: Plan) -> Plan:
        """Return a plan without what has to wait; what is left counts as written."""
        self._damper.forget()
        return [(ref, self._due(ref, steps)) for ref, steps in found]

    def _due(self, ref: ClusterRef, steps: list[Step]) -> list[Step]:
        return [step for step in steps if self._is_due(ref.name, step)]

    def _is_due(self, cluster: str, step: Step) -> bool:
        if step.kind != PEER or step.action not in _WRITES:
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
