"""What the WireGuard of a machine should be, as ``kgctl drift`` compares it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import note
from kgctl.cli.hints import message
from kgctl.cli.quick import quick_file, recorded
from kgctl.mesh.limiting import limited
from kgctl.mesh.text import printable
from kgctl.wireguard.conf import Interface
from kgctl.wireguard.configure import node_configuration, peer_configuration
from kgctl.wireguard.drift import Kind, beyond, drift
from kgctl.wireguard.quick import QuickSettings, port_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.cli.quick import QuickOptions
    from kgctl.cli.reading import Reading
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.owners import Present
    from kgctl.mesh.path.machine import Machine
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Topology
    from kgctl.wireguard.conf import Configuration
    from kgctl.wireguard.drift import Drift
    from kgctl.wireguard.dump import Device

Found = tuple[list["Drift"], int]


class Comparison(NamedTuple):
    """A machine of a network, and the options of its file: given, and those that it was made with.

    ``present`` is what the machine is set up with.
    """

    reading: Reading
    topology: Topology
    machine: Machine
    present: Present
    given: QuickOptions
    made_with: str = ""

    def with_device(self, device: Device) -> Found:
        """Return the differences, and how many peers there should be.

        Raises:
            UsageError: an option does not fit the machine, or names what is not there.
        """
        machine = self.machine
        if machine.node is not None:
            if self.given.shapes:
                raise UsageError(
                    f"{self.given.shown().split()[0]} is of a peer's file; "
                    f"{printable(machine.name)} is a node"
                )
            assert machine.node.endpoint is not None  # it is ready
            port = machine.node.endpoint.port  # agents listen on that, whatever --port says
            topology = self.reading.topology(hostname=machine.name)
            wanted = node_configuration(topology, machine.node, listen_port=port)
            return self._differences(device, wanted, {})
        assert machine.peer is not None
        return self._with_peer(machine.peer, device)

    def _with_peer(self, peer: Peer, device: Device) -> Found:
        if self.made_with.startswith("--cluster "):
            raise UsageError(
                f"the file joins several clusters ({printable(self.made_with)}), and drift "
                "compares with one; give what showconf prints for this cluster alone"
            )
        options = self.given if self.given.shapes else recorded(self.made_with)
        if options.shapes:
            try:
                settings = options.settings()._replace(present=self.present)
                wanted = quick_file(self.topology, peer, settings)
                return self._differences(device, wanted, {})
            except UsageError as error:
                if self.given.shapes:
                    raise
                note(f"the file was made with {printable(options.shown())}: {message(error)}")
        found = min(self._ways(peer, device), key=lambda one: _faults(one[0]))
        if any(one.kind is Kind.MISSING for one in found[0]):
            note("if it is limited on purpose, give what its file was made with: --only NAME,...")
        return found

    def _ways(self, peer: Peer, device: Device) -> Iterator[Found]:
        """Yield what differs from each configuration that the peer may have.

        It may have been given a whole file, its plain configuration, or what ``connect`` sets:
        the plain one of what is granted, as it keeps routes and not networks clear of endpoints.
        """
        topology, present = self.topology, self.present
        interface = Interface(listen_port=port_of(peer))
        granted = limited(topology, beside=peer.name, present=present).topology
        segments = {segment.key for segment in topology.segments}
        for wanted in (
            quick_file(topology, peer, QuickSettings(present=present)),
            peer_configuration(topology, peer)._replace(interface=interface),
            peer_configuration(granted, peer)._replace(interface=interface),
        ):
            more = beyond(device, wanted, _claimed(topology))
            besides = {key: networks for key, networks in more.items() if key in segments}
            yield self._differences(device, wanted, besides)

    def _differences(
        self, device: Device, wanted: Configuration, besides: dict[PublicKey, frozenset[Cidr]]
    ) -> Found:
        key = self.machine.key
        count = len({section.public_key for section in wanted.peers} - {key})
        return drift(device, wanted, key, self.reading.now, besides), count


def _claimed(topology: Topology) -> Iterator[Cidr]:
    """Yield every network that something in the cluster has."""
    yield topology.subnet
    for segment in topology.segments:
        yield from segment.allowed_ips
        yield from segment.allowed_location_ips
    for peer in topology.peers:
        yield from peer.allowed_ips


def _faults(found: list[Drift]) -> tuple[int, int]:
    return sum(one.is_fault for one in found), len(found)
