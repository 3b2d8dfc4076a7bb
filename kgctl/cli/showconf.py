"""``kgctl showconf node|peer NAME``: the WireGuard configuration of one machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.arguments import UsageError, cidrs
from kgctl.cli.names import complete_node, complete_peer, ready_node, ready_peer
from kgctl.cli.output import answer, note
from kgctl.cli.reading import listen_port as node_port
from kgctl.cli.reading import read
from kgctl.cli.shared import Shared, with_shared
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from kgctl.wireguard.conf import PeerSection

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


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
    extra = cidrs("--allowed-ips", allowed_ips)
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
        answer(str(node_configuration(topology, found, listen_port=node_port(shared))))


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
        typer.Option(metavar="FILE", help="wg-quick: the file that holds the peer's private key."),
    ] = None,
    dns: Annotated[
        list[str] | None,
        typer.Option(metavar="IP,...", help="wg-quick: DNS servers. Repeatable."),
    ] = None,
    search_domain: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN,...", help="wg-quick: DNS search domains. Repeatable."),
    ] = None,
    mtu: Annotated[
        int | None, typer.Option(metavar="BYTES", help="wg-quick: the interface's MTU.")
    ] = None,
    listen_port: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="wg-quick: the UDP port to listen on; else any."),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(metavar="off|auto|NUMBER", help="wg-quick: the routing table for routes."),
    ] = None,
    service_cidr: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR,...", help="wg-quick: reach this service network as well. Repeatable."
        ),
    ] = None,
    via: Annotated[
        str | None,
        typer.Option(
            metavar="NODE",
            help="wg-quick: reach services through this node's segment. "
            "Default: the gateway, else the first segment with a public endpoint.",
            autocompletion=complete_node,
        ),
    ] = None,
    gateway: Annotated[
        str | None,
        typer.Option(
            metavar="NODE",
            help="wg-quick: send all traffic, IPv4 and IPv6, through this node's segment.",
            autocompletion=complete_node,
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...",
            help="wg-quick: limit the file to these nodes' segments, locations or peers.",
        ),
    ] = None,
) -> None:
    """Print the configuration with which the peer NAME joins the network.

    With -o wg-quick it is a complete file for "wg-quick up".
    """
    from kgctl.cli.quick import QuickOptions
    from kgctl.wireguard.configure import peer_as_peer, peer_configuration

    extra = cidrs("--allowed-ips", allowed_ips)
    options = QuickOptions(
        private_key, dns, search_domain, mtu, listen_port, table, service_cidr, via, gateway, only
    )
    quick = output is Format.WG_QUICK
    if not quick:
        options.refuse_any("-o wg-quick")
    if quick and as_peer:
        raise UsageError("-o wg-quick is a whole file and does not go with --as-peer")
    settings = options.settings() if quick else None
    reading = read(shared)
    reading.require_ready_nodes()
    own = ready_peer(reading, name)
    topology = reading.topology()
    found = next(one for one in topology.peers if one.name == name)
    if settings is not None:
        from kgctl.cli.quick import quick_text

        answer(quick_text(topology, found, settings))
    elif as_peer:
        answer(_as_peer(name, peer_as_peer(own, extra), output))
    else:
        _note_unused_format(output)
        answer(str(peer_configuration(topology, found)))


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
