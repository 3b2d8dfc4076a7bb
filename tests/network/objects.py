"""The state of the small cluster: its Node and Peer objects in Kubernetes."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tests.network import plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tests.network.plan import Inside, Machine, NodePlan, Outside
    from tests.network.tunnel import KeyPair

Object = dict[str, Any]

HEARTBEAT_AHEAD = 3600
"""Seconds that a heartbeat lies in the future: there is no agent here to write the next one, and
a node whose heartbeat is 60 s old is out of the network."""


def node_objects(
    keys: Mapping[str, KeyPair], *, inside: Inside = "ipv4", outside: Outside = "ipv4"
) -> list[Object]:
    """Return the Node objects of the layout, annotated as Kilo's agents would have done it."""
    return [node_object(node, keys[node.name], inside, outside) for node in plan.NODES]


def node_object(node: NodePlan, keys: KeyPair, inside: Inside, outside: Outside) -> Object:
    """Return one Node object. Callers may change it: nothing else holds on to it."""
    addresses = node.inside(inside)
    annotations = {
        "endpoint": node.endpoints[outside],
        "internal-ip": str(addresses.internal),
        "key": keys.public,
        "last-seen": str(int(time.time()) + HEARTBEAT_AHEAD),
        "granularity": "location",
        "location": node.location,
    }
    if addresses.wireguard is not None:
        annotations["wireguard-ip"] = str(addresses.wireguard)
    if node.leader:
        annotations["leader"] = "true"
    if node.keepalive:
        annotations["persistent-keepalive"] = str(node.keepalive)
    prefixed = {f"kilo.squat.ai/{name}": value for name, value in annotations.items()}
    subnet = str(addresses.pod_subnet)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "annotations": prefixed},
        "spec": {"podCIDR": subnet, "podCIDRs": [subnet]},
    }


def peer_object(
    machine: Machine,
    public_key: str,
    *,
    inside: Sequence[Inside] = ("ipv4",),
    keepalive: int = plan.KEEPALIVE,
    preshared: str | None = None,
) -> Object:
    """Return the Peer object of a machine outside, with its address of each family given."""
    lengths = {"ipv4": f"{machine.ipv4}/32", "ipv6": f"{machine.ipv6}/128"}
    spec: Object = {
        "allowedIPs": [lengths[family] for family in inside],
        "publicKey": public_key,
        "persistentKeepalive": keepalive,
    }
    if preshared is not None:
        spec["presharedKey"] = preshared
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": machine.name},
        "spec": spec,
    }


def discovered_endpoints(endpoints: Mapping[str, str | None]) -> dict[str, str]:
    """Return the annotation by which a node tells where it sees others (by public key).

    ``endpoints`` are ``host:port`` as ``wg show`` has them: a node or peer behind NAT is seen
    at the router's address, which is the only one where it can be reached.
    """
    found = {}
    for key, endpoint in endpoints.items():
        if endpoint is None:
            continue
        host, _, port = endpoint.rpartition(":")
        found[key] = {"IP": host.strip("[]"), "Port": int(port), "Zone": ""}
    return {"kilo.squat.ai/discovered-endpoints": json.dumps(found)}


def write_manifest(path: Path, objects: Iterable[Object]) -> Path:
    """Write objects as one List, as ``kubectl get -o json`` prints them; return the path."""
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    path.write_text(json.dumps(listed, indent=2))
    return path
