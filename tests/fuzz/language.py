"""A small language: any bytes are a cluster, and a small change is a small change of it.

The bytes are split at 0xFF, which occurs in no text. The first byte of each part selects the kind
of the rest: a new node or peer that is ready by itself, or a field of the last one.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from kgctl.kilo import PREFIX, TOPOLOGY_LABEL
from kgctl.kube.objects import NodeObject
from kgctl.state.interface import Objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_END = b"\xff"
_MOST = 5  # nodes, and peers: more of them say nothing new, and take their time

_ANNOTATIONS = {
    "a": "allowed-location-ips",
    "c": "cni-compatibility-ip",
    "d": "discovered-endpoints",
    "e": "endpoint",
    "f": "force-endpoint",
    "g": "granularity",
    "i": "internal-ip",
    "j": "force-internal-ip",
    "k": "key",
    "l": "location",
    "p": "persistent-keepalive",
    "s": "last-seen",
    "v": "leader",
    "w": "wireguard-ip",
}
_SPEC = {
    "1": "allowedIPs",
    "2": "publicKey",
    "3": "presharedKey",
    "4": "persistentKeepalive",
    "5": "endpoint",
}
_NODE, _PEER, _POD_CIDR, _LABEL = "N", "P", "S", "T"


def cluster_of(data: bytes) -> Objects:
    """Return the cluster that the bytes stand for; bytes that are no UTF-8 become half characters.

    A field that comes before any node or peer, or has an unknown code, is passed over.
    """
    nodes: list[NodeObject] = []
    peers: list[dict[str, Any]] = []
    for part in data.split(_END):
        code, text = part[:1].decode("latin-1"), part[1:].decode("utf-8", "surrogateescape")
        if code == _NODE and len(nodes) < _MOST:
            nodes.append(_node(len(nodes) + 1, text))
        elif code == _PEER and len(peers) < _MOST:
            peers.append(_peer(len(peers) + 1, text))
        elif nodes and code == _POD_CIDR:
            nodes[-1] = nodes[-1]._replace(pod_cidr=text)
        elif nodes and code == _LABEL:
            nodes[-1] = nodes[-1]._replace(labels={TOPOLOGY_LABEL: text})
        elif nodes and code in _ANNOTATIONS:
            changed = {**nodes[-1].annotations, PREFIX + _ANNOTATIONS[code]: text}
            nodes[-1] = nodes[-1]._replace(annotations=changed)
        elif peers and code in _SPEC:
            peers[-1]["spec"][_SPEC[code]] = _value(text)
    return Objects(nodes, peers, {})


def bytes_of(items: list[dict[str, Any]]) -> bytes:
    """Return the bytes that stand for a cluster, given as Kubernetes objects."""
    return _END.join(part.encode() for item in items for part in _parts(item))


def _parts(item: Mapping[str, Any]) -> Iterator[str]:
    metadata, spec = item["metadata"], item.get("spec") or {}
    if item["kind"] == "Node":
        yield _NODE + metadata["name"]
        yield _POD_CIDR + spec.get("podCIDR", "")
        yield _LABEL + (metadata.get("labels") or {}).get(TOPOLOGY_LABEL, "")
        for code, name in _ANNOTATIONS.items():
            text = (metadata.get("annotations") or {}).get(PREFIX + name)
            if text is not None:
                yield code + text
    elif item["kind"] == "Peer":
        yield _PEER + metadata["name"]
        for code, name in _SPEC.items():
            if name in spec:
                yield code + json.dumps(spec[name])


def _node(number: int, name: str) -> NodeObject:
    annotations = {
        "endpoint": f"198.51.100.{number}:51820",
        "granularity": "location",
        "internal-ip": f"10.1.0.{number}/24",
        "key": _key(number),
        "last-seen": "4102444800",
    }
    return NodeObject(
        name=name,
        pod_cidr=f"10.42.{number}.0/24",
        labels={},
        annotations={PREFIX + key: text for key, text in annotations.items()},
    )


def _peer(number: int, name: str) -> dict[str, Any]:
    spec = {"allowedIPs": [f"10.5.0.{number}/32"], "publicKey": _key(100 + number)}
    return {"metadata": {"name": name}, "spec": spec}


def _key(number: int) -> str:
    return base64.b64encode(bytes([number]) * 32).decode()


def _value(text: str) -> Any:
    """Return JSON as what it says; any other text is itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
