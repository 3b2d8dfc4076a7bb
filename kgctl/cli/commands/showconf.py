"""``kgctl showconf node|peer NAME``: print the WireGuard configuration of a machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.core.arguments import UsageError, cidrs
from kgctl.cli.core.choices import (
    complete_member,
    complete_node,
    complete_peer,
    format_named,
    format_option,
)
from kgctl.cli.core.limits import Accept, Deny, LimitOptions, OnlyNetworks, Warned
from kgctl.cli.core.output import answer_with_secret, note, print_configuration
from kgctl.cli.core.plain import joining, leading, print_node, print_peer
from kgctl.cli.core.shared import Shared, of_several, with_shared
from kgctl.cli.core.source import folder_of, read
from kgctl.cli.core.source import listen_port as node_port
from kgctl.render.manifest import MANIFEST_FORMATS, peer_object
from kgctl.wireguard.formats import MACHINE_FORMATS, WHOLE_FILES, WIREGUARD

if TYPE_CHECKING:
    from kgctl.state.folder import Folder
    from kgctl.wireguard.conf import PeerSection

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


_FORMATS = (*MACHINE_FORMATS, *MANIFEST_FORMATS)
_OUTSIDE = {one.name for one in WHOLE_FILES}
_JOINED = "with several clusters, showconf makes one file for one peer NAME"
AsPeer = Annotated[
    bool,
    typer.Option(
        "--as-peer/--no-as-peer",
        help="Print a [Peer] section for the configuration of another machine.",
        show_default=False,
    ),
]
Output = Annotated[
    str,
    format_option(_FORMATS, "The output format. yaml and json print a Peer, and need --as-peer."),
]
All = Annotated[bool, typer.Option("--all", help="Write a file for each of them to --directory.")]
Directory = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        "-d",
        metavar="DIR",
        help="The directory for files, which have mode 0600 and are replaced atomically.",
    ),
]
AllowedIPs = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-ips",
        metavar="CIDR,...",
        help="With --as-peer: add these to the allowed IPs. Repeatable.",
    ),
]


def _checked_domains(values: list[str] | None) -> list[str] | None:
    """Check the values early: an invalid one is reported before conflicts of options."""
    if values:
        from kgctl.cli.commands.quick import domains

        domains(values)
    return values


@app.callback(invoke_without_command=True)
@with_shared
def showconf(
    shared: Shared,
    ctx: typer.Context,
    every: All = False,
    directory: Directory = None,
    output: Annotated[
        str | None,
        format_option(
            WHOLE_FILES,
            "With --all: the format of all files. Default: that of each machine's platform, else "
            "wg-quick.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="REV|DIR",
            help="With --all: write and name only the machines of a network in a folder whose "
            "file changed since this git revision, or differs from that of this folder.",
        ),
    ] = None,
) -> None:
    """Print the WireGuard configuration of a node or a peer.

    With --all alone, write a complete file for every peer, in the format of its platform.
    """
    if ctx.invoked_subcommand is not None:
        if since is not None:
            raise UsageError(f"--since is for --all without {ctx.invoked_subcommand}")
        if every or directory is not None or output is not None:
            raise UsageError(
                f"give --all, --directory and --output after {ctx.invoked_subcommand}, or without "
                "it"
            )
        return
    if not every or (directory is None and since is None):
        raise UsageError("give peer NAME, node NAME, or --all with --directory DIR; see --help")
    from kgctl.cli.commands.quick import QuickOptions
    from kgctl.cli.commands.showconf_files import Outside

    settings = QuickOptions().over_settings().settings()
    chosen = format_named(WHOLE_FILES, output or "wg-quick")
    outside = Outside(chosen, settings, "", None, Warned(), _folder(shared), output is None, since)
    outside.run(shared, None, directory, None, 1)


def _folder(shared: Shared) -> Folder | None:
    """Return the folder with the network, if it is not that of a cluster."""
    found = folder_of(shared)
    if found is None:
        return None
    from kgctl.state.folder import Folder

    return Folder(found)


@app.command("node")
@with_shared
def node(
    shared: Shared,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", autocompletion=complete_node)
    ] = None,
    as_peer: AsPeer = False,
    output: Output = WIREGUARD.name,
    allowed_ips: AllowedIPs = None,
    every: All = False,
    directory: Directory = None,
) -> None:
    """Print the configuration that the leader NAME sets on its WireGuard interface."""
    from kgctl.wireguard.conf import segment_as_peer

    if output in _OUTSIDE:
        raise UsageError(
            f"-o {output} is for outside machines: kgctl showconf peer NAME -o {output}"
        )
    name = one_or_all(name, every, directory)
    if name is None:
        from kgctl.cli.commands.showconf_files import write_leaders

        assert directory is not None
        write_leaders(read(shared), directory, node_port(shared))
        return
    extra = cidrs("--allowed-ips", allowed_ips)
    if not as_peer:
        _note_unused(output, allowed_ips)
        print_node(shared, name)
        return
    found = leading(shared, name)
    if found is not None:
        _print_as_peer(name, segment_as_peer(found.segment, extra), output)


@app.command("peer")
@with_shared
@of_several
def peer(
    shared: Shared,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", autocompletion=complete_peer)
    ] = None,
    as_peer: AsPeer = False,
    output: Output = WIREGUARD.name,
    allowed_ips: AllowedIPs = None,
    every: All = False,
    directory: Directory = None,
    output_file: Annotated[
        Path | None,
        typer.Option(
            "--output-file", "-O", metavar="FILE", help="qr: write this .png or .svg file."
        ),
    ] = None,
    watch: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep FILE up to date as the cluster changes."),
    ] = None,
    interval: Annotated[
        int,
        typer.Option(
            metavar="SECONDS",
            help="With --watch: the interval at which to read files, or a cluster that does not "
            "allow watching.",
        ),
    ] = 10,
    interface: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="networkd, nmconnection: the interface's name. Default: kilo0, or the name of a "
            "network without nodes.",
        ),
    ] = None,
    private_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="wg-quick: the file with the peer's private key."),
    ] = None,
    dns: Annotated[
        list[str] | None,
        typer.Option(metavar="IP,...", help="wg-quick: DNS servers. Repeatable."),
    ] = None,
    search_domain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DOMAIN,...",
            help="wg-quick: DNS search domains, with --dns. Repeatable.",
            callback=_checked_domains,
        ),
    ] = None,
    mtu: Annotated[
        int | None, typer.Option(metavar="BYTES", help="wg-quick: the interface's MTU.")
    ] = None,
    listen_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            help="wg-quick: the UDP port to listen on. Default: that of the Peer's endpoint, else "
            "any.",
        ),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(metavar="off|auto|NUMBER", help="wg-quick: the routing table for routes."),
    ] = None,
    service_cidr: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR,...", help="wg-quick: also reach this service network. Repeatable."
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
    only_networks: OnlyNetworks = None,
    deny: Deny = None,
    accept: Accept = None,
    relay: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|auto",
            help="wg-quick: reach peers that cannot be called through this node or peer, which "
            "forwards. auto: the leader in the location of one of the two, else the first by name.",
            autocompletion=complete_member,
        ),
    ] = None,
    relay_pool: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR,...",
            help="wg-quick: send this whole network to the relay, so that the file stays as it is "
            "when a peer in it is added. Repeatable.",
        ),
    ] = None,
) -> None:
    """Print the configuration with which the peer NAME joins the network.

    With -o wg-quick, it is a complete file for "wg-quick up".
    """
    from kgctl.cli.commands.quick import QuickOptions
    from kgctl.wireguard.conf import peer_as_peer

    extra = cidrs("--allowed-ips", allowed_ips)
    machine = next((one for one in MACHINE_FORMATS if one.name == output), None)
    options = QuickOptions(
        private_key, dns, search_domain, mtu, listen_port, table, service_cidr, via, gateway, only,
        LimitOptions(only_networks, deny, accept), relay, relay_pool,
    )  # fmt: skip
    if shared.several:
        from kgctl.cli.commands.showconf_files import DEFAULT_INTERFACE, show_joined

        if name is None or every or watch is not None or as_peer or allowed_ips:
            raise UsageError(f"{_JOINED}: no --all, --watch, --as-peer or --allowed-ips")
        if machine is None:
            raise UsageError(f"{_JOINED}: no -o {output}")
        show_joined(
            shared,
            name,
            options.over_settings(),
            (machine, interface or DEFAULT_INTERFACE, output_file, directory),
        )
        return
    name = one_or_all(name, every, directory)
    if output in _OUTSIDE:
        options = options.over_settings()
    settings = options.settings()
    if machine is not None and (name is None or watch is not None or output in _OUTSIDE):
        from kgctl.cli.commands.showconf_files import Outside

        if interface == "":
            raise UsageError("--interface is empty; give a name, or omit it")
        outside = Outside(
            machine, settings, interface or "", output_file, Warned(), _folder(shared)
        )
        outside.run(shared, name, directory, watch, interval)
        return
    assert name is not None  # a manifest of all of them is refused (kgctl.cli.core.effects)
    if not as_peer:
        _note_unused(output, allowed_ips)
        print_peer(shared, name)
        return
    found = joining(shared, name, alone=True).peer
    _print_as_peer(name, peer_as_peer(found, extra), output)


def one_or_all(name: str | None, every: bool, directory: Path | None) -> str | None:
    """Return the given name, or None for ``--all``.

    Raises:
        UsageError: neither or both are given, or the directory is missing.
    """
    if every and name is None and directory is not None:
        return None
    if name is None and not every:
        raise UsageError("give a NAME, or --all with --directory DIR; see --help")
    if every:
        raise UsageError("--all takes no NAME, and writes into --directory DIR; give that")
    return name


def _print_as_peer(name: str, section: PeerSection, output: str) -> None:
    if output == WIREGUARD.name:
        from kgctl.wireguard.conf import Configuration

        print_configuration(Configuration(peers=(section,)))
        return

    text = format_named(MANIFEST_FORMATS, output).write(peer_object(name, section))
    answer_with_secret(text, holds_one=section.preshared_key is not None)


def _note_unused(output: str, allowed_ips: list[str] | None) -> None:
    """Report options that have no effect without ``--as-peer``; the reference accepts them."""
    if output != WIREGUARD.name:
        note(f"-o {output} has an effect only with --as-peer; this is the WireGuard format")
    if allowed_ips:
        note("--allowed-ips has an effect only with --as-peer; nothing is added here")
