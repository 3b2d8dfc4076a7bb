"""A picture as JSON; docs/graph.md describes the schema.

``version`` increases when a field is removed or changes its meaning, not when one is added.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kgctl.render.graph.picture import READY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.render.graph.panorama import Bridge, Panorama
    from kgctl.render.graph.picture import Link, Member, Outsider, Picture

VERSION = 1


def to_graph_json(picture: Picture) -> str:
    """Return the picture as JSON with one object or link per line, for readers and for diff."""
    parts = [
        f'"schema": "kgctl-graph",\n  "version": {VERSION}',
        *([] if picture.network is None else [f'"network": {json.dumps(picture.network)}']),
        f'"subnet": {json.dumps(picture.subnet)}',
        f'"granularity": {json.dumps(picture.granularity)}',
        f'"segments": {_lines(_segments(picture))}',
        f'"nodes": {_lines(map(_node, picture.nodes))}',
        f'"peers": {_lines(map(_peer, picture.peers))}',
        f'"links": {_lines(map(_link, picture.links()))}',
    ]
    return "{\n  " + ",\n  ".join(parts) + "\n}\n"


def to_clusters_json(panorama: Panorama) -> str:
    """Return clusters as JSON: each as by itself but without its links, and the links."""
    clusters = ",\n    ".join(
        f'{{"name": {json.dumps(view.name)}, "graph": {to_graph_json(view.picture).rstrip()}}}'
        for view in panorama.views
    )
    parts = [
        f'"schema": "kgctl-graph-clusters",\n  "version": {VERSION}',
        f'"clusters": [\n    {clusters}\n  ]',
        f'"links": {_lines(map(_bridge, panorama.bridges))}',
    ]
    return "{\n  " + ",\n  ".join(parts) + "\n}\n"


def _bridge(bridge: Bridge) -> dict[str, Any]:
    return {
        "state": bridge.state,
        "source": _bridge_end(*bridge.source),
        "target": _bridge_end(*bridge.target),
        "missing": bridge.missing or None,
        "behindNAT": bridge.behind_nat,
        "byHand": list(bridge.by_hand),
    }


def _bridge_end(cluster: str, leader: Member) -> dict[str, Any]:
    return {"cluster": cluster, "segment": leader.segment, "node": leader.name}


def _lines(items: Iterable[dict[str, Any]]) -> str:
    lines = ",\n    ".join(map(json.dumps, items))
    return f"[\n    {lines}\n  ]" if lines else "[]"


def _segments(picture: Picture) -> Iterator[dict[str, Any]]:
    members: dict[str | None, list[str]] = {}
    for node in picture.nodes:
        members.setdefault(node.segment, []).append(node.name)
    for leader in picture.leaders:
        yield {
            "name": leader.segment,
            "location": leader.location,
            "leader": leader.name,
            "nodes": members[leader.segment],
            "wireguardIP": _text(leader.wireguard_ip),
            "endpoint": _text(leader.endpoint),
            "behindNAT": leader.behind_nat,
        }


def _node(node: Member) -> dict[str, Any]:
    return {
        "name": node.name,
        "location": node.location,
        "segment": node.segment,
        "leader": node.leads,
        "state": node.state,
        "reasons": list(node.reasons),
        "endpoint": _text(node.endpoint),
        "behindNAT": node.behind_nat,
        "podSubnet": _text(node.subnet),
        "internalIP": _text(node.internal_ip),
        "wireguardIP": _text(node.wireguard_ip),
        "persistentKeepalive": node.persistent_keepalive,
        "heartbeatAge": node.heartbeat_age,
    }


def _peer(peer: Outsider) -> dict[str, Any]:
    return {
        "name": peer.name,
        "ready": peer.state == READY,
        "reasons": list(peer.reasons),
        "allowedIPs": [str(cidr) for cidr in peer.allowed_ips],
        "endpoint": _text(peer.endpoint),
        "behindNAT": peer.behind_nat,
        "persistentKeepalive": peer.persistent_keepalive,
    }


def _link(link: Link) -> dict[str, Any]:
    return {
        "kind": link.kind,
        "source": dict(zip(("kind", "name"), link.source, strict=True)),
        "target": dict(zip(("kind", "name"), link.target, strict=True)),
        "behindNAT": link.behind_nat,
        "persistentKeepalive": link.persistent_keepalive,
    }


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)
