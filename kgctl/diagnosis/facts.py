"""What several rules need, worked out once.

What the rules look at: the state that was read, and what else was seen on the way.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import MeshError
from kgctl.kilo import PREFIX, TOPOLOGY_LABEL
from kgctl.mesh.claims import Use, claims_of, overlaps
from kgctl.mesh.comparison import unsettled
from kgctl.mesh.dialling import is_dialable_from_elsewhere
from kgctl.mesh.limiting import limited
from kgctl.mesh.policy import Limits, summaries
from kgctl.mesh.state import AUTO, network_of
from kgctl.mesh.subnets import kilo_subnet
from kgctl.mesh.topology import FULL, group_nodes, wireguard_addresses

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.claims import Claim, Clash, Overlap
    from kgctl.mesh.comparison import Cause, Unsettled
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.node import Node, Platform
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.policy import Summary
    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Segment, Topology


_WRITTEN_AT_ONCE = ("key", "endpoint", "last-seen", "internal-ip")

CROSS = "cross"
"""The granularity of newer agents with a tunnel between any two nodes of different locations.

To everything outside of a location each node is a segment of its own, as with ``full``.
"""


def granularity_of(node: Node) -> str:
    """Return what a node's agent runs with: ``location``, ``full``, ``cross``, or nothing."""
    return CROSS if node.unreadable.get("granularity") == CROSS else node.granularity


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
    def nodes(self) -> Mapping[str, Node]:
        """The nodes by name, ready or not: for rules that look up many."""
        return {node.name: node for node in reversed(self.state.nodes)}

    @cached_property
    def ready_nodes(self) -> list[Node]:
        """The nodes that take part, by name."""
        return self.state.ready_nodes(self.now)

    @cached_property
    def ready_peers(self) -> list[Peer]:
        """The peers that take part, by name."""
        return [peer for peer in self.state.peers if peer.is_ready]

    def has_agent(self, node: Node) -> bool:
        """Tell whether Kilo's agent ever wrote on the node, as far as annotations show."""
        written = self.subject.node_annotations.get(node.name, {})
        return any(PREFIX + name in written for name in _WRITTEN_AT_ONCE)

    @cached_property
    def never_ran(self) -> bool:
        """Whether there are nodes, and Kilo's agent has written on none of them."""
        return bool(self.state.nodes) and not any(map(self.has_agent, self.state.nodes))

    @cached_property
    def agents_label(self) -> str | None:
        """The label that the agents read locations from, where it is not the one given."""
        from kgctl.diagnosis.rules.grouping import agents_label

        return agents_label(self)

    @property
    def labels_of_agents(self) -> tuple[str, ...]:
        """The labels that locations are read from: by the one given, and by the agents."""
        return (self.subject.topology_label, *filter(None, [self.agents_label]))

    @cached_property
    def granularity(self) -> str:
        """What the network is built in: as is set, else as the first ready node says."""
        if self.settings.granularity != AUTO:
            return self.settings.granularity
        return granularity_of(self.ready_nodes[0]) if self.ready_nodes else ""

    @cached_property
    def topology(self) -> Topology | None:
        """The network, or None where there is none; other rules say why."""
        granularity = FULL if self.granularity == CROSS else self.settings.granularity
        try:
            return network_of(
                self.state, now=self.now, granularity=granularity, acting_leaders=True
            )
        except MeshError:
            return None

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The segments of the network; empty where there is none."""
        return () if self.topology is None else self.topology.segments

    @cached_property
    def overlaps(self) -> Mapping[Clash, list[Overlap]]:
        """The claims to networks that clash, by the way in which they do."""
        found: defaultdict[Clash, list[Overlap]] = defaultdict(list)
        for one in overlaps(self._claims_in_force()):
            found[one.clash].append(one)
        return found

    def _claims_in_force(self) -> Iterator[Claim]:
        """Yield the claims of who takes part, and of all nodes those to pod subnets.

        An allowed location IP that Kilo filters out is another rule's.
        """
        nodes = {node.name for node in self.ready_nodes}
        peers = {peer.name for peer in self.ready_peers}
        filtered = {
            (segment.name, cidr)
            for segment in self.segments
            for cidr in segment.filtered_location_ips
        }
        wireguard = kilo_subnet(self.state.nodes)
        for claim in claims_of(
            self.state,
            self.settings.service_cidrs,
            place_of=lambda node: self._places[node.name],
        ):
            if claim.use is Use.PEER:
                takes_part = claim.name in peers
            elif claim.use in (Use.INTERNAL_IP, Use.LOCATION_IPS):
                takes_part = claim.name in nodes
            else:
                takes_part = claim.use is not Use.WIREGUARD or claim.network == wireguard
            if takes_part and (claim.place, claim.network) not in filtered:
                yield claim

    @cached_property
    def _places(self) -> Mapping[str, str]:
        """The segment of each node, by name; of one that is not ready, where it would be."""
        groups = group_nodes(self.state.nodes, self.grouping)
        return {node.name: segment for segment, nodes in groups.items() for node in nodes}

    @cached_property
    def refused(self) -> list[Summary]:
        """What machines that join are not to grant, by claimer and reason."""
        if self.topology is None:
            return []
        found = limited(self.topology, self.settings.limits).refusals
        return summaries(one for one in found if not one.is_expected)

    @property
    def grouping(self) -> str:
        """The granularity by which nodes are in segments; empty where nothing tells it."""
        return FULL if self.granularity == CROSS else self.granularity

    @cached_property
    def wireguard_addresses(self) -> tuple[int, int]:
        """How many WireGuard IPs the segments need, and how many the Kilo subnet has."""
        return wireguard_addresses(
            self.ready_nodes, granularity=self.grouping, subnet=kilo_subnet(self.state.nodes)
        )

    @cached_property
    def unsettled(self) -> Mapping[Cause, list[Unsettled]]:
        """What keeps agents from ever being content with their devices, by its cause."""
        found: defaultdict[Cause, list[Unsettled]] = defaultdict(list)
        for one in () if self.topology is None else unsettled(self.topology):
            found[one.cause].append(one)
        return found

    @cached_property
    def seen_behind_nat(self) -> frozenset[str]:
        """The leaders with a private endpoint that others see at one that is not private."""
        seen = self.discovered
        return frozenset(
            segment.leader.name
            for segment in self.segments
            if segment.key in seen
            and segment.leader.endpoint is not None
            and not is_dialable_from_elsewhere(segment.leader.endpoint)
            and is_dialable_from_elsewhere(seen[segment.key])
        )

    @cached_property
    def discovered(self) -> dict[PublicKey, Endpoint]:
        """Where ready nodes see the machine that has a key: the first that tells, by name."""
        found: dict[PublicKey, Endpoint] = {}
        for node in self.ready_nodes:
            for key, endpoint in node.discovered_endpoints.items():
                found.setdefault(key, endpoint)
        return found


_NONE: Mapping[str, Mapping[str, str]] = MappingProxyType({})

_NO_FIELDS: Mapping[str, Sequence[str]] = MappingProxyType({})
_NO_PLATFORMS: Mapping[str, Platform] = MappingProxyType({})

_NO_NAMES: Mapping[str, str] = MappingProxyType({})


class Subject(NamedTuple):
    """All that was read.

    ``node_annotations``, ``peer_annotations``, ``node_labels`` and ``peer_labels`` hold each
    object's annotations and labels by its name, as they are: untrusted text. ``platforms`` has the
    nodes that say something there. ``topology_label`` is the label that locations were read from.
    ``live`` is whether a cluster was read, and not files alone. ``clock_ahead`` is by how many
    seconds this machine's clock is ahead of the API server's, negative if behind; None where that
    is not known, or where another time than now is judged by.

    ``unknown_fields`` has, by the name of each Peer that has fields which no Peer has, a clause
    about each.

    ``peers_served`` is None where that could not be told (files do
    not tell it); ``peer_versions`` names the versions of the Peer API that were seen besides
    v1alpha1, which is the one that Kilo reads. ``unseen`` says, in words, what could not be
    looked at.
    """

    state: State
    node_annotations: Mapping[str, Mapping[str, str]] = _NONE
    peer_annotations: Mapping[str, Mapping[str, str]] = _NONE
    peers_served: bool | None = None
    peer_versions: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    node_labels: Mapping[str, Mapping[str, str]] = _NONE
    peer_labels: Mapping[str, Mapping[str, str]] = _NONE
    platforms: Mapping[str, Platform] = _NO_PLATFORMS
    topology_label: str = TOPOLOGY_LABEL
    live: bool = False
    unknown_fields: Mapping[str, Sequence[str]] = _NO_FIELDS
    clock_ahead: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was read that a rule could look at."""
        state = self.state
        return not (state.nodes or state.peers or state.invalid_peers or self.peer_versions)


class Settings(NamedTuple):
    """How it is looked at: the time in Unix seconds, the granularity, the service networks.

    ``missing_names`` are names of endpoints that do not resolve, each with why. ``limits`` are what
    the machines that join grant.
    """

    now: float
    granularity: str = AUTO
    service_cidrs: tuple[Cidr, ...] = ()
    missing_names: Mapping[str, str] = _NO_NAMES
    limits: Limits = Limits()
