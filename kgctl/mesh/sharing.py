"""Which clusters are linked with each other, and which of their networks the others get."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import Cidr, single

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.mesh.topology import Segment


class Share(NamedTuple):
    """The networks of a cluster that others get; ``cidrs`` are more that it leads to.

    WireGuard lets in only what comes from a network that it would send to, so what is not shared
    neither is reached, nor reaches others. WireGuard IPs are always shared: nodes speak from them.
    """

    pods: bool = True
    services: bool = True
    internal_ips: bool = True
    location_ips: bool = False
    cidrs: tuple[Cidr, ...] = ()

    def of_segment(self, segment: Segment) -> Iterator[Cidr]:
        """Yield what is shared of a segment, in Kilo's order of allowed IPs."""
        for node in segment.nodes:
            if self.pods and node.subnet is not None:
                yield node.subnet
            if self.internal_ips and node.internal_ip is not None:
                yield single(node.internal_ip.address)
        yield single(segment.wireguard_ip)
        if self.location_ips:
            yield from segment.allowed_location_ips

    def of_cluster(self, service_cidrs: Iterable[Cidr]) -> Iterator[Cidr]:
        """Yield what is shared besides: what any of the cluster's nodes leads to."""
        if self.services:
            yield from service_cidrs
        yield from self.cidrs


EVERYTHING = Share()
"""What linking shares where nothing else is said."""


class Layout(NamedTuple):
    """Which clusters are linked: all with each other, or, where there are hubs, only with those.

    Hubs are linked with each other, too. What one spoke sends to another passes through the first
    hub: it is a router that Kilo's agents set up, since they forward from any peer to any other.
    """

    hubs: tuple[str, ...] = ()

    def linked(self, one: str, other: str) -> bool:
        """Tell whether two clusters are to know each other's segments as Peers."""
        return one != other and (not self.hubs or one in self.hubs or other in self.hubs)

    def relays(self, hub: str, source: str, target: str) -> bool:
        """Tell whether ``target`` reaches ``source`` through ``hub``."""
        first = self.hubs[:1] == (hub,)
        return first and source != target and not self.linked(source, target)


FULL_MESH = Layout()
"""All clusters are linked with each other."""
