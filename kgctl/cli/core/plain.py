"""Answers of the plain calls: the graph, and configurations in WireGuard's format.

The reference has them too. Scripts ask for them in loops, so nothing here imports Typer
(``kgctl.cli.core.app``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.core.names import ready_node, ready_peer
from kgctl.cli.core.output import answer, note, print_configuration
from kgctl.cli.core.source import listen_port, read
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from kgctl.cli.core.line import Shared
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Segment, Topology


class Leading(NamedTuple):
    """A node, the segment that it leads, and the network as seen from the node."""

    node: Node
    segment: Segment
    topology: Topology


def print_graph(shared: Shared) -> None:
    """Print the network as the reference draws it.

    Raises:
        KgctlError: the cluster cannot be read, or has no network.
    """
    from kgctl.render.graph.dot import to_dot

    answer(to_dot(read(shared).topology(as_reference=True)))


def leading(shared: Shared, name: str) -> Leading | None:
    """Return the leader with this name; if the node is not a leader, note that and return None.

    Raises:
        KgctlError: the cluster cannot be read, or has no ready node with this name.
    """
    reading = read(shared)
    reading.require_ready_nodes()
    node = ready_node(reading, name)
    topology = reading.topology(hostname=name, as_reference=True)
    segment = topology.segment_of(name)
    assert segment is not None  # every ready node is in a segment
    if segment.leader.name != name:
        note(f'Node "{printable(name)}" is not a leader node')
        return None
    return Leading(node, segment, topology)


def print_node(shared: Shared, name: str) -> None:
    """Print the configuration that the leader with this name sets on its WireGuard interface.

    Raises:
        KgctlError: as for ``leading``.
    """
    from kgctl.wireguard.conf import node_configuration

    found = leading(shared, name)
    if found is not None:
        port = listen_port(shared)
        print_configuration(node_configuration(found.topology, found.node, listen_port=port))


class Joining(NamedTuple):
    """A peer as the cluster has it, and the network."""

    peer: Peer
    topology: Topology


def joining(shared: Shared, name: str, *, alone: bool = False) -> Joining:
    """Return the peer with this name; ``alone`` if the rest of the network does not matter.

    Raises:
        KgctlError: the cluster cannot be read, or has no ready peer with this name.
    """
    reading = read(shared)
    reading.require_ready_nodes()
    peer = ready_peer(reading, name)
    return Joining(peer, reading.topology(as_reference=not alone))


def print_peer(shared: Shared, name: str) -> None:
    """Print the configuration with which the peer with this name joins.

    Raises:
        KgctlError: as for ``joining``.
    """
    from kgctl.wireguard.conf import peer_configuration

    topology = joining(shared, name).topology
    found = topology.peer(name)
    assert found is not None  # a ready peer is in the topology
    print_configuration(peer_configuration(topology, found))
