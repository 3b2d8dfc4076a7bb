"""The Kilo subnet, voted on by the leaders, since no single one can be trusted."""

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
    """Return the network that holds the WireGuard IPs of most nodes, else 10.4.0.0/16.

    The reference takes the network of any node, and its agents use their own ``kg --subnet``. So
    one node must not decide for all. A network is a candidate if it is not wider than /8 and has
    an address for each node with a WireGuard IP; if there is no candidate, all networks are. The
    candidate with the most votes wins: each node votes for the network of its WireGuard IP, and
    against a network that contains its internal IP or pods, since that is a LAN. On a tie Kilo's
    default wins, then the network of the first node.
    """
    default = parse_cidr(DEFAULT_SUBNET)
    assert default is not None
    annotated = [node.wireguard_ip for node in nodes if node.wireguard_ip is not None]
    if len({cidr.number for cidr in annotated}) < 2:  # nearly always, and faster than to count
        return annotated[0].masked() if annotated else default
    # in the order of nodes, so that the first node's network wins a tie
    votes = Counter(cidr.masked() for cidr in annotated)
    leaders = votes.total()
    found = [one for one in votes if is_sane(one, leaders)] or list(votes)
    internal = _Values(node.internal_ip for node in nodes)
    pods = _Values(node.subnet for node in nodes)
    return max(
        found,
        key=lambda one: (votes[one] - max(internal.within(one), pods.within(one)), one == default),
    )


def is_sane(network: Cidr, leaders: int) -> bool:
    """Return whether a network is at most /8 wide and has WireGuard IPs for all leaders."""
    return network.prefix >= _WIDEST and (1 << network.host_bits) - 1 >= leaders


class _Values:
    """Sorted addresses, to count those within a network."""

    def __init__(self, cidrs: Iterable[Cidr | None]) -> None:
        self._values: dict[int, list[int]] = {4: [], 6: []}
        for cidr in cidrs:
            if cidr is not None:
                self._values[cidr.version].append(int(cidr.address))
        for values in self._values.values():
            values.sort()

    def within(self, network: Cidr) -> int:
        """Return the number of addresses in a network."""
        values, first = self._values[network.version], network.network_value
        return bisect_left(values, first + (1 << network.host_bits)) - bisect_left(values, first)
