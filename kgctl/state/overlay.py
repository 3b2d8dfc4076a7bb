"""Hypothetical cluster state: with manifests applied, annotations changed, objects removed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kgctl.errors import ClusterError
from kgctl.kube.objects import NodeObject
from kgctl.mesh.node import Platform
from kgctl.mesh.text import printable
from kgctl.state.interface import Objects
from kgctl.state.peer_objects import peer_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class MissingObjectError(ClusterError):
    """The object to change does not exist."""


def applied(base: Objects, manifests: Objects) -> Objects:
    """Return the objects of ``base`` after ``kubectl apply`` of ``manifests``.

    Fields that a manifest does not mention stay, except those that the last applied manifest had.
    """
    nodes = {node.name: node for node in base.nodes}
    peers = {peer_name(peer): peer for peer in base.peers}
    for node in manifests.nodes:
        nodes[node.name] = _applied_node(nodes.get(node.name), node)
    for peer in manifests.peers:
        peers[peer_name(peer)] = _applied_peer(peers.get(peer_name(peer)), peer)
    return Objects(
        list(nodes.values()), list(peers.values()), base.passed_over, network=base.network
    )


def annotated(base: Objects, names: Collection[str], changes: Mapping[str, str | None]) -> Objects:
    """Return the objects with annotations of the nodes ``names`` changed; None removes one.

    Raises:
        MissingObjectError: a named node does not exist.
    """
    known = {node.name for node in base.nodes}
    for name in names:
        _require(name, "node", known)
    wanted = set(names)
    nodes = [
        node._replace(annotations=_merged(node.annotations, changes))
        if node.name in wanted
        else node
        for node in base.nodes
    ]
    return base._replace(nodes=nodes)


def without(base: Objects, kind: str, name: str) -> Objects:
    """Return the objects without the ``node`` or ``peer`` with this name.

    Raises:
        MissingObjectError: there is no such object.
    """
    if kind == "node":
        _require(name, kind, {node.name for node in base.nodes})
        return base._replace(nodes=[node for node in base.nodes if node.name != name])
    _require(name, kind, {peer_name(peer) for peer in base.peers})
    return base._replace(peers=[peer for peer in base.peers if peer_name(peer) != name])


def _require(name: str, kind: str, known: Collection[str]) -> None:
    if name not in known:
        raise MissingObjectError(f'there is no {kind} named "{printable(name)}"')


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` after a JSON merge patch, one level deep (RFC 7386)."""
    found = {**base, **changes}
    return {key: value for key, value in found.items() if value is not None}


def _applied_node(base: NodeObject | None, manifest: NodeObject) -> NodeObject:
    if base is None:
        return manifest
    dropped = _dropped(base.annotations, ("metadata", "annotations"), manifest.annotations)
    return NodeObject(
        base.name,
        manifest.pod_cidr or base.pod_cidr,
        _merged(base.labels, manifest.labels),
        _merged(base.annotations, {**dropped, **manifest.annotations}),
        _applied_platform(base.platform, manifest.platform),
    )


def _applied_platform(base: Platform, manifest: Platform) -> Platform:
    return Platform(
        manifest.pod_cidrs or base.pod_cidrs,
        manifest.provider_id or base.provider_id,
        manifest.taints or base.taints,
    )


def _applied_peer(base: Mapping[str, Any] | None, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    old, new = (base or {}).get("spec"), manifest.get("spec")
    if base is None or not isinstance(old, dict) or not isinstance(new, dict):
        return manifest
    metadata = base.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    dropped = _dropped(annotations if isinstance(annotations, dict) else {}, ("spec",), new)
    return {**base, "spec": _merged(old, {**dropped, **new})}


def _dropped(
    annotations: Mapping[str, Any], path: tuple[str, ...], manifest: Mapping[str, Any]
) -> dict[str, None]:
    """Return the keys at ``path`` that the last applied manifest has and this one has not."""
    try:
        last: Any = json.loads(annotations.get(_LAST_APPLIED) or "{}")
    except (TypeError, ValueError, RecursionError):
        return {}
    for name in path:
        last = last.get(name) if isinstance(last, dict) else None
    return {key: None for key in last if key not in manifest} if isinstance(last, dict) else {}
