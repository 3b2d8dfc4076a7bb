"""Cluster state that is parsed once an object, however often it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.cluster.objects import node_of
from kgctl.cluster.peerobjects import peer_name, peer_of
from kgctl.mesh.peer import InvalidPeer, Peer
from kgctl.mesh.state import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.cluster.interface import NodeObject, Objects
    from kgctl.mesh.node import Node


class Parser:
    """Makes a ``State`` of objects; what was parsed for the last one is used again."""

    def __init__(self, topology_label: str) -> None:
        self._label = topology_label
        self._nodes: dict[str, tuple[NodeObject, Node]] = {}
        self._peers: dict[str, tuple[Mapping[str, Any], Peer | InvalidPeer]] = {}

    def state(self, objects: Objects) -> State:
        """Parse what is new. Of two objects of one name the later one counts."""
        nodes = {node.name: node for node in objects.nodes}
        peers = {peer_name(peer): peer for peer in objects.peers}
        self._nodes = {name: (source, self._node(source)) for name, source in nodes.items()}
        self._peers = {name: (source, self._peer(name, source)) for name, source in peers.items()}
        parsed = [self._peers[name][1] for name in sorted(self._peers)]
        return State(
            nodes=tuple(self._nodes[name][1] for name in sorted(self._nodes)),
            peers=tuple(peer for peer in parsed if isinstance(peer, Peer)),
            invalid_peers=tuple(peer for peer in parsed if isinstance(peer, InvalidPeer)),
        )

    def _node(self, source: NodeObject) -> Node:
        known = self._nodes.get(source.name)
        if known is not None and known[0] is source:
            return known[1]
        return node_of(source, topology_label=self._label)

    def _peer(self, name: str, source: Mapping[str, Any]) -> Peer | InvalidPeer:
        known = self._peers.get(name)
        return known[1] if known is not None and known[0] is source else peer_of(source)
