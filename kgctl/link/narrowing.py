"""Peers that stay as they are, without what nobody is granted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.claims import Claim, Use
from kgctl.mesh.policy import ANYBODY, MOST, Limits, Policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.guards import Guard
    from kgctl.mesh.linking import Member


class Narrowing:
    """Takes from a Peer that is there, and stays as it is, what nobody is granted.

    What a person gave for the cluster stays: its service networks, and those that it shares. So
    does what was accepted of any of its nodes.
    """

    def __init__(
        self, limits: Mapping[str, Limits], guards: Sequence[Guard], sources: Sequence[Member]
    ) -> None:
        self._limits, self._guards = limits, guards
        self._given = frozenset(
            network.masked()
            for source in sources
            for network in source.share.of_cluster(source.service_cidrs)
        )
        self._policies: dict[str, Policy] = {}

    def left(self, source: str, networks: Iterable[Cidr]) -> list[tuple[Cidr, ...]]:
        """Return what a Peer for the cluster ``source`` keeps of each of its networks."""
        claims = [Claim(one.masked(), Use.PEER) for one in networks]
        policy = self._policy(source)
        granted = [  # a Peer holds the networks of many machines
            parts
            for first in range(0, len(claims), MOST)
            for parts in policy.judge(claims[first : first + MOST]).granted
        ]
        return [
            (claim.network,) if claim.network in self._given else parts
            for claim, parts in zip(claims, granted, strict=True)
        ]

    def _policy(self, source: str) -> Policy:
        if source not in self._policies:
            limits = self._limits.get(source, Limits())
            accepted = tuple(one for networks in limits.accept.values() for one in networks)
            limits = limits._replace(accept={ANYBODY: accepted})
            self._policies[source] = Policy(limits, self._guards)
        return self._policies[source]
