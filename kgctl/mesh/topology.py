"""The topology that nodes and peers form, by the rules of Kilo 0.7.

docs/internals.md lists the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import MeshError
from kgctl.mesh.cidr import Address, Cidr, single
from kgctl.mesh.leader import elected_leader
from kgctl.mesh.overlap import OverlapIndex
from kgctl.mesh.text import bytewise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.leader import Election
    from kgctl.mesh.network import Network, Relaying
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer

LOCATION = "location"
FULL = "full"


class Segment(NamedTuple):
    """Nodes that share one WireGuard endpoint: their leader's.

    ``endpoint`` is the leader's, or one that another node discovered. ``allowed_ips`` are, in
    Kilo's order, each node's subnet and internal IP, and last the segment's WireGuard IP.
    ``filtered_location_ips`` are the allowed location IPs that Kilo drops because they clash.
    """

    name: str
    nodes: tuple[Node, ...]
    leader: Node
    endpoint: Endpoint | None
    wireguard_ip: Address
    allowed_ips: tuple[Cidr, ...]
    allowed_location_ips: tuple[Cidr, ...]
    filtered_location_ips: tuple[Cidr, ...]

    @property
    def key(self) -> PublicKey:
        """The public key of the leader, which is ready and so has one."""
        assert self.leader.key is not None
        return self.leader.key


class Topology(NamedTuple):
    """A network: its WireGuard ``subnet``, its segments and its ready peers, sorted.

    A ``network`` without nodes has no segments, and its ``granularity`` means nothing.
    ``relaying`` is how its peers are to reach those that they cannot call (``mesh/relays.py``).
    """

    granularity: str
    subnet: Cidr
    segments: tuple[Segment, ...]
    peers: tuple[Peer, ...]
    network: Network | None = None
    relaying: Relaying | None = None

    def segment_of(self, node_name: str) -> Segment | None:
        """Return the segment of the node, or None."""
        for segment in self.segments:
            if any(node.name == node_name for node in segment.nodes):
                return segment
        return None

    def peer(self, name: str) -> Peer | None:
        """Return the ready peer of that name, or None."""
        return next((peer for peer in self.peers if peer.name == name), None)


def build_topology(
    nodes: Iterable[Node],
    peers: Iterable[Peer],
    *,
    granularity: str,
    subnet: Cidr,
    lead: Election = elected_leader,
    before: Topology | None = None,
) -> Topology:
    """Build the topology of ready ``nodes`` and ready ``peers``, with annotated endpoints.

    The order of the input does not matter. ``kgctl.mesh.state`` adds discovered endpoints.
    ``lead`` chooses the leader from the nodes of a segment (``kgctl.mesh.leader``). ``before`` is
    an earlier result with the same ``lead``: what stayed the same is the same object.

    Raises:
        MeshError: the subnet has fewer addresses than there are segments.
    """
    groups = group_nodes(nodes, granularity)
    own_peers = _claim_allowed_ips(sorted(peers, key=lambda peer: bytewise(peer.name)))
    known = {} if before is None else {one.name: one for one in before.segments}
    segments = [
        _segment(name, members, address, lead, known.get(name))
        for (name, members), address in zip(
            groups.items(), _addresses(subnet, len(groups)), strict=True
        )
    ]
    return Topology(
        granularity=granularity,
        subnet=subnet,
        segments=tuple(_filter_location_ips(segments, own_peers)),
        peers=tuple(own_peers),
    )


def group_nodes(nodes: Iterable[Node], granularity: str) -> dict[str, list[Node]]:
    """Group nodes by the name of their segment, both sorted by name.

    This is the only place that assigns nodes to segments. It also groups nodes that are not ready,
    or too many for the Kilo subnet.
    """
    groups: dict[str, list[Node]] = {}
    for node in sorted(nodes, key=lambda node: bytewise(node.name)):
        alone = granularity == FULL or node.internal_ip is None
        name = f"node:{node.name}" if alone else location_segment(node.location)
        groups.setdefault(name, []).append(node)
    return {name: groups[name] for name in sorted(groups, key=bytewise)}


def location_segment(location: str) -> str:
    """Return the name of the segment of a location."""
    return f"{LOCATION}:{location}"


def wireguard_addresses(
    nodes: Iterable[Node], *, granularity: str, subnet: Cidr
) -> tuple[int, int]:
    """Return the number of WireGuard IPs that ready ``nodes`` need, and the number in the subnet.

    Kilo assigns every address of the subnet except the first, which is the network address.
    """
    return len(group_nodes(nodes, granularity)), _room(subnet)


def _room(subnet: Cidr) -> int:
    return (1 << subnet.host_bits) - 1


def _addresses(subnet: Cidr, count: int) -> Iterator[Address]:
    if count > _room(subnet):
        raise MeshError(
            f"ran out of IP addresses: {count} segments need a WireGuard IP each, "
            f"and the Kilo subnet {subnet} has too few; give Kilo a larger one (kg --subnet)",
            field="subnet",
            value=subnet,
        )
    first = subnet.network_value + 1
    kind = type(subnet.address)
    return (kind(first + number) for number in range(count))


def _segment(
    name: str, nodes: Sequence[Node], wireguard_ip: Address, lead: Election, known: Segment | None
) -> Segment:
    if known is not None and known.nodes == tuple(nodes) and known.wireguard_ip == wireguard_ip:
        return _unfiltered(known)
    allowed_ips: list[Cidr] = []
    location_ips: dict[str, Cidr] = {}
    for node in nodes:
        if node.subnet is not None:
            allowed_ips.append(node.subnet)
        if node.internal_ip is not None:
            allowed_ips.append(single(node.internal_ip.address))
        for cidr in node.allowed_location_ips:
            location_ips.setdefault(str(cidr), cidr)
    allowed_ips.append(single(wireguard_ip))
    leader = lead(nodes)
    return Segment(
        name=name,
        nodes=tuple(nodes),
        leader=leader,
        endpoint=leader.endpoint,
        wireguard_ip=wireguard_ip,
        allowed_ips=tuple(allowed_ips),
        allowed_location_ips=tuple(location_ips[text] for text in sorted(location_ips)),
        filtered_location_ips=(),
    )


def _unfiltered(segment: Segment) -> Segment:
    dropped = segment.filtered_location_ips
    if not dropped:
        return segment
    every = sorted((*segment.allowed_location_ips, *dropped), key=str)
    return segment._replace(allowed_location_ips=tuple(every), filtered_location_ips=())


def _filter_location_ips(segments: list[Segment], peers: Sequence[Peer]) -> list[Segment]:
    """Drop the allowed location IPs that clash, segment by segment in order."""
    if not any(segment.allowed_location_ips for segment in segments):
        return segments
    clashes = _Clashes(segments, peers)
    return [_filtered(segment, clashes) for segment in segments]


def _filtered(segment: Segment, clashes: _Clashes) -> Segment:
    clashes.enter(segment)
    kept: list[Cidr] = []
    dropped: list[Cidr] = []
    for cidr in segment.allowed_location_ips:
        (dropped if clashes.has(cidr) else kept).append(cidr)
    clashes.leave(kept)
    if not dropped:
        return segment
    return segment._replace(allowed_location_ips=tuple(kept), filtered_location_ips=tuple(dropped))


class _Clashes:
    """The networks that an allowed location IP must not intersect, while segments are filtered.

    Segments before the current one are filtered already; those after it are not, and have no
    WireGuard IP yet. This is Kilo's order of work, which affects the result.
    """

    def __init__(self, segments: Sequence[Segment], peers: Sequence[Peer]) -> None:
        asked = [cidr for segment in segments for cidr in segment.allowed_location_ips]
        self._location_ips = OverlapIndex(asked)
        self._allowed_ips = OverlapIndex(asked)
        self._peer_ips = OverlapIndex(asked)
        for cidr in asked:
            self._location_ips.add(cidr)
        for segment in segments:
            for cidr in segment.allowed_ips[:-1]:  # the last one is the WireGuard IP
                self._allowed_ips.add(cidr)
        for peer in peers:
            for cidr in peer.allowed_ips:
                self._peer_ips.add(cidr)

    def enter(self, segment: Segment) -> None:
        """Start with ``segment``: it gets its WireGuard IP, and its own networks do not clash."""
        self._allowed_ips.add(segment.allowed_ips[-1])
        for cidr in segment.allowed_location_ips:
            self._location_ips.remove(cidr)

    def has(self, cidr: Cidr) -> bool:
        """Return whether an allowed location IP of the current segment clashes."""
        return (
            self._location_ips.intersects(cidr)
            or self._allowed_ips.covers(cidr)
            or self._peer_ips.intersects(cidr)
        )

    def leave(self, kept: Iterable[Cidr]) -> None:
        """Finish the current segment with the networks that were ``kept``."""
        for cidr in kept:
            self._location_ips.add(cidr)


def _claim_allowed_ips(peers: Iterable[Peer]) -> list[Peer]:
    """Assign each allowed IP once, to the first peer by name that claims it."""
    claimed: set[str] = set()
    result = []
    for peer in peers:
        own = {str(cidr): cidr for cidr in peer.allowed_ips if str(cidr) not in claimed}
        claimed.update(own)
        kept = tuple(own.values())
        result.append(peer if kept == peer.allowed_ips else peer._replace(allowed_ips=kept))
    return result
