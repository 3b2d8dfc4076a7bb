"""``kgctl drift``: compare a machine's WireGuard interface with its wanted configuration."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from kgctl.cli.commands.quick import QuickOptions, quick_file, recorded
from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.choices import complete_member
from kgctl.cli.core.hints import message
from kgctl.cli.core.limits import Accept, Deny, LimitOptions, OnlyNetworks
from kgctl.cli.core.names import unknown_member
from kgctl.cli.core.output import answer, note
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.mesh.granted import limited
from kgctl.mesh.text import printable
from kgctl.wireguard.conf import Interface, node_configuration, peer_configuration
from kgctl.wireguard.drift import Kind, beyond, drift, present_of
from kgctl.wireguard.quick import QuickSettings, port_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.cli.core.source import Reading
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.owners import Present
    from kgctl.mesh.path.ends import Machine
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Topology
    from kgctl.render.changes import Line
    from kgctl.wireguard.conf import Configuration
    from kgctl.wireguard.drift import Drift
    from kgctl.wireguard.dump import Device


_LONGEST = 64 << 20  # bytes; a dump of 100,000 peers has 30 MB


class Format(StrEnum):
    """The format of the differences; the default is text."""

    JSON = "json"


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@with_shared
def show_drift(
    shared: Shared,
    name: Annotated[
        str | None, typer.Argument(metavar="[NODE|PEER]", autocompletion=complete_member)
    ] = None,
    dump: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The machine's `wg show all dump` output or configuration file; - for stdin. "
            "Default: this machine, a node of kgctl agent.",
        ),
    ] = None,
    interface: Annotated[
        str | None,
        typer.Option(
            "--interface", "-i", metavar="NAME", help="The interface, if there are several."
        ),
    ] = None,
    service_cidr: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR,...", help="For a peer: the service network it reaches. Repeatable."
        ),
    ] = None,
    via: Annotated[
        str | None,
        typer.Option(
            metavar="NODE", help="For a peer: reach services through this node's segment."
        ),
    ] = None,
    gateway: Annotated[
        str | None,
        typer.Option(
            metavar="NODE", help="For a peer: send all traffic through this node's segment."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...",
            help="For a peer: limit it to these nodes' segments, locations or peers.",
        ),
    ] = None,
    listen_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            help="For a peer: the UDP port it listens on. Default: that of its endpoint.",
        ),
    ] = None,
    only_networks: OnlyNetworks = None,
    deny: Deny = None,
    accept: Accept = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="Compare all machines of a network in a folder, over ssh."),
    ] = False,
    relay: Annotated[
        str | None,
        typer.Option(metavar="NAME|auto", help="For a peer: the relay that its file names."),
    ] = None,
    relay_pool: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR,...", help="For a peer: a network that it sends to the relay. Repeatable."
        ),
    ] = None,
    output: Annotated[
        Format | None, typer.Option("--output", "-o", help="The output format. Default: text.")
    ] = None,
) -> None:
    """Compare a machine with what it should have: its WireGuard interface, or all of a node.

    Without --dump, on a node of kgctl agent: compare this machine with what its agent sets: the
    WireGuard interface, addresses, routes, policy rules, firewall rules and kernel parameters.
    Nothing is changed.

    With --dump: compare the WireGuard interface of a leader or a peer. FILE is the output of
    `wg show all dump`, `wg show` or `wg showconf IFACE`, or a file for wg-quick, systemd-networkd
    or NetworkManager. For a peer, give the options that its file was made with; a file that kgctl
    wrote contains them. Secrets are never printed.

    With --all: compare each machine of a network in a folder that has an --ssh setting with the
    file that deploy brings to it.

    Exit code 0: no difference. 1: a difference. 2: an error.
    """
    if every:
        from kgctl.cli.commands.drift_all import show_all_drift

        if name is not None:
            raise UsageError("--all compares all machines; it takes no name")
        show_all_drift(shared, json=output is Format.JSON)
        return
    if dump is None:
        from kgctl.cli.commands.drift_node import show_node_drift

        show_node_drift(shared, name, interface, json=output is Format.JSON)
        return
    if name is None:
        raise UsageError("--dump is of a machine: name the node or peer too")
    from kgctl.cli.core.source import read
    from kgctl.render.changes import drift_to_object, drift_to_text
    from kgctl.wireguard.machinefiles import read_machine_file

    given = QuickOptions(
        service_cidr=service_cidr, via=via, gateway=gateway, only=only, listen_port=listen_port,
        limits=LimitOptions(only_networks, deny, accept), relay=relay, relay_pool=relay_pool,
    )  # fmt: skip
    given.settings()  # report wrong options before anything is read
    file = read_machine_file(_text(dump), "standard input" if dump == "-" else printable(dump))
    reading = read(shared)
    topology = reading.topology()
    machine = _machine(reading, topology, name)
    device = _device(file.devices, machine, interface)
    present = present_of(device, topology)
    comparison = Comparison(reading, topology, machine, present, given, file.made_with)
    found, count = comparison.with_device(device)
    lines = _lines(reading, found, present)
    if output is Format.JSON:
        from kgctl.kube.codec.structured import to_json

        answer(to_json(drift_to_object(machine.name, lines)))
    else:
        answer(drift_to_text(machine.name, lines, count))
    raise typer.Exit(1 if any(one.is_fault for one in found) else 0)


def _text(name: str) -> str:
    """Return the content of the file.

    Raises:
        DumpError: the file cannot be read, or is too large.
    """
    from kgctl.wireguard.dump import DumpError
    from kgctl.wireguard.machinefiles import decoded

    try:
        if name == "-":
            data = sys.stdin.buffer.read(_LONGEST + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(_LONGEST + 1)
    except OSError as error:
        raise DumpError(f"cannot read {printable(name)}: {error.strerror}") from None
    if len(data) > _LONGEST:
        raise DumpError(f"{printable(name)} has more than {_LONGEST:,} bytes: not a dump")
    return decoded(data)


def _machine(reading: Reading, topology: Topology, text: str) -> Machine:
    from kgctl.mesh.path.ends import find_end

    end = find_end(topology, text)
    if end is None or end.machine is None or not end.named:
        raise unknown_member(reading, text)
    if end.machine.node is not None and not end.machine.leads:
        raise UsageError(
            f'node "{printable(end.machine.name)}" is not a leader, so it needs no WireGuard; '
            "see: kgctl get segments"
        )
    return end.machine


def _device(devices: Sequence[Device], machine: Machine, interface: str | None) -> Device:
    """Return the interface to compare: the named one, the only one, or the one with the key.

    Raises:
        UsageError: no interface matches, or several do.
    """
    named = [one for one in devices if interface is None or one.name == interface]
    own = [one for one in named if one.public_key is not None and one.public_key == machine.key]
    for found in (named, own):
        if len(found) == 1:
            return found[0]
    names = ", ".join(printable(one.name) or "without a name" for one in devices)
    raise UsageError(f"cannot choose an interface; give --interface NAME, one of: {names}")


def _lines(reading: Reading, found: Sequence[Drift], present: Present) -> list[Line]:
    from kgctl.render.changes import Line

    owners = {node.key: f"node {node.name}" for node in reading.state.nodes if node.key}
    peers = {peer.public_key: f"peer {peer.name}" for peer in reading.state.peers}
    owners.update({key: who for key, who in peers.items() if key is not None})
    for key, name in present.keys.items():  # if two claim a key, the one that keeps it
        owner = reading.state.peer(name)
        is_peer = owner is not None and owner.public_key == key
        owners[key] = f"{'peer' if is_peer else 'node'} {name}"
    return [
        Line(
            one.kind.value,
            None if one.key is None else str(one.key),
            owners.get(one.key) if one.key is not None else None,
            one.wanted,
            one.found,
            one.is_fault,
        )
        for one in found
    ]


Found = tuple[list["Drift"], int]


class Comparison(NamedTuple):
    """A machine to compare, and the options of its file: the given ones, and the recorded ones.

    ``present`` is the machine's present configuration.
    """

    reading: Reading
    topology: Topology
    machine: Machine
    present: Present
    given: QuickOptions
    made_with: str = ""

    def with_device(self, device: Device) -> Found:
        """Return the differences, and the number of wanted peers.

        Raises:
            UsageError: an option does not apply to the machine, or names something unknown.
        """
        machine = self.machine
        if machine.node is not None:
            if self.given.shapes:
                raise UsageError(
                    f"{self.given.shown().split()[0]} is for peers; "
                    f"{printable(machine.name)} is a node"
                )
            assert machine.node.endpoint is not None  # it is ready
            port = machine.node.endpoint.port  # agents listen on this port, regardless of --port
            topology = self.reading.topology(hostname=machine.name)
            wanted = node_configuration(topology, machine.node, listen_port=port)
            return self._differences(device, wanted, {})
        assert machine.peer is not None
        return self._with_peer(machine.peer, device)

    def _with_peer(self, peer: Peer, device: Device) -> Found:
        if self.made_with.startswith("--cluster "):
            raise UsageError(
                f"the file joins several clusters ({printable(self.made_with)}), and drift "
                "compares with one; give a file that showconf made for this cluster only"
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
            note("if it is limited on purpose, give the option of its file: --only NAME,...")
        return found

    def _ways(self, peer: Peer, device: Device) -> Iterator[Found]:
        """Yield the differences from each configuration that the peer may have.

        It may have a whole file, its plain configuration, or the configuration that ``connect``
        sets: the plain one limited to granted networks, because ``connect`` cuts routes, not
        allowed IPs, around endpoints.
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
    """Yield all networks of the cluster, its segments and its peers."""
    yield topology.subnet
    for segment in topology.segments:
        yield from segment.allowed_ips
        yield from segment.allowed_location_ips
    for peer in topology.peers:
        yield from peer.allowed_ips


def _faults(found: list[Drift]) -> tuple[int, int]:
    return sum(one.is_fault for one in found), len(found)
