"""The format-independent picture of a network, and the lines of text on its nodes and peers.

A picture has every node, ready or not, in the area of its location, and every peer. Texts come
unchanged from the cluster, and are untrusted: each format quotes them by its own rules.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.dialability import is_behind_nat
from kgctl.mesh.network import direct_links
from kgctl.mesh.readiness import age, why_not_ready, why_peer_not_ready
from kgctl.mesh.relays import relays_of
from kgctl.mesh.text import bytewise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Segment, Topology


READY, STALE, BROKEN = "ready", "stale", "broken"
"""Takes part; took part until its heartbeats stopped; lacks something needed to take part."""

LOCAL, MESH, OUTSIDE, DIRECT = "local", "mesh", "peer", "direct"
"""Kinds of links: leader to node, leader to leader, leader to peer; and peer to peer, in a network
without nodes."""

End = tuple[str, str]
"""The end of a link: ``node`` or ``peer``, and the name."""


class Member(NamedTuple):
    """A node. ``endpoint`` is the one that others use; ``reasons`` explain why it is not ready.

    ``segment`` is None if the node is in none; ``heartbeat_age`` is in seconds, None without a
    heartbeat.
    """

    name: str
    location: str
    state: str
    reasons: tuple[str, ...]
    segment: str | None
    leads: bool
    behind_nat: bool
    endpoint: Endpoint | None
    subnet: Cidr | None
    internal_ip: Cidr | None
    wireguard_ip: Address | None
    persistent_keepalive: int
    heartbeat_age: int | None

    @property
    def end(self) -> End:
        """The node as an end of links."""
        return ("node", self.name)


class Outsider(NamedTuple):
    """A peer. ``behind_nat``: others reach it only after it connects first."""

    name: str
    state: str
    reasons: tuple[str, ...]
    behind_nat: bool
    endpoint: Endpoint | None
    allowed_ips: tuple[Cidr, ...]
    persistent_keepalive: int
    location: str = ""

    @property
    def end(self) -> End:
        """The peer as an end of links."""
        return ("peer", self.name)


class Area(NamedTuple):
    """A location and its nodes, leaders first, then by name."""

    location: str
    nodes: tuple[Member, ...]

    @property
    def counts(self) -> Counter[str]:
        """The number of nodes in each state."""
        return Counter(node.state for node in self.nodes)

    @property
    def worst(self) -> str:
        """The worst state of a node."""
        counts = self.counts
        return next((state for state in (BROKEN, STALE) if counts[state]), READY)


class Link(NamedTuple):
    """A connection between two ends; the keepalive, in seconds, is that of the side with one."""

    kind: str
    source: End
    target: End
    behind_nat: bool
    persistent_keepalive: int


class Picture(NamedTuple):
    """Everything to draw. ``reach`` is None, or the distance of each end from the focus in links.

    A focused picture only has links with an end closer than ``hops`` links. ``network`` is the name
    of a network without nodes; ``relayed`` if others forward between its machines.
    """

    subnet: str
    granularity: str
    areas: tuple[Area, ...]
    peers: tuple[Outsider, ...]
    collapsed: bool = False
    reach: Mapping[End, int] | None = None
    hops: int = 0
    network: str | None = None
    relayed: bool = False

    @property
    def nodes(self) -> Iterator[Member]:
        """All nodes, area by area."""
        return (node for area in self.areas for node in area.nodes)

    @property
    def leaders(self) -> list[Member]:
        """The leaders of all segments, in the order of the segments."""
        return sorted((node for node in self.nodes if node.leads), key=_segment_order)

    @property
    def size(self) -> int:
        """The number of nodes and peers."""
        return sum(len(area.nodes) for area in self.areas) + len(self.peers)

    def links(self) -> Iterator[Link]:
        """Yield every link of the picture lazily: there may be millions."""
        leaders = self.leaders
        every = (
            self._local(leaders),
            self._mesh(leaders),
            self._outside(leaders),
            self._direct(),
        )
        return (link for links in every for link in links if self._shows(link))

    def _shows(self, link: Link) -> bool:
        if self.reach is None:
            return True
        return min(self.reach[link.source], self.reach[link.target]) < self.hops

    def _local(self, leaders: Iterable[Member]) -> Iterator[Link]:
        by_segment = {leader.segment: leader for leader in leaders}
        for node in self.nodes:
            leader = by_segment.get(node.segment)
            if node.segment is not None and leader is not None and not node.leads:
                yield Link(LOCAL, leader.end, node.end, behind_nat=False, persistent_keepalive=0)

    def _mesh(self, leaders: Iterable[Member]) -> Iterator[Link]:
        for one, other in combinations(leaders, 2):
            natted = one.behind_nat or other.behind_nat
            keepalive = max(one.persistent_keepalive, other.persistent_keepalive)
            yield Link(MESH, one.end, other.end, natted, keepalive)

    def _outside(self, leaders: Iterable[Member]) -> Iterator[Link]:
        peers = [peer for peer in self.peers if peer.state == READY]
        for leader in leaders:
            for peer in peers:
                natted = leader.behind_nat or peer.behind_nat
                keepalive = peer.persistent_keepalive
                yield Link(OUTSIDE, leader.end, peer.end, natted, keepalive)

    def _direct(self) -> Iterator[Link]:
        if self.network is None:
            return
        ready = [peer for peer in self.peers if peer.state == READY]
        for one, other in direct_links(ready, relayed=self.relayed):
            keepalive = max(one.persistent_keepalive, other.persistent_keepalive)
            yield Link(DIRECT, one.end, other.end, False, keepalive)


def picture_of(
    state: State, topology: Topology, now: float, *, present: float | None = None
) -> Picture:
    """Return the picture of a whole cluster at ``now``, in Unix seconds.

    Ages are relative to ``present``, or to ``now`` if it is None.
    """
    places = {node.name: one for one in topology.segments for node in one.nodes}
    by_location: dict[str, list[Member]] = {}
    for node in state.nodes:
        member = _member(node, places.get(node.name), now, now if present is None else present)
        by_location.setdefault(node.location, []).append(member)
    areas = [Area(place, tuple(_leaders_first(nodes))) for place, nodes in by_location.items()]
    return Picture(
        subnet=str(topology.subnet),
        granularity=topology.granularity,
        areas=tuple(sorted(areas, key=lambda area: bytewise(area.location))),
        peers=tuple(_outsiders(state, topology, now if present is None else present)),
        network=state.network and state.network.name,
        relayed=bool(relays_of(topology)),
    )


def _member(node: Node, segment: Segment | None, now: float, present: float) -> Member:
    leads = segment is not None and segment.leader.name == node.name
    used = segment.endpoint if segment is not None and leads else node.endpoint
    return Member(
        name=node.name,
        location=node.location,
        state=_state(node, now),
        reasons=why_not_ready(node, now, present=present),
        segment=segment and segment.name,
        leads=leads,
        behind_nat=node.endpoint is not None and is_behind_nat(node.endpoint, used),
        endpoint=used,
        subnet=node.subnet,
        internal_ip=node.internal_ip,
        wireguard_ip=segment.wireguard_ip if segment is not None and leads else None,
        persistent_keepalive=node.persistent_keepalive,
        heartbeat_age=int(present - node.last_seen) if node.last_seen else None,
    )


def _state(node: Node, now: float) -> str:
    if node.is_ready(now):
        return READY
    lacks = node.endpoint is None or node.key is None or node.subnet is None
    return BROKEN if lacks or not node.last_seen else STALE


def _outsiders(state: State, topology: Topology, now: float) -> Iterator[Outsider]:
    taking_part = {peer.name: peer for peer in topology.peers}
    known: dict[str, Outsider] = {}
    for peer in state.peers:
        known[peer.name] = _outsider(peer, taking_part.get(peer.name, peer), now)
    for invalid in state.invalid_peers:
        problems = tuple(f"invalid: {problem}" for problem in invalid.problems)
        known[invalid.name] = Outsider(
            invalid.name, BROKEN, problems, behind_nat=False, endpoint=None,
            allowed_ips=invalid.allowed_ips, persistent_keepalive=0,
        )  # fmt: skip
    return (known[name] for name in sorted(known, key=bytewise))


def _outsider(peer: Peer, in_use: Peer, now: float) -> Outsider:
    reasons = why_peer_not_ready(peer, now)
    return Outsider(
        name=peer.name,
        state=BROKEN if reasons else READY,
        reasons=reasons,
        behind_nat=is_behind_nat(peer.endpoint, in_use.endpoint),
        endpoint=in_use.endpoint,
        allowed_ips=in_use.allowed_ips,
        persistent_keepalive=peer.persistent_keepalive,
        location=peer.location,
    )


def _leaders_first(nodes: Iterable[Member]) -> list[Member]:
    return sorted(nodes, key=lambda node: (not node.leads, bytewise(node.name)))


def _segment_order(node: Member) -> bytes:
    return bytewise(node.segment or "")


def title(picture: Picture) -> str:
    """Return the name of the network, as a title."""
    if picture.network is not None:
        return f"network {picture.network}"
    return f"Kilo network {picture.subnet}"


def number_of_peers(picture: Picture, count: int) -> str:
    """Return a number of peers, which are the machines of a network without nodes."""
    return number(count, "peer" if picture.network is None else "machine")


def place(area: Area) -> str:
    """Return the title of an area."""
    return area.location or "no location"


def area_lines(area: Area) -> Iterator[str]:
    """Yield the lines of an area that is drawn as one node."""
    counts = area.counts
    yield place(area)
    total = sum(counts.values())
    yield f"{number(total, 'node')}, {counts[READY]} ready"
    lost = [f"{counts[state]} {state}" for state in (STALE, BROKEN) if counts[state]]
    if lost:
        yield f"! {', '.join(lost)}"
    leaders = [node for node in area.nodes if node.leads]
    if len(leaders) == 1:
        yield f"leader {leaders[0].name}"
    elif leaders:
        yield f"{len(leaders)} leaders"
    if any(node.behind_nat for node in leaders):
        yield "behind NAT"


def node_lines(node: Member, *, detailed: bool) -> Iterator[str]:
    """Yield the lines of a node."""
    yield f"★ {node.name}" if node.leads else node.name
    if node.state != READY:
        first, *others = node.reasons
        yield f"{node.state}: {first}"
        yield from others
        return
    if detailed:
        yield f"pods {node.subnet}"
        if node.leads:
            yield f"{node.wireguard_ip} at {node.endpoint}"
        elif node.internal_ip is not None:
            yield str(node.internal_ip.address)
    if node.leads and node.behind_nat:
        yield "behind NAT"


def peer_lines(peer: Outsider, *, detailed: bool) -> Iterator[str]:
    """Yield the lines of a peer."""
    yield peer.name
    if peer.state != READY:
        yield from peer.reasons
    elif detailed:
        yield ", ".join(str(cidr) for cidr in peer.allowed_ips)
        yield str(peer.endpoint) if peer.endpoint is not None else "calls, cannot be called"


def keepalive(seconds: int) -> str:
    """Return a keepalive in words."""
    return f"keepalive {age(seconds)}" if seconds else "no keepalive"


def number(count: int, what: str) -> str:
    """Return a count with its noun: ``1 node``, ``2 nodes``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
