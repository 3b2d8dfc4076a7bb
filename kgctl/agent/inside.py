"""The networks that a node routes into its tunnel: nothing there can be the tunnel's other end.

A packet of WireGuard to an address there goes into the tunnel itself. It waits there until the
other end calls, and is delivered then; that end takes its inner source for the caller's endpoint,
and from then on both send into the tunnel, and neither reaches the other (seen with wireguard-go
and with the kernel's WireGuard).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.agent_plan import Device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.agent_plan import AgentPlan
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint


class Inside:
    """The networks that a plan routes into the tunnel; none without a plan."""

    def __init__(self, plan: AgentPlan | None = None) -> None:
        self._values: dict[tuple[int, int], set[int]] = {}
        for one in () if plan is None else _networks(plan):
            bits = one.host_bits
            self._values.setdefault((one.version, bits), set()).add(int(one.address) >> bits)

    def has(self, endpoint: Endpoint | None) -> bool:
        """Return whether packets to an endpoint with an address go into the tunnel."""
        address = None if endpoint is None else endpoint.address
        if address is None:
            return False
        value, family = int(address), address.version
        return any(
            version == family and value >> bits in found
            for (version, bits), found in self._values.items()
        )


def _networks(plan: AgentPlan) -> Iterator[Cidr]:
    yield from (one.dst for one in plan.routes if one.device is Device.WIREGUARD)
    if plan.wireguard_address is not None:
        yield plan.wireguard_address
