"""What several rules need, worked out once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from kgctl.mesh.errors import MeshError
from kgctl.mesh.state import network_of

if TYPE_CHECKING:
    from kgctl.diagnosis.subject import Settings, Subject
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Segment, Topology


class Facts:
    """A subject, the settings, and what follows from them."""

    def __init__(self, subject: Subject, settings: Settings) -> None:
        self.subject = subject
        self.settings = settings

    @property
    def state(self) -> State:
        """The nodes and peers that were read."""
        return self.subject.state

    @property
    def now(self) -> float:
        """The time at which the cluster is judged, in Unix seconds."""
        return self.settings.now

    @cached_property
    def ready_nodes(self) -> list[Node]:
        """The nodes that take part, by name."""
        return self.state.ready_nodes(self.now)

    @cached_property
    def ready_peers(self) -> list[Peer]:
        """The peers that take part, by name."""
        return [peer for peer in self.state.peers if peer.is_ready]

    @cached_property
    def topology(self) -> Topology | None:
        """The network, or None where there is none; other rules say why."""
        try:
            return network_of(self.state, now=self.now, granularity=self.settings.granularity)
        except MeshError:
            return None

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The segments of the network; empty where there is none."""
        return () if self.topology is None else self.topology.segments
