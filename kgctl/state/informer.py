"""Nodes and peers of a live cluster, kept up to date by an informer for each kind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from kgctl.kube.informer import Informer, Kind
from kgctl.state.interface import Objects
from kgctl.state.peer_objects import peer_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.http.client import Api
    from kgctl.kube.informer import Listener
    from kgctl.kube.objects import NodeObject


class ClusterInformer:
    """Nodes and peers of a live cluster, each followed by a thread that never keeps kgctl alive."""

    def __init__(self, api: Api, listener: Listener, *, lasts: int, poll: float) -> None:
        self.nodes = Informer(_nodes(api, lasts), listener, poll=poll, memory=api.memory)
        self.peers = Informer(_peers(api, lasts), listener, poll=poll, memory=api.memory)

    def start(self) -> None:
        """Start to follow."""
        for informer in (self.nodes, self.peers):
            threading.Thread(target=informer.run, daemon=True).start()

    def read(self) -> Objects | None:
        """Return all that is known; None before both kinds were listed once."""
        nodes, peers = self.nodes.objects, self.peers.objects
        if nodes is None or peers is None:
            return None
        return Objects(nodes=nodes, peers=peers, passed_over={})

    @property
    def heard(self) -> float:
        """When the API server last said anything of nodes, in Unix seconds."""
        return self.nodes.heard

    @property
    def heard_steady(self) -> float:
        """The same on the ``steady`` clock."""
        return self.nodes.heard_steady


def _nodes(api: Api, lasts: int) -> Kind[NodeObject]:
    from kgctl.state.collections import nodes_to_watch, watch_nodes

    return Kind(
        "nodes",
        lambda node: node.name,
        lambda: nodes_to_watch(api),
        lambda version: watch_nodes(api, version, lasts),
    )


def _peers(api: Api, lasts: int) -> Kind[Mapping[str, Any]]:
    from kgctl.state.collections import peers_to_watch, watch_peers

    return Kind(
        "peers",
        peer_name,
        lambda: peers_to_watch(api),
        lambda version: watch_peers(api, version, lasts),
    )
