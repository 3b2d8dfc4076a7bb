"""KG217, KG218: second pod CIDRs, and internal IPs of bridges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.finding import CLUSTER, NODE, WARNING, Found, Rule
from kgctl.diagnosis.rules.nodes import quoted
from kgctl.kilo import PREFIX
from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.facts import Facts
    from kgctl.mesh.node import Node

_NAMES = 3  # nodes that a sentence lists
_SHOWN = 60  # characters of a network

_BRIDGES = {
    "172.17.0.1/16": "Docker's bridge docker0",
    **{f"172.{n}.0.1/16": "a Docker bridge" for n in range(18, 32)},
    "10.88.0.1/16": "Podman's bridge",
    "192.168.122.1/24": "libvirt's bridge virbr0",
}
"""Default addresses that programs assign to their bridge on every machine."""


def _second_pod_cidrs(facts: Facts) -> Iterator[Found]:
    more: dict[str, list[str]] = {}
    for node in facts.state.nodes:
        platform = facts.subject.platforms.get(node.name)
        if platform is not None and facts.has_agent(node):
            others = [cidr for cidr in platform.pod_cidrs[1:] if cidr]
            if others:
                more[node.name] = others
    if not more:
        return
    name, (first, *_) = next(iter(more.items()))
    yield Found(
        CLUSTER,
        "",
        f"{some([printable(one) for one in more], _NAMES)}: a second pod CIDR, such as "
        f"{printable(first, _SHOWN)} of {printable(name)}; Kilo reads only the first",
        "pods of other locations, and peers, cannot reach a pod by its address in the second one",
        "use the first IP family for traffic between locations: ipFamilyPolicy SingleStack for its "
        "Services; or run a cluster with one family",
    )


def _bridges(facts: Facts) -> Iterator[Found]:
    for node in facts.state.nodes:
        bridge = _bridge(node)
        if bridge:
            yield Found(
                NODE,
                node.name,
                f"its internal IP {node.internal_ip} is that of {bridge}",
                "its neighbours send packets for it to themselves: every machine has that address",
                f"set the right one: kubectl annotate node {quoted(node.name)} --overwrite "
                f"{PREFIX}force-internal-ip=ADDRESS/PREFIX; or run the agents with --internal-cidr",
            )


def _bridge(node: Node) -> str:
    """Return the interface that a node's internal IP wrongly belongs to, or an empty text."""
    if node.internal_ip is None:
        return ""
    address = node.internal_ip.address
    if address.is_loopback:
        return "the loopback interface"
    if address.is_link_local:
        return "a single link (link-local)"
    if node.cni_compatibility_ip is not None and node.cni_compatibility_ip.address == address:
        return "Cilium's interface cilium_host"
    if node.subnet is not None and node.subnet.contains(address):
        return ""  # a bridge of the CNI: KG209 reports it
    return _BRIDGES.get(str(node.internal_ip), "")


RULES = (
    Rule("KG217", "second-pod-cidr", WARNING, "Nodes have a pod CIDR that Kilo does not read.",
         _second_pod_cidrs),
    Rule("KG218", "internal-ip-of-a-bridge", WARNING,
         "An internal IP is one that many machines have.", _bridges),
)  # fmt: skip
