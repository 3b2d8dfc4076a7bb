"""KG216: the label that the agents read locations from, derived from WireGuard IPs.

An agent writes a WireGuard IP on its node if the node leads a segment, and none otherwise. So with
the right label for locations, exactly one node of each segment has a WireGuard IP. Nothing else in
the cluster shows the ``--topology-label`` flag of the agents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.diagnosis.finding import CLUSTER, ERROR, Found, Rule
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.kilo import PREFIX, TOPOLOGY_LABEL
from kgctl.mesh.text import printable
from kgctl.mesh.topology import LOCATION, group_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.node import Node

_MEANING = ("location", "region", "site", "datacenter", "zone", "rack", "hostname")
"""Words in the names of labels for the location of a machine, the likeliest first."""


class Fit(NamedTuple):
    """The quality of the match between locations and the nodes' WireGuard IPs.

    Whether each segment has exactly one node with an IP, and how many IPs match the order of the
    segments. A former leader keeps its IP for up to 30 s; it has the same IP as the new one.
    """

    one_leader_each: bool
    in_order: int


def agents_label(facts: Facts) -> str | None:
    """Return the label that the agents certainly use for locations, if it is not the given one.

    Return None if the given locations match the WireGuard IPs, or if no label does.
    """
    nodes = facts.ready_nodes
    if facts.granularity != LOCATION or sum(node.wireguard_ip is not None for node in nodes) < 1:
        return None
    given = fit([(node, node.location) for node in nodes])
    if given.one_leader_each:
        return None
    found: list[tuple[int, int, str]] = []
    for label in _candidates(facts):
        located = fit([(node, _location(facts, node, label)) for node in nodes])
        if located.one_leader_each:
            found.append((-located.in_order, _rank(label), label))
    return min(found)[2] if found else None


def fit(located: Sequence[tuple[Node, str]]) -> Fit:
    """Return how well the locations of nodes match their WireGuard IPs."""
    placed = [node._replace(location=location) for node, location in located]
    segments = group_nodes(placed, LOCATION)
    leaders = [
        [node for node in nodes if node.wireguard_ip is not None] for nodes in segments.values()
    ]
    numbers = [node.wireguard_ip for found in leaders for node in found]
    each = all(len(found) == 1 for found in leaders) and len(set(numbers)) == len(numbers)
    right = 0
    for number, found in enumerate(leaders, 1):
        for node in found:
            address = node.wireguard_ip
            right += address is not None and int(address.address) == address.network_value + number
    return Fit(each, right)


def _candidates(facts: Facts) -> list[str]:
    """Return the labels on at least half of the nodes without a location annotation."""
    counts: dict[str, int] = {}
    placed = 0
    for node in facts.ready_nodes:
        if PREFIX + "location" in facts.subject.node_annotations.get(node.name, {}):
            placed += 1
            continue
        for label in facts.subject.node_labels.get(node.name, {}):
            counts[label] = counts.get(label, 0) + 1
    least = (len(facts.ready_nodes) - placed) / 2
    found = {label for label, count in counts.items() if count >= least} | {TOPOLOGY_LABEL}
    return sorted(found - {facts.subject.topology_label})


def _location(facts: Facts, node: Node, label: str) -> str:
    texts: Mapping[str, str] = facts.subject.node_annotations.get(node.name, {})
    labels = facts.subject.node_labels.get(node.name, {})
    return texts.get(PREFIX + "location", labels.get(label, ""))


def _rank(label: str) -> int:
    name = label.lower()
    return next((rank for rank, word in enumerate(_MEANING) if word in name), len(_MEANING))


def _other_label(facts: Facts) -> Iterator[Found]:
    label = facts.agents_label
    if label is None:
        return
    given = facts.subject.topology_label
    shown = printable(label, 100)
    flag = f"give kgctl --topology-label {quoted(label)}"
    if label == TOPOLOGY_LABEL:
        flag = "leave --topology-label out"
    yield Found(
        CLUSTER,
        "",
        f"the nodes' WireGuard IPs match locations by the label {shown}, not by "
        f"{printable(given, 100)}",
        "kgctl draws and configures another network than the agents built: pods are under the "
        "wrong keys",
        f"{flag}: the agents run with it",
    )


RULES = (
    Rule("KG216", "topology-label-differs", ERROR,
         "The agents read locations from another label.", _other_label),
)  # fmt: skip
