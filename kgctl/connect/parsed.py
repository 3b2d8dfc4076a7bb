"""Cluster state that is parsed once an object, however often it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.state.objects import node_of, state_from
from kgctl.state.peer_objects import peer_name, peer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.objects import NodeObject
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import InvalidPeer, Peer
    from kgctl.mesh.state import State
    from kgctl.state.interface import Objects


class Parser:
    """Makes a ``State`` of objects; what was parsed for the last one is used again."""

    def __init__(self, topology_label: str) -> None:
        self._label = topology_label
        self._nodes: dict[str, tuple[NodeObject, Node]] = {}
        self._peers: dict[str, tuple[Mapping[str, Any], Peer | InvalidPeer]] = {}

    def state(self, objects: Objects) -> State:
        """Parse what is new. Of two objects of one name the later one counts."""
        known_nodes, self._nodes = self._nodes, {}
        known_peers, self._peers = self._peers, {}

        def node(source: NodeObject) -> Node:
            known = known_nodes.get(source.name)
            if known is None or known[0] is not source:
                known = source, node_of(source, topology_label=self._label)
            self._nodes[source.name] = known
            return known[1]

        def peer(source: Mapping[str, Any]) -> Peer | InvalidPeer:
            name = peer_name(source)
            known = known_peers.get(name)
            if known is None or known[0] is not source:
                known = source, peer_of(source)
            self._peers[name] = known
            return known[1]

        return state_from(objects, node, peer)
