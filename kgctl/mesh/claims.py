"""Claims of nodes, segments and peers to networks, and the clashes between them.

Every network that packets are sent to has an owner: pod subnets, internal IPs and allowed location
IPs of nodes, the WireGuard network, service networks, allowed IPs of peers. One table defines which
of them may overlap; ``check``, ``link``, ``path``, ``peer add`` and ``node set`` all use it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import Cidr, single
from kgctl.mesh.subnets import is_sane, kilo_subnet
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Segment


class Use(StrEnum):
    """The use of a network. For the same network, later uses count as within earlier ones."""

    WIREGUARD = "WireGuard network"
    SERVICES = "service network"
    LOCATION_IPS = "allowed location IP"
    PODS = "pod subnet"
    PEER = "allowed IP"
    INTERNAL_IP = "internal IP"
    ENDPOINT = "endpoint"


_RANK = {use: number for number, use in enumerate(Use)}
_ARTICLES = {
    Use.PODS: "the pod subnet of node",
    Use.INTERNAL_IP: "the internal IP of node",
    Use.ENDPOINT: "the endpoint of node",
    Use.LOCATION_IPS: "an allowed location IP of node",
    Use.PEER: "an allowed IP of peer",
    Use.WIREGUARD: "the WireGuard network",
    Use.SERVICES: "a service network",
}


class Claim(NamedTuple):
    """A network in use, and the node or peer ``name`` that uses it: untrusted, may be empty.

    ``place`` is the segment of a node. ``lan`` is the network that an internal IP is connected to.
    """

    network: Cidr
    use: Use
    name: str = ""
    place: str = ""
    lan: Cidr | None = None

    @property
    def owner(self) -> str:
        """The use and the name of the owner, printable."""
        by = " of node" if self.use is Use.WIREGUARD else ""
        return f"{self.words}{by} {printable(self.name)}" if self.name else self.words

    @property
    def words(self) -> str:
        """The use without the name of the owner: ``the pod subnet of node``."""
        return _ARTICLES[self.use]

    @property
    def peer(self) -> str | None:
        """The name of the peer, or None if it is not a peer's claim."""
        return self.name if self.use is Use.PEER else None


class Clash(StrEnum):
    """A kind of conflict between two claims."""

    PODS_TWICE = "pods-twice"
    """Pod subnets of two nodes overlap."""
    INTERNAL_IP_TWICE_AT_HOME = "internal-ip-twice-at-home"
    """Two nodes of one segment have the same internal IP."""
    INTERNAL_IP_TWICE = "internal-ip-twice"
    """Nodes of two segments have the same internal IP: WireGuard assigns it to one of them."""
    INTERNAL_IP_IN_PODS = "internal-ip-in-pods"
    """An internal IP lies in a pod subnet: a pod may have the same address."""
    INTERNAL_IP_IN_SERVICES = "internal-ip-in-services"
    """An internal IP lies in a service network: a service may have the same address."""
    INTERNAL_IP_IN_WIREGUARD = "internal-ip-in-wireguard"
    """An internal IP lies in the WireGuard network: it is, or becomes, a leader's WireGuard IP."""
    INTERNAL_IP_OF_PEER = "internal-ip-of-peer"
    """A peer's allowed IP contains a node's internal IP."""
    LAN_ELSEWHERE = "lan-elsewhere"
    """An allowed location IP of another segment takes over a node's own network."""
    LOCATION_IP = "location-ip"
    """An allowed location IP overlaps pods, the WireGuard network or others' internal IPs."""
    LOCATION_IP_FILTERED = "location-ip-filtered"
    """An allowed location IP overlaps another segment's or a peer's: Kilo drops one of them."""
    PEERS_SHARE = "peers-share"
    """Two peers claim one network: the first gets it if spelled alike, else WireGuard's last."""
    PEER_IN_PEER = "peer-in-peer"
    """A peer's network is part of another peer's: the part wins, which may be intended."""
    NETWORKS = "networks"
    """Two networks overlap that must be disjoint."""


class Overlap(NamedTuple):
    """Two claims that clash; the network of ``outer`` contains that of ``inner`` or equals it."""

    clash: Clash
    outer: Claim
    inner: Claim


def claims_of(
    state: State,
    service_cidrs: Iterable[Cidr] = (),
    *,
    beside: str | None = None,
    place_of: Callable[[Node], str] = lambda node: node.location,
    nodes: Iterable[Node] | None = None,
) -> Iterator[Claim]:
    """Yield the claims of all nodes and peers, ready or not; or of these ``nodes`` and all peers.

    These are the pod subnets, internal IPs, endpoints and allowed location IPs of nodes, the
    WireGuard network, the allowed IPs of all peers except ``beside`` (of an invalid peer those
    that parse), and the service networks. ``place_of`` returns a node's segment.
    """
    for node in state.nodes if nodes is None else nodes:
        yield from _claims_of_node(node, place_of(node))
    yield from _wireguard_networks(state)
    for name, allowed_ips in _allowed_ips(state):
        if name != beside:
            for cidr in allowed_ips:
                yield Claim(cidr, Use.PEER, name)
    for cidr in service_cidrs:
        yield Claim(cidr, Use.SERVICES)


def _claims_of_node(node: Node, place: str) -> Iterator[Claim]:
    if node.subnet is not None:
        yield Claim(node.subnet, Use.PODS, node.name, place)
    if node.internal_ip is not None:
        own = node.internal_ip
        yield Claim(single(own.address), Use.INTERNAL_IP, node.name, place, own)
    if node.endpoint is not None and node.endpoint.address is not None:
        yield Claim(single(node.endpoint.address), Use.ENDPOINT, node.name, place)
    for cidr in node.allowed_location_ips:
        yield Claim(cidr, Use.LOCATION_IPS, node.name, place)


def _allowed_ips(state: State) -> Iterator[tuple[str, tuple[Cidr, ...]]]:
    for peer in state.peers:
        yield peer.name, peer.allowed_ips
    for invalid in state.invalid_peers:
        yield invalid.name, invalid.allowed_ips


def _wireguard_networks(state: State) -> Iterator[Claim]:
    """Yield the network of WireGuard IPs, and the networks of nodes that use another one.

    They differ while Kilo's subnet changes. A network that cannot hold WireGuard IPs is an error
    of its node, and counts only for the node's own address.
    """
    if state.network is not None:  # its machines have their addresses from allowed IPs alone
        return
    subnet = kilo_subnet(state.nodes)
    yield Claim(subnet, Use.WIREGUARD)
    seen = {subnet.number}
    for node in state.nodes:
        if node.wireguard_ip is not None and node.wireguard_ip.number not in seen:
            network = node.wireguard_ip.masked()
            if not is_sane(network, 1):
                network = single(node.wireguard_ip.address)
            if network.number not in seen:
                seen.add(network.number)
                yield Claim(network, Use.WIREGUARD, node.name)


# --- which claims go together ---


def clash_of(one: Claim, other: Claim) -> Clash | None:
    """Return how two claims to overlapping networks clash, or None if they are compatible.

    Compatible are: claims of one machine; an allowed location IP that contains internal IPs of its
    own segment, which is usual; an allowed location IP that contains services, since nodes
    translate these before routing; and a peer's default route, which takes nothing from others.
    Endpoints never clash here: whether an endpoint may lie in a network is a separate question.
    """
    first, second = sorted((one, other), key=_rank)
    rule = _PAIRS.get((first.use, second.use))
    return None if rule is None else rule(first, second)


def _rank(claim: Claim) -> int:
    return _RANK[claim.use]


def _pods_twice(one: Claim, other: Claim) -> Clash | None:
    return None if one.name == other.name else Clash.PODS_TWICE


def _internal_ips(one: Claim, other: Claim) -> Clash | None:
    if one.name == other.name:
        return None
    at_home = one.place == other.place
    return Clash.INTERNAL_IP_TWICE_AT_HOME if at_home else Clash.INTERNAL_IP_TWICE


def _in_location(network: Claim, internal: Claim) -> Clash | None:
    """Clash unless in one segment: a network as narrow as the LAN takes over the LAN's route."""
    if network.place == internal.place:
        return None
    wider = internal.lan is not None and network.network.prefix < internal.lan.prefix
    return Clash.LOCATION_IP if wider else Clash.LAN_ELSEWHERE


def _locations(one: Claim, other: Claim) -> Clash | None:
    return None if one.place == other.place else Clash.LOCATION_IP_FILTERED


def _peers(one: Claim, other: Claim) -> Clash | None:
    if one.name == other.name or not (one.network.prefix and other.network.prefix):
        return None
    same = one.network.masked() == other.network.masked()
    return Clash.PEERS_SHARE if same else Clash.PEER_IN_PEER


def _of_peer(clash: Clash) -> Callable[[Claim, Claim], Clash | None]:
    """Return the rule for a peer's network and another one: a default route never clashes."""

    def rule(one: Claim, other: Claim) -> Clash | None:
        peer = one if one.use is Use.PEER else other
        return clash if peer.network.prefix else None

    return rule


def _always(clash: Clash) -> Callable[[Claim, Claim], Clash | None]:
    return lambda _one, _other: clash


_PAIRS: dict[tuple[Use, Use], Callable[[Claim, Claim], Clash | None]] = {
    (Use.WIREGUARD, Use.SERVICES): _always(Clash.NETWORKS),
    (Use.WIREGUARD, Use.LOCATION_IPS): _always(Clash.LOCATION_IP),
    (Use.WIREGUARD, Use.PODS): _always(Clash.NETWORKS),
    (Use.WIREGUARD, Use.PEER): _of_peer(Clash.NETWORKS),
    (Use.WIREGUARD, Use.INTERNAL_IP): _always(Clash.INTERNAL_IP_IN_WIREGUARD),
    (Use.SERVICES, Use.PODS): _always(Clash.NETWORKS),
    (Use.SERVICES, Use.PEER): _of_peer(Clash.NETWORKS),
    (Use.SERVICES, Use.INTERNAL_IP): _always(Clash.INTERNAL_IP_IN_SERVICES),
    (Use.LOCATION_IPS, Use.LOCATION_IPS): _locations,
    (Use.LOCATION_IPS, Use.PODS): _always(Clash.LOCATION_IP),
    (Use.LOCATION_IPS, Use.PEER): _of_peer(Clash.LOCATION_IP_FILTERED),
    (Use.LOCATION_IPS, Use.INTERNAL_IP): _in_location,
    (Use.PODS, Use.PODS): _pods_twice,
    (Use.PODS, Use.PEER): _of_peer(Clash.NETWORKS),
    (Use.PODS, Use.INTERNAL_IP): _always(Clash.INTERNAL_IP_IN_PODS),
    (Use.PEER, Use.PEER): _peers,
    (Use.PEER, Use.INTERNAL_IP): _of_peer(Clash.INTERNAL_IP_OF_PEER),
    (Use.INTERNAL_IP, Use.INTERNAL_IP): _internal_ips,
}
"""The rule for each pair of uses, in the order of ``Use``; other pairs are compatible."""


def overlaps(claims: Iterable[Claim]) -> Iterator[Overlap]:
    """Yield the clashes of each claim with the claims around it, in the order of networks.

    Each claim has at most one overlap per kind of clash, the one with the narrowest network around
    it. The work is that of sorting: a few claims to a network represent all of them.
    """
    around: list[_Level] = []
    wanted = (claim for claim in claims if claim.use is not Use.ENDPOINT)
    for inner in sorted(wanted, key=_place):
        while around and not around[-1].network.contains(inner.network.address):
            around.pop()
        found: dict[Clash, Overlap] = {}
        for level in reversed(around):
            for outer in level.partners(inner):
                clash = clash_of(outer, inner)
                if clash is not None:
                    found.setdefault(clash, Overlap(clash, outer, inner))
        yield from found.values()
        if not around or around[-1].network != inner.network.masked():
            around.append(_Level(inner.network.masked()))
        around[-1].add(inner)


def _place(claim: Claim) -> tuple[int, int, int, int, str, str]:
    """Return the sort key of a claim: outer networks first, then by use and owner."""
    cidr = claim.network
    value = cidr.network_value
    return cidr.version, value, cidr.prefix, _RANK[claim.use], claim.name, str(cidr.address)


class _Level:
    """The claims to one network."""

    def __init__(self, network: Cidr) -> None:
        self.network = network
        self._uses: dict[Use, _Claimants] = {}

    def add(self, claim: Claim) -> None:
        self._uses.setdefault(claim.use, _Claimants()).add(claim)

    def partners(self, inner: Claim) -> Iterator[Claim]:
        for claimants in self._uses.values():
            yield from claimants.beside(inner)


class _Claimants:
    """The claims to one network for one use, reduced to the few that matter to another claim.

    The clash of two claims depends on whether they have the same owner, or the same place. So two
    claims with different owners, or places, represent all, plus two of the other claim's place.
    """

    def __init__(self) -> None:
        self._some: dict[str, Claim] = {}
        self._at_home: dict[str, list[Claim]] = {}

    def add(self, claim: Claim) -> None:
        by_place = claim.use in (Use.INTERNAL_IP, Use.LOCATION_IPS)
        if len(self._some) < 2:
            self._some.setdefault(claim.place if by_place else claim.name, claim)
        if claim.use is Use.INTERNAL_IP:
            known = self._at_home.setdefault(claim.place, [])
            if len(known) < 2:
                known.append(claim)

    def beside(self, inner: Claim) -> Iterator[Claim]:
        yield from self._some.values()
        yield from self._at_home.get(inner.place, ())


def claims_of_segment(segment: Segment) -> Iterator[Claim]:
    """Yield the claims of a segment's nodes in the order of its allowed IPs.

    The leader claims the WireGuard IP.
    """
    for node in segment.nodes:
        if node.subnet is not None:
            yield Claim(node.subnet, Use.PODS, node.name, segment.name)
        if node.internal_ip is not None:
            own = single(node.internal_ip.address)
            yield Claim(own, Use.INTERNAL_IP, node.name, segment.name)
    wireguard_ip = single(segment.wireguard_ip)
    yield Claim(wireguard_ip, Use.WIREGUARD, segment.leader.name, segment.name)


def claims_to_locations(segment: Segment) -> Iterator[Claim]:
    """Yield the allowed location IPs of a segment, each claimed by the first node that has it."""
    claimers: dict[Cidr, str] = {}
    if segment.allowed_location_ips:
        for node in segment.nodes:
            for cidr in node.allowed_location_ips:
                claimers.setdefault(cidr, node.name)
    for cidr in segment.allowed_location_ips:
        name = claimers.get(cidr, segment.leader.name)
        yield Claim(cidr, Use.LOCATION_IPS, name, segment.name)


def claims_of_peer(peer: Peer) -> Iterator[Claim]:
    """Yield the allowed IPs of a peer as claims."""
    for cidr in peer.allowed_ips:
        yield Claim(cidr, Use.PEER, peer.name)
