"""Claims of nodes and peers that this host does not grant: warned of once, and kept for a view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.host.record import KnownRefusal
from kgctl.host.routes import TAKEN
from kgctl.mesh.guards import Reason
from kgctl.mesh.policy import Untold, summaries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.connect.journal import Journal
    from kgctl.mesh.policy import Refusal

_MOST_KEPT = 1000
_NETWORKS = 100


class Refusals:
    """Warns of each claimer, network and reason once, unless the person asked for it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._untold = Untold()
        self.known: tuple[KnownRefusal, ...] = ()

    def report(self, refusals: Sequence[Refusal]) -> None:
        """Take note of all that is refused now, and warn of what is new."""
        self.known = known_refusals(refusals)
        new = self._untold.pick(refusals)
        for one in filter(_is_route, new):
            network = one.claim.network.masked()
            self._journal.warn("route refused", route=network, reason=TAKEN, claimer=one.claimer)
        for summary in summaries(one for one in new if not _is_route(one)):
            first = summary.first
            consent = {"accept": summary.consent} if summary.consent else {}
            self._journal.warn(
                "refused a claim",
                claimer=first.claimer,
                networks=summary.networks,
                reason=first.why,
                **consent,
            )


def _is_route(refusal: Refusal) -> bool:
    """Tell whether the network is one that this host has a route to, and no part of it."""
    network, guard = refusal.claim.network.masked(), refusal.guard
    return refusal.reason is Reason.OWN and guard is not None and guard.network == network


def known_refusals(refusals: Sequence[Refusal]) -> tuple[KnownRefusal, ...]:
    """Return refusals as they are recorded: of each claimer and reason, of many the first few."""
    return tuple(
        KnownRefusal(
            claimer=one.first.claimer,
            reason=str(one.first.reason),
            message=str(one),
            networks=tuple(str(each.claim.network.masked()) for each in one.refusals[:_NETWORKS]),
            count=len(one.refusals),
            expected=one.first.is_expected,
        )
        for one in summaries(refusals)[:_MOST_KEPT]
    )
