"""The ends of a path, the machines on it, and the allowed IPs of their WireGuard interfaces.

Names and addresses resolve to ends. An address outside the network may belong to a node or peer
that is left out of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import Cidr, holding, parse_address, single
from kgctl.mesh.claims import Use
from kgctl.mesh.peer import is_own_address
from kgctl.mesh.readiness import why_not_ready
from kgctl.mesh.relays import as_configured
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Segment, Topology


def absent_owner(state: State, topology: Topology, now: float, address: Address) -> str | None:
    """Describe the owner of ``address`` that is left out of the network; None if there is none.

    Left out are nodes that are not ready at ``now`` (Unix seconds), invalid peers, and allowed
    location IPs that clash with other networks. The longest prefix wins.
    """
    found = [
        (cidr.prefix, words)
        for cidr, words in _claims(state, topology, now)
        if cidr.contains(address)
    ]
    return max(found, key=lambda one: one[0], default=(0, None))[1]


def _claims(state: State, topology: Topology, now: float) -> Iterator[tuple[Cidr, str]]:
    for segment in topology.segments:
        for cidr in segment.filtered_location_ips:
            name = printable(segment.name)
            yield (
                cidr,
                f"in {cidr} of {name}, which Kilo leaves out: it clashes with another network",
            )
    for node in state.nodes:
        reasons = why_not_ready(node, now)
        if reasons:
            words = f"of {printable(node.name)}, which takes no part: {', '.join(reasons)}"
            own = () if node.subnet is None else (node.subnet,)
            for cidr in (*own, *node.allowed_location_ips):
                yield cidr, words
    for peer in state.invalid_peers:
        words = f"of peer {printable(peer.name)}, which is invalid: {', '.join(peer.problems)}"
        for cidr in peer.allowed_ips:
            yield cidr, words


class Machine(NamedTuple):
    """A ready node with its segment, or a ready peer.

    ``cluster`` is its cluster, if a path leads through several.
    """

    node: Node | None = None
    segment: Segment | None = None
    peer: Peer | None = None
    cluster: str = ""

    @property
    def kind(self) -> str:
        """``node`` or ``peer``."""
        return "peer" if self.node is None else "node"

    @property
    def name(self) -> str:
        """The name of the Node or Peer object: untrusted."""
        return self._own.name

    @property
    def full_name(self) -> str:
        """The name, prefixed with the cluster if there are several: untrusted."""
        return f"{self.cluster}/{self.name}" if self.cluster else self.name

    @property
    def key(self) -> PublicKey | None:
        """The machine's WireGuard key."""
        return self.node.key if self.node is not None else self._outside.public_key

    @property
    def keepalive(self) -> int:
        """Seconds between the packets that keep its tunnels open; 0 means none."""
        return self._own.persistent_keepalive

    @property
    def leads(self) -> bool:
        """Whether it is the leader of its segment."""
        return self.segment is not None and self.segment.leader is self.node

    @property
    def annotated_endpoint(self) -> Endpoint | None:
        """The endpoint of its own object, regardless of what others discovered."""
        return self.node.endpoint if self.node is not None else self._outside.annotated_endpoint

    @property
    def _own(self) -> Node | Peer:
        return self.node if self.node is not None else self._outside

    @property
    def _outside(self) -> Peer:
        assert self.peer is not None
        return self.peer

    def endpoint_of(self, other: Machine) -> Endpoint | None:
        """Return the endpoint at which this machine dials ``other``, a leader or a peer.

        A node prefers the endpoint that it discovered itself, if the other has a keepalive.
        """
        if self.node is not None and other.keepalive > 0 and other.key is not None:
            found = self.node.discovered_endpoints.get(other.key)
            if found is not None:
                return found
        return other.segment.endpoint if other.segment is not None else other._outside.endpoint


class Entry(NamedTuple):
    """An allowed IP of a WireGuard interface, and the machine that it routes to."""

    allowed_ip: Cidr
    machine: Machine


def leader_of(segment: Segment) -> Machine:
    """Return the machine that leads the segment."""
    return Machine(node=segment.leader, segment=segment)


def machines_beyond(topology: Topology, machine: Machine) -> Iterator[tuple[Machine, list[Cidr]]]:
    """Yield the WireGuard peers of a leader or peer with their allowed IPs, in Kilo's order.

    As in WireGuard, a later peer replaces an earlier one with the same key, and a peer with the
    machine's own key is left out. Peers that are reached through a relay are left out, too.
    """
    found: dict[PublicKey, tuple[Machine, list[Cidr]]] = {}
    for other, allowed_ips in _sections(topology, machine):
        assert other.key is not None
        found.pop(other.key, None)
        found[other.key] = (other, allowed_ips)
    if machine.key is not None:
        found.pop(machine.key, None)
    yield from found.values()


def _sections(topology: Topology, machine: Machine) -> Iterator[tuple[Machine, list[Cidr]]]:
    seen = topology if machine.peer is None else as_configured(topology, machine.peer)
    for segment, shown in zip(topology.segments, seen.segments, strict=True):
        if machine.segment is None or segment.name != machine.segment.name:
            yield leader_of(segment), [*shown.allowed_ips, *shown.allowed_location_ips]
    peers = {} if seen is topology else {peer.name: peer for peer in topology.peers}
    for peer in seen.peers:
        if machine.peer is None or peer.name != machine.peer.name:
            yield Machine(peer=peers.get(peer.name, peer)), list(peer.allowed_ips)


def tunnel_to(topology: Topology, machine: Machine, address: Address) -> Entry | None:
    """Return the allowed IP that selects the WireGuard peer for ``address``.

    It selects the destination of packets, and their permitted source (wireguard.com, "Cryptokey
    Routing"): the longest prefix wins. Of two equal networks the kernel keeps the last one that
    was set; the files that kgctl writes for peers keep the first.
    """
    best: Entry | None = None
    for other, allowed_ips in machines_beyond(topology, machine):
        for cidr in holding(allowed_ips, address):
            longer = best is None or cidr.prefix > best.allowed_ip.prefix
            later = best is not None and cidr.prefix == best.allowed_ip.prefix
            if longer or (later and machine.node is not None):
                best = Entry(cidr, other)
    return best


_KINDS = ("node", "peer")


class End(NamedTuple):
    """Addresses in the order in which they are tried, and their machine.

    ``machine`` is None for an address outside all networks of the cluster. ``what`` describes the
    address; untrusted names in it are printable. A ``named`` end is at that machine only; a
    ``nearby`` end, an address in the network of a location, is at any node there. ``rivals`` are
    the other machines that have the address, each as an end.
    """

    addresses: tuple[Address, ...]
    machine: Machine | None
    what: str
    named: bool = False
    nearby: bool = False
    use: Use | None = None
    rivals: tuple[End, ...] = ()

    def where(self, machine: Machine) -> End:
        """Return the end at ``machine`` if that is a rival, else this end."""
        if self.is_at(machine):
            return self
        found = next((one for one in self.rivals if one.is_at(machine)), None)
        if found is None:
            return self
        others = (self._replace(rivals=()), *self.rivals)
        return found._replace(rivals=tuple(one for one in others if one is not found))

    def is_at(self, machine: Machine) -> bool:
        """Return whether a packet at ``machine`` has reached this end."""
        if self.machine is None:
            return True
        if self.machine.cluster != machine.cluster:  # it may be a peer of both clusters
            both = self.machine.peer is not None and machine.peer is not None
            return both and self.machine.key == machine.key
        if (self.machine.kind, self.machine.name) == (machine.kind, machine.name):
            return True
        return self.nearby and self.machine.segment == machine.segment


def find_end(topology: Topology, text: str) -> End | None:
    """Return the end that ``text`` names: a node's pods, a peer, or an IP address.

    ``node/NAME`` and ``peer/NAME`` distinguish a node and a peer of the same name. Return None if
    no ready node or peer has that name and it is not an address.
    """
    kind, slash, rest = text.partition("/")
    wanted, name = ((kind,), rest) if slash and kind in _KINDS else (_KINDS, text)
    segment = topology.segment_of(name) if "node" in wanted else None
    if segment is not None:
        node = next(node for node in segment.nodes if node.name == name)
        assert node.subnet is not None
        return End(
            (_a_pod(node.subnet),),
            Machine(node, segment),
            f"a pod of {printable(name)}",
            named=True,
        )
    peer = topology.peer(name) if "peer" in wanted else None
    if peer is not None:
        own = [cidr.address for cidr in peer.allowed_ips if is_own_address(cidr)]
        behind = [_a_pod(cidr) for cidr in peer.allowed_ips if not is_own_address(cidr)]
        return End((*own, *behind), Machine(peer=peer), f"peer {printable(name)}", named=True)
    address = parse_address(text)
    return None if address is None else _place(topology, address)


def _a_pod(subnet: Cidr) -> Address:
    """Return the second host's address of a subnet, since the first one is the bridge's."""
    return type(subnet.address)(subnet.network_value + min(2, (1 << subnet.host_bits) - 1))


def _place(topology: Topology, address: Address) -> End:
    """Return the end of an address: that of the longest prefix which contains it."""
    holders = sorted(_holders(topology, address), key=lambda holder: -holder[0].prefix)
    if not holders:
        alone = topology.network is not None
        what = "outside the network" if alone else "in no network of the cluster"
        return End((address,), None, what)
    ends = [
        End((address,), machine, what, nearby=use is Use.LOCATION_IPS, use=use)
        for network, machine, what, use in holders
        if network.prefix == holders[0][0].prefix
    ]
    return ends[0]._replace(rivals=tuple(one for one in ends[1:] if one.machine != ends[0].machine))


_Holder = tuple[Cidr, Machine, str, Use]


def _holders(topology: Topology, address: Address) -> Iterator[_Holder]:
    for segment in topology.segments:
        yield from _holders_in(segment, address)
    for peer in topology.peers:
        for cidr in peer.allowed_ips:
            if cidr.contains(address):
                where = "" if cidr.address == address else "behind "
                yield cidr, Machine(peer=peer), f"{where}peer {printable(peer.name)}", Use.PEER


def _holders_in(segment: Segment, address: Address) -> Iterator[_Holder]:
    leader = leader_of(segment)
    if segment.wireguard_ip == address:
        what = f"the WireGuard IP of {printable(segment.leader.name)}"
        yield single(address), leader, what, Use.WIREGUARD
    for node in segment.nodes:
        name, machine = printable(node.name), Machine(node, segment)
        if node.internal_ip is not None and node.internal_ip.address == address:
            yield single(address), machine, f"the internal IP of {name}", Use.INTERNAL_IP
        if node.subnet is not None and node.subnet.contains(address):
            yield node.subnet, machine, f"a pod of {name}", Use.PODS
    for cidr in segment.allowed_location_ips:
        if cidr.contains(address):
            what = f"in the network of {printable(segment.name)}"
            yield cidr, leader, what, Use.LOCATION_IPS
