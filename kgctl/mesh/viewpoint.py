"""One network, as each of its nodes sees it.

Agents write down where they see the others, as WireGuard learns it from their packets. What the
node discovered from whose side the network is seen comes first; then, in order of segments and
of nodes, what the others did. Nothing else of a network depends on who looks at it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Segment, Topology

    Discovered = Mapping[PublicKey, Endpoint]


class Viewpoints:
    """A network with ``annotated`` endpoints, to be seen from ``first`` or another of its nodes."""

    def __init__(self, annotated: Topology, first: str) -> None:
        self.annotated = annotated
        """The network with the endpoints that are annotated."""
        self._first = first
        self._own: dict[str, Discovered] = {}
        self._all: dict[PublicKey, Endpoint] = {}
        for segment in annotated.segments:
            for node in segment.nodes:
                self._own[node.name] = node.discovered_endpoints
                for key, endpoint in node.discovered_endpoints.items():
                    self._all.setdefault(key, endpoint)

    def from_node(self, hostname: str | None = None) -> Topology:
        """Return the network as the node ``hostname`` sees it, by default the ``first``.

        There need be no such node: then all discoveries count alike. Where the key of a segment
        or a peer with a keepalive above 0 was discovered, that endpoint takes the place of the
        annotated one.
        """
        if not self._all:
            return self.annotated
        own = self._own.get(self._first if hostname is None else hostname, {})
        return self.annotated._replace(
            segments=tuple(self._segment(one, own) for one in self.annotated.segments),
            peers=tuple(self._peer(one, own) for one in self.annotated.peers),
        )

    def _segment(self, segment: Segment, own: Discovered) -> Segment:
        if segment.leader.persistent_keepalive <= 0:
            return segment
        endpoint = self._discovered(segment.key, own)
        return segment if endpoint is None else segment._replace(endpoint=endpoint)

    def _peer(self, peer: Peer, own: Discovered) -> Peer:
        if peer.persistent_keepalive <= 0 or peer.public_key is None:
            return peer
        endpoint = self._discovered(peer.public_key, own)
        if endpoint is None:
            return peer
        return peer._replace(endpoint=endpoint, discovered=True, replaced_endpoint=peer.endpoint)

    def _discovered(self, key: PublicKey, own: Discovered) -> Endpoint | None:
        return own.get(key) or self._all.get(key)
