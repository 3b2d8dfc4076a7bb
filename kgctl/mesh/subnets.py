"""The network of WireGuard IPs, which every leader writes down and none can vouch for."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from kgctl.mesh.cidr import parse_cidr

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.node import Node

DEFAULT_SUBNET = "10.4.0.0/16"
_WIDEST = 8


def kilo_subnet(nodes: Sequence[Node]) -> Cidr:
    """Return the network that most nodes have their WireGuard IPs in, else 10.4.0.0/16.

    The reference takes that of any node, and its agents look at no other node: they go by their own
    ``kg --subnet``. So one node must not decide for all. A network counts if it is not wider than
    /8, and has an address for each of the nodes that have a WireGuard IP. Of those the one counts
    that the most nodes name, where each node speaks against it whose internal IP or pods lie in it:
    a LAN is no network for WireGuard. Of equal ones it is Kilo's default, then that of the first
    node. Where none counts, it is the one that the most nodes name.
    """
    default = parse_cidr(DEFAULT_SUBNET)
    assert default is not None
    votes = Counter(
        node.wireguard_ip.masked() for node in nodes if node.wireguard_ip is not None
    )  # in the order of nodes, so the first of equal ones is the first node's
    if len(votes) < 2:
        return next(iter(votes), default)
    leaders = votes.total()
    found = [one for one in votes if is_sane(one, leaders)] or list(votes)
    internal = _Values(node.internal_ip for node in nodes)
    pods = _Values(node.subnet for node in nodes)
    return max(
        found,
        key=lambda one: (votes[one] - max(internal.within(one), pods.within(one)), one == default),
    )


def is_sane(network: Cidr, leaders: int) -> bool:
    """Tell whether so many leaders can have their WireGuard IPs in a network."""
    return network.prefix >= _WIDEST and (1 << network.host_bits) - 1 >= leaders


class _Values:
    """Addresses in their order, to be counted by the network that they lie in."""

    def __init__(self, cidrs: Iterable[Cidr | None]) -> None:
        self._values: dict[int, list[int]] = {4: [], 6: []}
        for cidr in cidrs:
            if cidr is not None:
                self._values[cidr.version].append(int(cidr.address))
        for values in self._values.values():
            values.sort()

    def within(self, network: Cidr) -> int:
        """Return how many lie in a network."""
        values, first = self._values[network.version], network.network_value
        return bisect_left(values, first + (1 << network.host_bits)) - bisect_left(values, first)
