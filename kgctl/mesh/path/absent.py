"""Whose address it is that is in no network: of what takes no part, or was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.readiness import why_not_ready
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Topology


def absent_owner(state: State, topology: Topology, now: float, address: Address) -> str | None:
    """Return in words who would have ``address``, had it not been left out; None if nobody.

    Those are nodes that are not ready at ``now`` (Unix seconds), peers that are invalid, and
    networks of locations that clash with others. Of several, the longest prefix counts.
    """
    found = [
        (cidr.prefix, words)
        for cidr, words in _claims(state, topology, now)
        if cidr.contains(address)
    ]
    return max(found, key=lambda one: one[0], default=(0, None))[1]


def _claims(state: State, topology: Topology, now: float) -> Iterator[tuple[Cidr, str]]:
    for segment in topology.segments:
        for cidr in segment.filtered_location_ips:
            name = printable(segment.name)
            yield (
                cidr,
                f"in {cidr} of {name}, which Kilo leaves out: it clashes with another network",
            )
    for node in state.nodes:
        reasons = why_not_ready(node, now)
        if reasons:
            words = f"of {printable(node.name)}, which takes no part: {', '.join(reasons)}"
            own = () if node.subnet is None else (node.subnet,)
            for cidr in (*own, *node.allowed_location_ips):
                yield cidr, words
    for peer in state.invalid_peers:
        words = f"of peer {printable(peer.name)}, which is invalid: {', '.join(peer.problems)}"
        for cidr in peer.allowed_ips:
            yield cidr, words
