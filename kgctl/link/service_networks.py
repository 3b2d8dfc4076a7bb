"""Discovery of service networks, for clusters whose networks the spec does not give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.claims import Claim, Use
from kgctl.mesh.link_rules import claimed_by
from kgctl.mesh.policy import Policy
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.kube.services import ServiceNetworks
    from kgctl.link.clusters import ClusterState
    from kgctl.link.spec import LinkSpec
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.link_rules import Member
    from kgctl.reporter import Reporter


class ServiceNetworkDiscovery:
    """Service networks as found in the clusters; each is read once and reported once."""

    def __init__(self, spec: LinkSpec, reporter: Reporter) -> None:
        self._reporter = reporter
        self._given = spec.service_cidrs
        self._limits = spec.limits
        self._told: dict[str, ServiceNetworks | None] = {}
        self._said: set[str] = set()

    def complete(self, states: Sequence[ClusterState]) -> list[ClusterState]:
        """Return the clusters with the service networks found in them.

        Given networks replace found ones. A found network that overlaps another cluster is left
        out and is no obstacle to linking: many clusters have the same one.

        Raises:
            KgctlError: a cluster cannot be read.
        """
        asked = [state for state in states if self._is_asked(state)]
        for state in asked:  # all of them first: networks of two clusters may overlap
            if state.member.name not in self._told:
                self._told[state.member.name] = state.ref.service_networks()
        self._say_untold([state.member.name for state in asked])
        with_all = [
            state.member._replace(service_cidrs=self._all(state.member)) for state in states
        ]
        names = {state.member.name for state in asked}
        return [
            state._replace(member=state.member._replace(service_cidrs=self._free(state, with_all)))
            if state.member.name in names
            else state
            for state in states
        ]

    def _is_asked(self, state: ClusterState) -> bool:
        given = state.member.name in self._given
        return not given and state.ref.live and state.member.share.services

    def _all(self, member: Member) -> tuple[Cidr, ...]:
        told = self._told.get(member.name)
        return member.service_cidrs if told is None else told.cidrs

    def _free(self, state: ClusterState, members: Sequence[Member]) -> tuple[Cidr, ...]:
        """Return the networks found in a cluster that no other cluster uses."""
        name = state.member.name
        told = self._told[name]
        if told is None:
            return ()
        others = [member for member in members if member.name != name]
        return tuple(cidr for cidr in told.cidrs if self._is_free(name, cidr, told, others))

    def _is_free(
        self, name: str, cidr: Cidr, told: ServiceNetworks, others: Sequence[Member]
    ) -> bool:
        why = self._refused(name, cidr)
        if why:
            self._say(
                f"{printable(name)}: service network {cidr}, from {told.told_by}, is not linked: "
                f"{why}; if that is right, give it: "
                f"{self._reporter.setting('service_cidr', f'{printable(name)}={cidr}')}"
            )
            return False
        by = claimed_by(cidr, others)
        if by is None:
            self._say(f"{printable(name)}: service network {cidr}, from {told.told_by}")
            return True
        self._say(
            f"{printable(name)}: service network {cidr}, from {told.told_by}, overlaps {by}: "
            "it is not linked; pods are, and services can be mirrored "
            f"({self._reporter.setting('mirror')})"
        )
        return False

    def _refused(self, name: str, cidr: Cidr) -> str:
        """Return why the policy of claims refuses a found network; empty if it does not."""
        claim = Claim(cidr, Use.SERVICES)
        verdict = Policy(self._limits.get(name)).judge([claim])
        return verdict.refusals[0].why if verdict.refusals else ""

    def _say_untold(self, asked: Sequence[str]) -> None:
        untold = [printable(name) for name in asked if self._told[name] is None]
        if untold:
            one = len(untold) == 1
            self._say(
                f"{', '.join(untold)} {'does' if one else 'do'} not publish "
                f"{'its service network' if one else 'their service networks'}: the other clusters "
                "reach pods there, but no services; give "
                f"{self._reporter.setting('service_cidr', f'{untold[0]}=CIDR')}, or =none"
            )

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._reporter.inform(text)
            self._said.add(text)
