"""KG2xx: networks that overlap, and addresses that run out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import CLUSTER, ERROR, NODE, PEER, WARNING, Found, Rule
from kgctl.diagnosis.nesting import Used
from kgctl.diagnosis.subject import PREFIX
from kgctl.mesh.state import kilo_subnet
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.node import Node

_POD, _PEER, _WIREGUARD, _SERVICE = "pod subnet", "allowed IP", "WireGuard network", "service CIDR"
_NEARLY_FULL = 0.9


def _networks(facts: Facts) -> Iterator[Used]:
    """Yield what has to be disjoint; a peer's /0 is another rule's (KG405)."""
    for node in facts.state.nodes:
        if node.subnet is not None:
            yield Used(node.subnet, _POD, NODE, node.name)
    for peer in facts.ready_peers:
        for cidr in peer.allowed_ips:
            if cidr.prefix:
                yield Used(cidr, _PEER, PEER, peer.name)
    if facts.state.nodes:
        yield Used(kilo_subnet(facts.state.nodes), _WIREGUARD, CLUSTER, "")
    for cidr in facts.settings.service_cidrs:
        yield Used(cidr, _SERVICE, CLUSTER, "")


def _pod_subnets(facts: Facts) -> Iterator[Found]:
    for outer, inner in facts.nested(_networks):
        if outer.use == inner.use == _POD:
            yield Found(
                NODE,
                inner.name,
                f"its pod subnet {inner.network} overlaps {outer.network} of node "
                f"{printable(outer.name)}",
                "packets for pods of the one go to the other, or nowhere",
                "give each node a pod CIDR of its own: delete one Node, and let it register anew",
            )


def _different_uses(facts: Facts) -> Iterator[Found]:
    for outer, inner in facts.nested(_networks):
        same_owner = (outer.kind, outer.name) == (inner.kind, inner.name) and outer.use == inner.use
        same_text = str(outer.network) == str(inner.network)
        both_peers = outer.use == inner.use == _PEER
        if outer.use == inner.use == _POD or same_owner or (both_peers and same_text):
            continue  # KG201, nobody else's business, KG403
        about, other = (inner, outer) if inner.kind == PEER else (outer, inner)
        yield Found(
            about.kind,
            about.name,
            f"its {about.use} {about.network} overlaps {_owned(other)}"
            if about.name
            else f"the {about.use} {about.network} overlaps {_owned(other)}",
            "of two routes the narrower one wins: some addresses lead to the wrong machine",
            "renumber one of the two",
        )


def _owned(used: Used) -> str:
    owner = f" of {used.kind} {printable(used.name)}" if used.name else ""
    return f"the {used.use} {used.network}{owner}"


def _internal_ips(facts: Facts) -> Iterator[Found]:
    for segment in facts.segments:
        seen: dict[object, Node] = {}
        for node in segment.nodes:
            if node.internal_ip is None:
                continue
            first = seen.setdefault(node.internal_ip.address, node)
            if first is not node:
                yield Found(
                    NODE,
                    node.name,
                    f"its internal IP {node.internal_ip.address} is also that of node "
                    f"{printable(first.name)} in {printable(segment.name)}",
                    "one of them can not be reached from its neighbours nor from elsewhere",
                    "give one another address, or say which with "
                    f"{PREFIX}force-internal-ip; or they are in different locations",
                )


def _exhausted(facts: Facts) -> Iterator[Found]:
    needed, room = facts.wireguard_addresses
    if needed > room:
        yield Found(
            CLUSTER,
            "",
            f"{needed} segments need a WireGuard IP each, {kilo_subnet(facts.state.nodes)} has "
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
    for segment in () if facts.agents_label else facts.segments:  # KG216 says why
        for node in segment.nodes:
            noted = node.wireguard_ip
            right = segment.wireguard_ip if node.name == segment.leader.name else None
            if noted is None or (right is not None and noted.address == right):
                continue
            given = f"gives it {right}" if right else "gives it none: it leads no segment"
            yield Found(
                NODE,
                node.name,
                f"its wireguard-ip says {noted.address}, the topology {given}",
                "the agent has not come round yet, or builds another network than this one",
                "look again in a minute; if it stays, see the log of Kilo's pod on the node",
            )


def _subnets_differ(facts: Facts) -> Iterator[Found]:
    subnet = kilo_subnet(facts.state.nodes)
    for node in facts.state.nodes:
        if node.wireguard_ip is not None and node.wireguard_ip.masked() != subnet:
            yield Found(
                NODE,
                node.name,
                f"its wireguard-ip is in {node.wireguard_ip.masked()}, that of others in {subnet}",
                "which subnet counts hangs on which node is asked",
                "run every agent with the same --subnet",
            )


RULES = (
    Rule("KG201", "pod-subnets-overlap", ERROR, "Pod subnets of two nodes overlap.",
         _pod_subnets),
    Rule("KG202", "internal-ip-twice", ERROR, "Two nodes of a location have one internal IP.",
         _internal_ips),
    Rule("KG203", "networks-overlap", ERROR,
         "Pod, service, WireGuard and peers' networks overlap.", _different_uses),
    Rule("KG204", "wireguard-subnet-exhausted", ERROR, "There are too few WireGuard IPs.",
         _exhausted),
    Rule("KG205", "wireguard-subnet-nearly-full", WARNING, "Few WireGuard IPs are left.",
         _nearly_exhausted),
    Rule("KG206", "wireguard-ip-differs", WARNING,
         "A node's WireGuard IP is not what the topology gives.", _wireguard_ips),
    Rule("KG207", "wireguard-subnets-differ", WARNING,
         "WireGuard IPs of nodes are in different networks.", _subnets_differ),
)  # fmt: skip
