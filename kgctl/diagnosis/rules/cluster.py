"""KG501 to KG503, KG204 to KG207: the cluster as a whole, its WireGuard network and addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import CLUSTER, ERROR, NODE, WARNING, Found, Rule
from kgctl.mesh.subnets import kilo_subnet
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts


_APPLY = "kubectl apply -f https://raw.githubusercontent.com/squat/kilo/main/manifests/crds.yaml"


def _no_ready_node(facts: Facts) -> Iterator[Found]:
    if facts.state.nodes and not facts.ready_nodes and not facts.never_ran:
        yield Found(
            CLUSTER,
            "",
            f"none of its {len(facts.state.nodes)} nodes is ready",
            "there is no network: no graph, no configuration",
            "see the findings on the nodes; a snapshot is judged as of its own time with "
            "--at newest",
        )


def _no_crd(facts: Facts) -> Iterator[Found]:
    if facts.never_ran:
        return  # KG009
    if facts.subject.peers_served is False and not facts.subject.peer_versions:
        yield Found(
            CLUSTER,
            "",
            "the CustomResourceDefinition peers.kilo.squat.ai is not installed",
            "there can be no peers, and Kilo's agents wait for it",
            _APPLY,
        )


def _other_version(facts: Facts) -> Iterator[Found]:
    if facts.subject.peers_served is not True and facts.subject.peer_versions:
        versions = ", ".join(printable(one, 60) for one in facts.subject.peer_versions)
        yield Found(
            CLUSTER,
            "",
            f"Peers are of version {versions}; Kilo and kgctl read v1alpha1",
            "Kilo and kgctl ignore peers of that version: no node lets them in",
            _APPLY,
        )


_NEARLY_FULL = 0.9


def _exhausted(facts: Facts) -> Iterator[Found]:
    needed, room = facts.wireguard_addresses
    if needed > room:
        yield Found(
            CLUSTER,
            "",
            f"{needed} segments need a WireGuard IP each, but {kilo_subnet(facts.state.nodes)} has "
            f"{room}",
            "there is no network at all: Kilo gives up",
            "run every agent with a larger --subnet",
        )


def _nearly_exhausted(facts: Facts) -> Iterator[Found]:
    needed, room = facts.wireguard_addresses
    if room * _NEARLY_FULL < needed <= room:
        yield Found(
            CLUSTER,
            "",
            f"{needed} of the {room} WireGuard IPs of {kilo_subnet(facts.state.nodes)} are in use",
            "once they run out, there is no network at all",
            "run every agent with a larger --subnet",
        )


def _wireguard_ips(facts: Facts) -> Iterator[Found]:
    for segment in () if facts.agents_label else facts.segments:  # else KG216 has the reason
        for node in segment.nodes:
            noted = node.wireguard_ip
            right = segment.wireguard_ip if node.name == segment.leader.name else None
            if noted is None or (right is not None and noted.address == right):
                continue
            given = f"gives it {right}" if right else "gives it none: it is not a leader"
            yield Found(
                NODE,
                node.name,
                f"its wireguard-ip is {noted.address}, but the topology {given}",
                "the agent has not updated it yet, or builds another network than this one",
                "check again in a minute; if it stays, read the log of Kilo's pod on the node",
            )


def _subnets_differ(facts: Facts) -> Iterator[Found]:
    subnet = kilo_subnet(facts.state.nodes)
    for node in facts.state.nodes:
        if node.wireguard_ip is not None and node.wireguard_ip.masked() != subnet:
            yield Found(
                NODE,
                node.name,
                f"its wireguard-ip is in {node.wireguard_ip.masked()}, that of others in {subnet}",
                "its agent builds another network than theirs; Kilo's own kgctl uses either one, "
                "this kgctl the one of most nodes",
                "run every agent with the same --subnet",
            )


RULES = (
    Rule("KG501", "no-ready-node", ERROR, "No node is ready: there is no network.",
         _no_ready_node),
    Rule("KG502", "crd-missing", ERROR, "The cluster has no CRD for peers.", _no_crd),
    Rule("KG503", "crd-of-another-version", ERROR, "Peers are of another version.",
         _other_version),
    Rule("KG204", "wireguard-subnet-exhausted", ERROR, "There are too few WireGuard IPs.",
         _exhausted),
    Rule("KG205", "wireguard-subnet-nearly-full", WARNING, "Few WireGuard IPs are left.",
         _nearly_exhausted),
    Rule("KG206", "wireguard-ip-differs", WARNING,
         "A node's WireGuard IP differs from the topology.", _wireguard_ips),
    Rule("KG207", "wireguard-subnets-differ", WARNING,
         "WireGuard IPs of nodes are in different networks.", _subnets_differ),
)  # fmt: skip
