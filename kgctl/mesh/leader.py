"""Leaders of segments: by Kilo's rule, and by the annotations of its agents.

Kilo's agents resolve DNS names before they choose leaders, so an endpoint with a name counts as
public if its address is. The reference's kgctl, and this kgctl, never resolve names. The
annotation ``wireguard-ip`` shows the agents' choice: leaders have it, followers do not.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kgctl.mesh.node import Node
    from kgctl.mesh.topology import Segment, Topology

    Election = Callable[[Sequence[Node]], Node]

_SHOWN = 5  # segments that are listed; the rest is counted


class Dispute(NamedTuple):
    """A segment whose agents may have chosen another leader than Kilo's rule without DNS.

    ``acting`` is the node that they chose, or None if no annotation shows it; then the leader is
    one of ``possible``.
    """

    segment: Segment
    elected: Node
    possible: tuple[Node, ...]
    acting: Node | None


def elected_leader(nodes: Sequence[Node]) -> Node:
    """Elect the leader of a segment from its nodes, sorted by name; DNS names are not public."""
    candidates = _candidates(nodes)
    for node in candidates:
        if node.endpoint is not None and node.endpoint.counts_as_public_in_elections:
            return node
    return candidates[0]


def possible_leaders(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Return the nodes that may lead, for all addresses that DNS names can resolve to.

    ``nodes`` are those of a segment, sorted by name. Without DNS names the result is one node.
    """
    candidates = _candidates(nodes)
    possible: list[Node] = []
    for node in candidates:
        endpoint = node.endpoint
        public = endpoint is not None and endpoint.counts_as_public_in_elections
        if endpoint is None or not (public or endpoint.address is None):
            continue
        possible.append(node)
        if public:
            return tuple(possible)
    first = candidates[0]  # if all endpoints are private, the first node leads
    return tuple(possible if first in possible else (first, *possible))


def acting_leader(nodes: Sequence[Node]) -> Node:
    """Return the leader that the agents chose, according to their annotations.

    It is the only node with a WireGuard IP, if a DNS name can have made it the leader; else the
    node that Kilo's rule elects. ``nodes`` are those of a segment, sorted by name.
    """
    possible = possible_leaders(nodes)
    if len(possible) == 1:
        return possible[0]
    return _annotated(nodes, possible) or elected_leader(nodes)


def disputes(topology: Topology) -> Iterator[Dispute]:
    """Yield the segments where DNS names may change the leader.

    Segments are left out if the annotations confirm the leader that Kilo's rule elects.
    """
    for segment in topology.segments:
        possible = possible_leaders(segment.nodes) if len(segment.nodes) > 1 else ()
        if len(possible) > 1:
            elected = elected_leader(segment.nodes)
            acting = _annotated(segment.nodes, possible)
            if acting != elected:
                yield Dispute(segment, elected, possible, acting)


def disputes_in_words(topology: Topology) -> Iterator[str]:
    """Yield a line per dispute in a network that was built by Kilo's rule, up to a limit."""
    found = list(disputes(topology))
    for one in islice(found, _SHOWN):
        name, elected = printable(one.segment.name), printable(one.elected.name)
        if one.acting is not None:
            yield (
                f"{name}: this names {elected} as the leader, as Kilo's own kgctl does, but the "
                f"agents, which resolve names first, chose {printable(one.acting.name)}: its "
                "annotation wireguard-ip shows it"
            )
            continue
        names = some([printable(node.name) for node in one.possible], _SHOWN)
        yield (
            f"{name}: this names {elected} as the leader, as Kilo's own kgctl does, but the agents "
            f"resolve names first, and no wireguard-ip shows which of {names} they chose"
        )
    if len(found) > _SHOWN:
        yield f"and {len(found) - _SHOWN} more segments whose leader depends on a name"


def _candidates(nodes: Sequence[Node]) -> Sequence[Node]:
    """Return the nodes with the leader flag, or all nodes if none has it."""
    return [node for node in nodes if node.leader] or nodes


def _annotated(nodes: Sequence[Node], possible: Sequence[Node]) -> Node | None:
    leading = [node for node in nodes if node.wireguard_ip is not None]
    return leading[0] if len(leading) == 1 and leading[0] in possible else None
