"""``kgctl showconf node|peer NAME``: the WireGuard configuration of one machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.arguments import split_values
from kgctl.cli.names import complete_node, complete_peer, ready_node, ready_peer
from kgctl.cli.output import answer, note
from kgctl.cli.reading import UsageError, listen_port, read
from kgctl.cli.shared import Shared, with_shared
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.mesh.peer import Peer
    from kgctl.wireguard.conf import PeerSection
    from kgctl.wireguard.quick import QuickSettings

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)

_MTU = range(576, 65536)  # bytes; RFC 791: every IPv4 host takes 576


class Format(StrEnum):
    """How a configuration is printed."""

    WIREGUARD = "wireguard"
    WG_QUICK = "wg-quick"
    YAML = "yaml"
    JSON = "json"


AsPeer = Annotated[
    bool,
    typer.Option(
        "--as-peer/--no-as-peer",
        help="Print it as a [Peer] for another machine's configuration.",
        show_default=False,
    ),
]
Output = Annotated[
    Format,
    typer.Option(
        "--output", "-o", help="The format. yaml and json, a Peer manifest, go with --as-peer."
    ),
]
AllowedIPs = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-ips",
        metavar="CIDR,...",
        help="Add these to the allowed IPs, with --as-peer. Repeatable.",
    ),
]


@app.callback()
@with_shared
def showconf(shared: Shared) -> None:
    """Print the WireGuard configuration of a node or a peer."""


@app.command("node")
@with_shared
def node(
    shared: Shared,
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete_node)],
    as_peer: AsPeer = False,
    output: Output = Format.WIREGUARD,
    allowed_ips: AllowedIPs = None,
) -> None:
    """Print the configuration that the leader NAME sets on its WireGuard interface."""
    from kgctl.wireguard.configure import node_configuration, segment_as_peer

    if output is Format.WG_QUICK:
        raise UsageError(
            "-o wg-quick is for outside machines: kgctl showconf peer NAME -o wg-quick"
        )
    extra = _cidrs("--allowed-ips", allowed_ips)
    reading = read(shared)
    reading.require_ready_nodes()
    found = ready_node(reading, name)
    topology = reading.topology(hostname=name)
    segment = topology.segment_of(name)
    assert segment is not None  # every ready node is in a segment
    if segment.leader.name != name:
        note(f'Node "{printable(name)}" is not a leader node')
    elif as_peer:
        answer(_as_peer(name, segment_as_peer(segment, extra), output))
    else:
        _note_unused_format(output)
        answer(str(node_configuration(topology, found, listen_port=listen_port(shared))))


@app.command("peer")
@with_shared
def peer(
    shared: Shared,
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete_peer)],
    as_peer: AsPeer = False,
    output: Output = Format.WIREGUARD,
    allowed_ips: AllowedIPs = None,
    private_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The peer's private key, for -o wg-quick."),
    ] = None,
    dns: Annotated[
        list[str] | None,
        typer.Option(metavar="IP,...", help="DNS servers, for -o wg-quick. Repeatable."),
    ] = None,
    mtu: Annotated[
        int | None, typer.Option(metavar="BYTES", help="The interface's MTU, for -o wg-quick.")
    ] = None,
) -> None:
    """Print the configuration with which the peer NAME joins the network.

    With -o wg-quick it is a complete file for "wg-quick up".
    """
    from kgctl.wireguard.configure import peer_as_peer, peer_configuration

    extra = _cidrs("--allowed-ips", allowed_ips)
    quick = output is Format.WG_QUICK
    if not quick and (private_key or dns or mtu):
        raise UsageError("--private-key, --dns and --mtu go with -o wg-quick only")
    if quick and as_peer:
        raise UsageError("-o wg-quick is a whole file and does not go with --as-peer")
    settings = _quick_settings(private_key, dns, mtu) if quick else None
    reading = read(shared)
    reading.require_ready_nodes()
    own = ready_peer(reading, name)
    topology = reading.topology()
    found = next(one for one in topology.peers if one.name == name)
    if settings is not None:
        from kgctl.wireguard.quick import quick_configuration

        _warn_of_foreign_key(found, settings)
        answer(str(quick_configuration(topology, found, settings)))
    elif as_peer:
        answer(_as_peer(name, peer_as_peer(own, extra), output))
    else:
        _note_unused_format(output)
        answer(str(peer_configuration(topology, found)))


def _quick_settings(
    private_key: Path | None, dns: list[str] | None, mtu: int | None
) -> QuickSettings:
    from kgctl.wireguard.keys import read_private_key
    from kgctl.wireguard.quick import QuickSettings

    if mtu is not None and mtu not in _MTU:
        raise UsageError(f"--mtu {mtu} is no MTU; give one from {_MTU.start} to {_MTU.stop - 1}")
    return QuickSettings(
        private_key=None if private_key is None else read_private_key(private_key),
        dns=tuple(_dns_server(text) for text in split_values(dns)),
        mtu=mtu,
    )


def _warn_of_foreign_key(peer: Peer, settings: QuickSettings) -> None:
    """Say that the nodes will not answer; it is no error, as the Peer may be changed next."""
    if settings.private_key is None:
        return
    own = settings.private_key.public_key()
    if own != peer.public_key:
        note(
            f"the private key is not that of the peer: its public key is {own}, "
            f"the Peer object has {peer.public_key}; the nodes will not answer it"
        )


def _dns_server(text: str) -> Address:
    from kgctl.mesh.cidr import parse_address

    address = parse_address(text)
    if address is None:
        raise UsageError(f'--dns "{printable(text)}" is no IP address')
    return address


def _cidrs(option: str, values: list[str] | None) -> list[Cidr]:
    from kgctl.mesh.cidr import parse_cidr

    found = []
    for text in split_values(values):
        cidr = parse_cidr(text)
        if cidr is None:
            raise UsageError(f'{option} "{printable(text)}" is no CIDR, as 10.43.0.0/16 is')
        found.append(cidr)
    return found


def _as_peer(name: str, section: PeerSection, output: Format) -> str:
    if output is Format.WIREGUARD:
        from kgctl.wireguard.conf import Configuration

        return str(Configuration(peers=(section,)))
    from kgctl.render.manifest import peer_object
    from kgctl.render.structured import to_json, to_yaml

    return (to_yaml if output is Format.YAML else to_json)(peer_object(name, section))


def _note_unused_format(output: Format) -> None:
    """Say that the format has no effect: the reference prints WireGuard's, without a word."""
    if output is not Format.WIREGUARD:
        note(f"-o {output} has an effect with --as-peer only; this is the WireGuard format")
