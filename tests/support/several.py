"""Two small clusters as manifests: west, of three nodes in two locations, and east, of one."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import yaml

from kgctl.kube.objects import NodeObject
from kgctl.link.peers import MANAGER, MANAGER_LABEL, SOURCE_LABEL, link_labels, wanted_peers
from kgctl.mesh.link_rules import Member
from kgctl.mesh.links import linked as mesh_linked
from kgctl.mesh.state import network_of
from kgctl.state.interface import Objects
from kgctl.state.objects import state_of

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.mesh.links import Linked

NOW = "1769860800"
KILO = "kilo.squat.ai/"
Object = dict[str, Any]


def key(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def node(name: str, cluster: int, number: int, location: str, **annotations: str) -> Object:
    own = {
        "key": key(f"{cluster} {name}"),
        "endpoint": f"203.0.113.{10 * cluster + number}:51820",
        "internal-ip": f"172.{16 + cluster}.0.{number}/24",
        "wireguard-ip": f"10.{100 + cluster}.0.1/16",
        "location": location,
        "granularity": "location",
        "last-seen": NOW,
    } | {name.replace("_", "-"): value for name, value in annotations.items()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": {KILO + one: own[one] for one in own}},
        "spec": {"podCIDR": f"10.{cluster}.{number}.0/24"},
    }


def peer(name: str, *allowed_ips: str, **spec: Any) -> Object:
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": name},
        "spec": {"allowedIPs": list(allowed_ips), "publicKey": key(f"peer {name}"), **spec},
    }


def west() -> list[Object]:
    return [
        node("w1", 1, 1, "eu"),
        node("w2", 1, 2, "eu"),
        node("w3", 1, 3, "us"),
        peer("laptop", "10.5.0.1/32", persistentKeepalive=25),
        peer("printer", "10.5.1.1/32"),
    ]


def east() -> list[Object]:
    return [
        node("e1", 2, 1, "asia"),
        node("e2", 2, 2, "asia"),
        peer("laptop", "10.5.0.1/32", persistentKeepalive=25),
    ]


def objects_of(found: list[Object]) -> Objects:
    """Return manifests as the objects of a source."""
    nodes = [
        NodeObject(
            one["metadata"]["name"], one["spec"]["podCIDR"], {}, one["metadata"]["annotations"]
        )
        for one in found
        if one["kind"] == "Node"
    ]
    return Objects(nodes, [one for one in found if one["kind"] == "Peer"], {})


def member(name: str, found: list[Object]) -> Member:
    """Return the cluster of manifests."""
    state = state_of(objects_of(found))
    return Member(name, state, network_of(state, now=float(NOW)))


def members(found: dict[str, list[Object]]) -> Linked:
    """Return the clusters of manifests, and their links."""
    labels = link_labels({name: objects_of(own).peers for name, own in found.items()})
    return mesh_linked([member(name, own) for name, own in found.items()], labels)


def with_links(found: dict[str, list[Object]]) -> dict[str, list[Object]]:
    """Return the manifests with the Peers that link them, as ``kgctl link`` creates them."""
    sources = {name: member(name, own) for name, own in found.items()}
    return {
        name: own
        + [
            peer
            for source in sources.values()
            if source.name != name
            for peer in wanted_peers(source).values()
        ]
        for name, own in found.items()
    }


def troubled() -> dict[str, list[Object]]:
    """Return two clusters: one lacks a Peer of a link, the other has an extra one."""
    clusters = with_links({"west": west(), "east": east()})
    clusters["east"] = [
        one for one in clusters["east"] if one["metadata"]["name"] != "link-west.us"
    ]
    stale = peer("link-east.old", "10.9.0.0/24")
    stale["metadata"]["labels"] = {MANAGER_LABEL: MANAGER, SOURCE_LABEL: "east"}
    clusters["west"].append(stale)
    return clusters


def write(path: Path, objects: list[Object]) -> Path:
    path.write_text(yaml.safe_dump_all(objects))
    return path


def options(directory: Path, objects: dict[str, list[Object]]) -> list[str]:
    """Return the options for clusters of these objects, with one file each."""
    found = ["--at", NOW]
    for name, own in objects.items():
        found += ["--cluster", str(write(directory / f"{name}.yaml", own))]
    return found
