"""The heartbeats of nodes across an outage of the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.state import State


class Heartbeats:
    """The newest heartbeat of each node, by its key.

    An API server that is restored from a backup has old heartbeats: without this, all nodes would
    be gone until they write their next ones.
    """

    def __init__(self) -> None:
        self._newest: dict[PublicKey, int] = {}

    def kept(self, state: State, *, after_outage: bool) -> State:
        """Return the state; ``after_outage``, no heartbeat is older than it was before that."""
        nodes = state.nodes
        if after_outage:
            nodes = tuple(
                node
                if node.key is None or node.last_seen >= self._newest.get(node.key, 0)
                else node._replace(last_seen=self._newest[node.key])
                for node in nodes
            )
            state = state._replace(nodes=nodes)
        self._newest = {node.key: node.last_seen for node in nodes if node.key is not None}
        return state
