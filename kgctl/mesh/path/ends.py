"""The two ends of a path: what a name or an address stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import Cidr, parse_address, single
from kgctl.mesh.claims import Use
from kgctl.mesh.path.machine import Machine, leader_of
from kgctl.mesh.peer import is_own_address
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.topology import Segment, Topology

_KINDS = ("node", "peer")


class End(NamedTuple):
    """Addresses, in the order in which they are tried, and the machine that they are at.

    ``machine`` is None for an address that is of no network of the cluster. ``what`` says in
    words what an address is: untrusted names in it are printable. ``named`` ends are at that
    machine and nowhere else; an address in the network of a location is ``nearby``: at any of
    its nodes. ``rivals`` are the machines that have the address as well, each as an end.
    """

    addresses: tuple[Address, ...]
    machine: Machine | None
    what: str
    named: bool = False
    nearby: bool = False
    use: Use | None = None
    rivals: tuple[End, ...] = ()

    def where(self, machine: Machine) -> End:
        """Return the end at ``machine``, if that is a rival: it has the address then."""
        if self.is_at(machine):
            return self
        found = next((one for one in self.rivals if one.is_at(machine)), None)
        if found is None:
            return self
        others = (self._replace(rivals=()), *self.rivals)
        return found._replace(rivals=tuple(one for one in others if one is not found))

    def is_at(self, machine: Machine) -> bool:
        """Tell whether a packet that is at ``machine`` has come to this end."""
        if self.machine is None:
            return True
        if self.machine.cluster != machine.cluster:  # but it may be a peer of both
            both = self.machine.peer is not None and machine.peer is not None
            return both and self.machine.key == machine.key
        if (self.machine.kind, self.machine.name) == (machine.kind, machine.name):
            return True
        return self.nearby and self.machine.segment == machine.segment


def find_end(topology: Topology, text: str) -> End | None:
    """Return what ``text`` stands for: a node's pods, a peer, or an IP address.

    ``node/NAME`` and ``peer/NAME`` tell apart what has one name. None when there is neither a
    ready node nor a ready peer of that name, and it is no address.
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
    """Return an address of the network: the second host's, since the first is the bridge's."""
    return type(subnet.address)(subnet.network_value + min(2, (1 << subnet.host_bits) - 1))


def _place(topology: Topology, address: Address) -> End:
    """Return where an address is: of the networks that hold it the one with the longest prefix."""
    holders = sorted(_holders(topology, address), key=lambda holder: -holder[0].prefix)
    if not holders:
        return End((address,), None, "in no network of the cluster")
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
