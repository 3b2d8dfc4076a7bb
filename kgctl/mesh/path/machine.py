"""The machines that a packet passes, and what their WireGuard interfaces know of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import holding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.node import Node
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Segment, Topology


class Machine(NamedTuple):
    """A ready node, with the segment that it is in, or a ready peer.

    ``cluster`` is the one that it is in, where a path leads through several.
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
        """The name, with that of the cluster before it where there are several: untrusted."""
        return f"{self.cluster}/{self.name}" if self.cluster else self.name

    @property
    def key(self) -> PublicKey | None:
        """The machine's WireGuard key."""
        return self.node.key if self.node is not None else self._outside.public_key

    @property
    def keepalive(self) -> int:
        """Seconds between the packets by which it keeps each of its tunnels open; 0 is none."""
        return self._own.persistent_keepalive

    @property
    def leads(self) -> bool:
        """Whether it is a node that speaks WireGuard for its segment."""
        return self.segment is not None and self.segment.leader is self.node

    @property
    def annotated_endpoint(self) -> Endpoint | None:
        """Where it can be called as its own object says, whatever others discovered."""
        return self.node.endpoint if self.node is not None else self._outside.annotated_endpoint

    @property
    def _own(self) -> Node | Peer:
        return self.node if self.node is not None else self._outside

    @property
    def _outside(self) -> Peer:
        assert self.peer is not None
        return self.peer

    def endpoint_of(self, other: Machine) -> Endpoint | None:
        """Return where this machine calls ``other``, which leads a segment or is a peer.

        A node trusts first what it discovered itself, if the other has a keepalive.
        """
        if self.node is not None and other.keepalive > 0 and other.key is not None:
            found = self.node.discovered_endpoints.get(other.key)
            if found is not None:
                return found
        return other.segment.endpoint if other.segment is not None else other._outside.endpoint


class Entry(NamedTuple):
    """An allowed IP of a WireGuard interface, and the machine that it stands for."""

    allowed_ip: Cidr
    machine: Machine


def leader_of(segment: Segment) -> Machine:
    """Return the machine that leads the segment."""
    return Machine(node=segment.leader, segment=segment)


def machines_beyond(topology: Topology, machine: Machine) -> Iterator[tuple[Machine, list[Cidr]]]:
    """Yield the WireGuard peers of a leader or peer with their allowed IPs, in Kilo's order.

    Of two with one key the later takes the place of the first, and one with the machine's own key
    is left out, as WireGuard does it.
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
    for segment in topology.segments:
        if machine.segment is None or segment.name != machine.segment.name:
            yield leader_of(segment), [*segment.allowed_ips, *segment.allowed_location_ips]
    for peer in topology.peers:
        if machine.peer is None or peer.name != machine.peer.name:
            yield Machine(peer=peer), list(peer.allowed_ips)


def tunnel_to(topology: Topology, machine: Machine, address: Address) -> Entry | None:
    """Return the allowed IP that decides to whom the machine's interface sends ``address``.

    It decides as well from whom the address is let in (wireguard.com, "Cryptokey Routing"): the
    longest prefix wins. Of two that are equal the kernel has the last that was set; the files
    that kgctl writes for peers leave the network to the first.
    """
    best: Entry | None = None
    for other, allowed_ips in machines_beyond(topology, machine):
        for cidr in holding(allowed_ips, address):
            longer = best is None or cidr.prefix > best.allowed_ip.prefix
            later = best is not None and cidr.prefix == best.allowed_ip.prefix
            if longer or (later and machine.node is not None):
                best = Entry(cidr, other)
    return best
