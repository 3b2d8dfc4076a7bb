"""Plans and warnings without what changes too often: see ``kgctl.link.damping``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.output import note
from kgctl.link.damping import Damper
from kgctl.link.plan import ADD, CHANGE, PEER, REMOVE
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kgctl.cli.link.carrying import Plan
    from kgctl.cli.link.clusters import Named, Read
    from kgctl.link.plan import Step

_WRITES = (ADD, CHANGE, REMOVE)


class Steady:
    """Leaves out of plans the Peers that were written too often lately; says so once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._damper = Damper(clock)
        self._damped: set[tuple[str, str]] = set()

    def only(self, found: Plan) -> Plan:
        """Return a plan without what has to wait; what is left counts as written."""
        self._damper.forget()
        return [(named, self._due(named, steps)) for named, steps in found]

    def _due(self, named: Named, steps: list[Step]) -> list[Step]:
        return [step for step in steps if self._is_due(named.name, step)]

    def _is_due(self, cluster: str, step: Step) -> bool:
        if step.kind != PEER or step.action not in _WRITES:
            return True
        key = cluster, step.name
        if self._damper.pause(key):
            if key not in self._damped:
                self._damped.add(key)
                note(
                    f"{printable(cluster)}: peer {printable(step.name)} changes all the time: it "
                    "is written more and more seldom, every 5 minutes in the end"
                )
            return False
        if not self._damper.wrote(key):
            self._damped.discard(key)
        return True


class Failures:
    """Says which clusters have a network that cannot be built, and when it can be again.

    Once, whatever of the reason changes; one node decides how often that is so, and then it is
    said more and more seldom.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._damper = Damper(clock)
        self._said: set[str] = set()

    def tell(self, reads: Iterable[Read]) -> None:
        """Say what is new of these clusters."""
        for read in reads:
            name = read.member.name
            if read.failure is None and name in self._said:
                self._said.discard(name)
                note(f"{printable(name)}: its network can be built again: its links are kept")
            elif read.failure is not None and name not in self._said:
                if self._damper.pause(name):
                    continue
                self._damper.wrote(name)
                self._said.add(name)
                note(
                    f"{printable(name)}: its network cannot be built, so what links it stays as it "
                    f"is, and only links between the other clusters are kept: {read.failure}"
                )
