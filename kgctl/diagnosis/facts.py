"""The input of the rules, and facts that are computed once for all of them."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import MeshError
from kgctl.kilo import PREFIX, TOPOLOGY_LABEL
from kgctl.mesh.claims import Use, claims_of, overlaps
from kgctl.mesh.comparison import unsettled
from kgctl.mesh.dialability import is_dialable_from_elsewhere
from kgctl.mesh.granted import limited
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

From outside its location, each node is a segment of its own, as with ``full``.
"""


def granularity_of(node: Node) -> str:
    """Return the granularity of a node's agent: ``location``, ``full``, ``cross``, or empty."""
    return CROSS if node.unreadable.get("granularity") == CROSS else node.granularity


class Facts:
    """A subject, the settings, and the facts that follow from them."""

    def __init__(self, subject: Subject, settings: Settings) -> None:
        self.subject = subject
        self.settings = settings

    @property
    def state(self) -> State:
        """The nodes and peers that were read."""
        return self.subject.state

    @property
    def now(self) -> float:
        """The time of the check, in Unix seconds."""
        return self.settings.now

    @cached_property
    def nodes(self) -> Mapping[str, Node]:
        """The nodes by name, ready or not, for rules with many look-ups."""
        return {node.name: node for node in reversed(self.state.nodes)}

    @cached_property
    def ready_nodes(self) -> list[Node]:
        """The ready nodes, sorted by name."""
        return self.state.ready_nodes(self.now)

    @cached_property
    def ready_peers(self) -> list[Peer]:
        """The ready peers, sorted by name."""
        return self.state.ready_peers(self.now)

    def has_agent(self, node: Node) -> bool:
        """Return whether the node has annotations that Kilo's agent writes."""
        written = self.subject.node_annotations.get(node.name, {})
        return any(PREFIX + name in written for name in _WRITTEN_AT_ONCE)

    @cached_property
    def never_ran(self) -> bool:
        """Whether there are nodes, but Kilo's agent annotated none of them."""
        return bool(self.state.nodes) and not any(map(self.has_agent, self.state.nodes))

    @cached_property
    def agents_label(self) -> str | None:
        """The label that the agents read locations from, if it is not the given one."""
        from kgctl.diagnosis.rules.grouping import agents_label

        return agents_label(self)

    @property
    def labels_of_agents(self) -> tuple[str, ...]:
        """The labels for locations: the given one, and that of the agents if it differs."""
        return (self.subject.topology_label, *filter(None, [self.agents_label]))

    @cached_property
    def granularity(self) -> str:
        """The granularity of the settings, else of the first ready node."""
        if self.settings.granularity != AUTO:
            return self.settings.granularity
        return granularity_of(self.ready_nodes[0]) if self.ready_nodes else ""

    @cached_property
    def topology(self) -> Topology | None:
        """The topology, or None if it cannot be built, which has rules of its own."""
        granularity = FULL if self.granularity == CROSS else self.settings.granularity
        try:
            return network_of(
                self.state, now=self.now, granularity=granularity, acting_leaders=True
            )
        except MeshError:
            return None

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The segments of the topology; empty if there is none."""
        return () if self.topology is None else self.topology.segments

    @cached_property
    def overlaps(self) -> Mapping[Clash, list[Overlap]]:
        """The overlaps of claims by kind of clash."""
        found: defaultdict[Clash, list[Overlap]] = defaultdict(list)
        for one in overlaps(self._claims_in_force()):
            found[one.clash].append(one)
        return found

    def _claims_in_force(self) -> Iterator[Claim]:
        """Yield the claims of ready nodes and peers, and the pod subnets of all nodes.

        Allowed location IPs that Kilo filters out have a rule of their own.
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
        """The segment of each node, by name; for nodes that are not ready, the one to expect."""
        groups = group_nodes(self.state.nodes, self.grouping)
        return {node.name: segment for segment, nodes in groups.items() for node in nodes}

    @cached_property
    def refused(self) -> list[Summary]:
        """The claims that joining machines refuse, by claimer and reason."""
        if self.topology is None:
            return []
        found = limited(self.topology, self.settings.limits).refusals
        return summaries(one for one in found if not one.is_expected)

    @property
    def grouping(self) -> str:
        """The granularity that groups nodes into segments; empty if unknown."""
        return FULL if self.granularity == CROSS else self.granularity

    @cached_property
    def wireguard_addresses(self) -> tuple[int, int]:
        """The number of WireGuard IPs that the segments need, and that the Kilo subnet has."""
        return wireguard_addresses(
            self.ready_nodes, granularity=self.grouping, subnet=kilo_subnet(self.state.nodes)
        )

    @cached_property
    def unsettled(self) -> Mapping[Cause, list[Unsettled]]:
        """The permanent differences between devices and their wanted state, by cause."""
        found: defaultdict[Cause, list[Unsettled]] = defaultdict(list)
        for one in () if self.topology is None else unsettled(self.topology):
            found[one.cause].append(one)
        return found

    @cached_property
    def seen_behind_nat(self) -> frozenset[str]:
        """The leaders with a private endpoint that others see at a public one."""
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
        """The discovered endpoint of each key, from the first ready node by name that has one."""
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
    """The input of the rules.

    ``node_annotations``, ``peer_annotations``, ``node_labels`` and ``peer_labels`` have the
    annotations and labels of each object by its name, unchanged: untrusted text. ``platforms`` has
    the nodes with such fields. ``topology_label`` is the label that locations were read from.
    ``live`` is true if a cluster was read, not just files. ``clock_ahead`` is how many seconds this
    machine's clock is ahead of the API server's, negative if behind; None if unknown, or if the
    check is for another time than now.

    ``unknown_fields`` maps the name of a Peer to a clause for each field that the API does not
    define. ``peers_served`` is None if unknown, as with files; ``peer_versions`` are the versions
    of the Peer API that were seen, except v1alpha1, which Kilo reads. ``unseen`` describes what
    could not be checked.
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
        """Whether there is nothing to check."""
        state = self.state
        return not (state.nodes or state.peers or state.invalid_peers or self.peer_versions)


class Settings(NamedTuple):
    """The settings of a check: the time in Unix seconds, the granularity, the service networks.

    ``missing_names`` maps the names of endpoints that do not resolve to the reason. ``limits`` are
    the limits of joining machines.
    """

    now: float
    granularity: str = AUTO
    service_cidrs: tuple[Cidr, ...] = ()
    missing_names: Mapping[str, str] = _NO_NAMES
    limits: Limits = Limits()
