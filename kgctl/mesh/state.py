"""The state of a cluster, and the topology that its nodes and peers form.

Only discovered endpoints depend on the point of view. Agents record the endpoints that WireGuard
learns from packets. The endpoints that the viewing node discovered come first, then those of the
other nodes, in the order of segments and nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import MeshError
from kgctl.mesh.leader import acting_leader, elected_leader
from kgctl.mesh.readiness import why_not_ready
from kgctl.mesh.subnets import kilo_subnet
from kgctl.mesh.text import printable
from kgctl.mesh.topology import FULL, LOCATION, Topology, build_topology

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.network import Network
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import InvalidPeer, Peer
    from kgctl.mesh.topology import Segment

    Discovered = Mapping[PublicKey, Endpoint]


class Viewpoints:
    """The views of a topology with ``annotated`` endpoints, by default that of node ``first``."""

    def __init__(self, annotated: Topology, first: str) -> None:
        self.annotated = annotated
        """The topology with annotated endpoints."""
        self._first = first
        self._own: dict[str, Discovered] = {}
        self._all: dict[PublicKey, Endpoint] = {}
        for segment in annotated.segments:
            for node in segment.nodes:
                self._own[node.name] = node.discovered_endpoints
                for key, endpoint in node.discovered_endpoints.items():
                    self._all.setdefault(key, endpoint)

    def from_node(self, hostname: str | None = None) -> Topology:
        """Return the topology as the node ``hostname`` sees it, by default the ``first``.

        If there is no such node, all discoveries count alike. A discovered endpoint of a segment
        or a peer replaces the annotated one if its keepalive is above 0.
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


AUTO = "auto"
GRANULARITIES = (LOCATION, FULL, AUTO)
_REASONS_SHOWN = 10


class NoReadyNodesError(MeshError):
    """No node is ready, so there is no network; the message has the reasons of each node."""


class GranularityError(MeshError):
    """The node that determines the granularity has none that is supported."""


class State(NamedTuple):
    """The nodes and peers of a cluster, each sorted by name.

    A ``network`` has no nodes, and consists of its peers: a folder describes it, not a cluster.
    """

    nodes: tuple[Node, ...]
    peers: tuple[Peer, ...]
    invalid_peers: tuple[InvalidPeer, ...] = ()
    network: Network | None = None

    @property
    def names(self) -> frozenset[str]:
        """The names of all nodes and peers, whether they take part or not."""
        return frozenset(
            (
                *(node.name for node in self.nodes),
                *(peer.name for peer in self.peers),
                *(invalid.name for invalid in self.invalid_peers),
            )
        )

    def ready_nodes(self, now: float) -> list[Node]:
        """Return the nodes that take part at ``now``, in Unix seconds."""
        return [node for node in self.nodes if node.is_ready(now)]

    def ready_peers(self, now: float) -> list[Peer]:
        """Return the peers that take part at ``now``, in Unix seconds: they have not expired."""
        return [peer for peer in self.peers if peer.is_ready and not peer.is_expired(now)]

    def unexpired(self, now: float) -> State:
        """Return the state without the peers that have expired at ``now``, in Unix seconds."""
        if not any(peer.is_expired(now) for peer in self.peers):
            return self
        return self._replace(peers=tuple(one for one in self.peers if not one.is_expired(now)))

    def next_expiry(self, now: float) -> float:
        """Return when the next peer expires after ``now``, both in Unix seconds, or infinity."""
        times = (peer.settings.expires for peer in self.peers)
        return min((one for one in times if one is not None and one > now), default=float("inf"))

    def node(self, name: str) -> Node | None:
        """Return the node of that name, ready or not, or None."""
        return next((node for node in self.nodes if node.name == name), None)

    def peer(self, name: str) -> Peer | None:
        """Return the valid peer of that name, or None."""
        return next((peer for peer in self.peers if peer.name == name), None)


def network_of(
    state: State,
    *,
    now: float,
    granularity: str = AUTO,
    hostname: str | None = None,
    acting_leaders: bool = False,
) -> Topology:
    """Build the topology at ``now``, in Unix seconds.

    ``hostname`` is the viewing node, whose discovered endpoints come first: by default the first
    ready node by name (the reference takes any). With ``acting_leaders`` the leaders are those
    that the agents chose, which a DNS name can make different from those of the reference's
    kgctl: see :func:`kgctl.mesh.leader.acting_leader`.

    Raises:
        NoReadyNodesError: no node is ready.
        GranularityError: ``auto``, and the deciding node has no granularity.
        MeshError: the Kilo subnet has too few addresses.
    """
    views = viewpoints_of(state, now=now, granularity=granularity, acting_leaders=acting_leaders)
    return views.from_node(hostname)


def viewpoints_of(
    state: State,
    *,
    now: float,
    granularity: str = AUTO,
    acting_leaders: bool = False,
    subnet: Cidr | None = None,
    ready: Sequence[Node] | None = None,
    before: Topology | None = None,
) -> Viewpoints:
    """Build the topology at ``now``, in Unix seconds, for the view of any node.

    ``acting_leaders`` is as in ``network_of``. ``subnet`` is the Kilo subnet, as agents are given
    it; by default the annotations show it. ``ready`` are the ready nodes, if they are known.
    ``before`` is as in :func:`kgctl.mesh.topology.build_topology`.

    Raises:
        MeshError: as for ``network_of``.
    """
    if state.network is not None:
        return Viewpoints(_of_peers(state, state.network, now), first="")
    ready = state.ready_nodes(now) if ready is None else ready
    if not ready:
        raise NoReadyNodesError(_no_ready_nodes(state.nodes, now))
    topology = build_topology(
        ready,
        state.ready_peers(now),
        granularity=granularity_of(ready, granularity),
        subnet=subnet or kilo_subnet(state.nodes),
        lead=acting_leader if acting_leaders else elected_leader,
        before=before,
    )
    return Viewpoints(topology, first=ready[0].name)


def _of_peers(state: State, network: Network, now: float) -> Topology:
    """Return the topology of a network without nodes; its subnet is the first pool."""
    ready = state.ready_peers(now)
    built = build_topology((), ready, granularity=FULL, subnet=network.pools[0])
    return built._replace(network=network, relaying=network.relaying)


def unbuilt(state: State, now: float) -> Topology:
    """Return a topology without segments, for a network that cannot be built at ``now``."""
    peers = tuple(state.ready_peers(now))
    return Topology(LOCATION, kilo_subnet(state.nodes), segments=(), peers=peers)


def granularity_of(ready: Sequence[Node], granularity: str = AUTO) -> str:
    """Return the granularity; ``auto`` is the granularity of the first ready node by name.

    The reference uses the node that the API happens to list first, ready or not.

    Raises:
        GranularityError: ``auto``, and that node has no granularity.
    """
    if granularity != AUTO:
        return granularity
    node = ready[0]
    if node.granularity not in (LOCATION, FULL):
        name = printable(node.name)
        found = printable(node.unreadable.get("granularity", ""))
        raise GranularityError(
            f'mesh granularity "{found}" of node "{name}" is not supported; annotate the node '
            f"with kilo.squat.ai/granularity={LOCATION} or {FULL}, or give the granularity",
            field="granularity",
            value=node.unreadable.get("granularity", ""),
            alternatives=(LOCATION, FULL),
        )
    return node.granularity


def _no_ready_nodes(nodes: Sequence[Node], now: float) -> str:
    lines = ["did not find any valid Kilo nodes in the cluster"]
    lines += [
        f"  {printable(node.name)}: {', '.join(why_not_ready(node, now))}"
        for node in nodes[:_REASONS_SHOWN]
    ]
    if not nodes:
        lines.append("  the cluster has no nodes")
    if len(nodes) > _REASONS_SHOWN:
        lines.append(f"  and {len(nodes) - _REASONS_SHOWN} more; see: kgctl get nodes")
    return "\n".join(lines)
