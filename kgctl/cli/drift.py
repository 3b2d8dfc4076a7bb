"""``kgctl drift``: how a machine's WireGuard differs from what it should be."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.completing import complete_member
from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import answer
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.cli.limits import Accept, Deny, LimitOptions, OnlyNetworks
from kgctl.cli.names import unknown_member
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.cli.reading import Reading
    from kgctl.mesh.owners import Present
    from kgctl.mesh.path.machine import Machine
    from kgctl.mesh.topology import Topology
    from kgctl.render.drift import Line
    from kgctl.wireguard.drift import Drift
    from kgctl.wireguard.dump import Device

_LONGEST = 64 << 20  # bytes of a dump: that of 100,000 peers has 30 MB


class Format(StrEnum):
    """How the differences are printed; without one, for a person."""

    JSON = "json"


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@with_shared
def drift(
    shared: Shared,
    name: Annotated[str, typer.Argument(metavar="NODE|PEER", autocompletion=complete_member)],
    dump: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="What `wg show all dump` printed there, or its configuration file; - for stdin.",
        ),
    ],
    interface: Annotated[
        str | None,
        typer.Option(
            "--interface", "-i", metavar="NAME", help="Which interface, if there are more."
        ),
    ] = None,
    service_cidr: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR,...", help="A peer: it reaches this service network. Repeatable."
        ),
    ] = None,
    via: Annotated[
        str | None, typer.Option(metavar="NODE", help="A peer: through this node's segment.")
    ] = None,
    gateway: Annotated[
        str | None,
        typer.Option(metavar="NODE", help="A peer: all traffic goes through this node's segment."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...", help="A peer: limited to these nodes' segments, locations, peers."
        ),
    ] = None,
    listen_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", help="A peer: it listens on this port. Default: its endpoint's."
        ),
    ] = None,
    only_networks: OnlyNetworks = None,
    deny: Deny = None,
    accept: Accept = None,
    output: Annotated[
        Format | None, typer.Option("--output", "-o", help="Print it for a program instead.")
    ] = None,
) -> None:
    """Tell how the WireGuard of a leader or a peer differs from what the cluster says.

    FILE holds what `wg show all dump`, `wg show`, or `wg showconf IFACE` printed, or is a file for
    wg-quick, systemd-networkd or NetworkManager. The options are those that a peer's file was made
    with; one that kgctl wrote says so itself. Nothing secret of it is ever printed.
    Exit 0 as it should be, 1 it differs, 2 trouble.
    """
    from kgctl.cli.drift_expected import Comparison
    from kgctl.cli.quick import QuickOptions
    from kgctl.cli.reading import read
    from kgctl.render.drift import drift_to_object, drift_to_text
    from kgctl.wireguard.drift import present_of
    from kgctl.wireguard.machinefiles import read_machine_file

    given = QuickOptions(
        service_cidr=service_cidr, via=via, gateway=gateway, only=only, listen_port=listen_port,
        limits=LimitOptions(only_networks, deny, accept),
    )  # fmt: skip
    given.settings()  # what is wrong with them is said before anything is read
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
    """Return what the file holds.

    Raises:
        DumpError: it cannot be read, or is too large.
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
            f'node "{printable(end.machine.name)}" leads no segment, so it needs no WireGuard; '
            "see: kgctl get segments"
        )
    return end.machine


def _device(devices: Sequence[Device], machine: Machine, interface: str | None) -> Device:
    """Return the interface that is meant: the named one, the only one, or the one with the key.

    Raises:
        UsageError: there is none, or it is not clear which.
    """
    named = [one for one in devices if interface is None or one.name == interface]
    own = [one for one in named if one.public_key is not None and one.public_key == machine.key]
    for found in (named, own):
        if len(found) == 1:
            return found[0]
    names = ", ".join(printable(one.name) or "without a name" for one in devices)
    raise UsageError(f"--interface has to say which one is meant; there are: {names}")


def _lines(reading: Reading, found: Sequence[Drift], present: Present) -> list[Line]:
    from kgctl.render.drift import Line

    owners = {node.key: f"node {node.name}" for node in reading.state.nodes if node.key}
    peers = {peer.public_key: f"peer {peer.name}" for peer in reading.state.peers}
    owners.update({key: who for key, who in peers.items() if key is not None})
    for key, name in present.keys.items():  # of two, who keeps it
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
