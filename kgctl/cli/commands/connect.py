"""``kgctl connect [NAME]``: join this host to the network, and keep it joined.

The module declares and checks the options.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.commands.connect_run import Level, LogFormat, run
from kgctl.cli.core.arguments import UsageError, cidrs, split_values, within
from kgctl.cli.core.choices import complete_peer
from kgctl.cli.core.hints import message
from kgctl.cli.core.limits import Accept, Deny, LimitOptions, OnlyNetworks
from kgctl.cli.core.output import answer
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.cli.core.source import listen_port, live_cluster, mesh_granularity
from kgctl.mesh.peer import KEEPALIVES
from kgctl.mesh.text import parse_duration, printable
from kgctl.wireguard.conf import MTUS

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.state.api_server import ApiServer


_NAME_BYTES = 15  # of an interface; the kernel's IFNAMSIZ has one more for the NUL


def peer_name(given: str | None) -> str:
    """Return the name of the Peer: the given one, or this host's.

    Raises:
        UsageError: the name is invalid.
    """
    import socket

    from kgctl.mesh.endpoint import is_dns_name

    name = socket.gethostname() if given is None else given
    if not is_dns_name(name):
        raise UsageError(
            f'"{printable(name)}" cannot be the name of a Peer: lower case letters, digits, "-" '
            'and "."; give one: kgctl connect NAME'
        )
    return name


def interface_name(name: str) -> str:
    """Check the name of an interface, and return it.

    Raises:
        UsageError: the kernel refuses such a name.
    """
    bad = {"/", ":", "%"} & set(name) or name in ("", ".", "..") or not name.isprintable()
    if bad or " " in name or len(name.encode()) > _NAME_BYTES:
        raise UsageError(
            f'--interface "{printable(name)}" is not a valid interface name: at most '
            f"{_NAME_BYTES} bytes, no blank, slash or colon"
        )
    return name


def period(text: str) -> float:
    """Return the seconds of ``--resync-period``.

    Raises:
        UsageError: it is not a duration above 0.
    """
    seconds = parse_duration(text)
    if not seconds:
        raise UsageError(
            f'--resync-period "{printable(text)}" is not a duration above 0; give 30s or 1m30s'
        )
    return seconds


def one_cidr(option: str, text: str) -> Cidr:
    """Parse the value of an option as a CIDR.

    Raises:
        UsageError: it is not a CIDR.
    """
    from kgctl.mesh.cidr import parse_cidr

    found = parse_cidr(text)
    if found is None:
        raise UsageError(f'{option} "{printable(text)}" is not a CIDR such as 10.10.10.10/32')
    return found


def one_address(option: str, text: str) -> Address:
    """Parse the value of an option as an IP address.

    Raises:
        UsageError: it is not an IP address.
    """
    from kgctl.mesh.cidr import parse_address

    found = parse_address(text)
    if found is None:
        raise UsageError(f'{option} "{printable(text)}" is not an IP address')
    return found


def domain(text: str) -> str:
    """Check a domain in the form of ``resolvectl``, and return it; ``~`` makes it route-only.

    Raises:
        UsageError: it is not a domain.
    """
    from kgctl.mesh.endpoint import is_dns_name

    if text != "~." and not is_dns_name(text.removeprefix("~").rstrip(".")):
        raise UsageError(f'--search-domain "{printable(text)}" is not a domain')
    return text


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@with_shared
def connect(
    shared: Shared,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            autocompletion=complete_peer,
            help="The name of this host's Peer. Default: the host's name.",
        ),
    ] = None,
    allowed_ip: Annotated[
        str | None,
        typer.Option(
            "--allowed-ip",
            "-a",
            metavar="CIDR",
            help="The address of this host in the network. Default: the existing Peer's, else "
            "10.10.10.10/32.",
        ),
    ] = None,
    allowed_ips: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR,...", help="More networks to reach through a node. Repeatable."),
    ] = None,
    service_cidr: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR,...",
            help="The cluster's service network; works like --allowed-ips. Repeatable.",
        ),
    ] = None,
    interface: Annotated[
        str, typer.Option("--interface", "-i", metavar="NAME", help="The WireGuard interface.")
    ] = "kilo0",
    private_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The private key. Default: a new key, kept only in memory."
        ),
    ] = None,
    persistent_keepalive: Annotated[
        int,
        typer.Option(
            metavar="SECONDS", help="The persistent keepalive of a Peer that is created; 0 is off."
        ),
    ] = 10,
    mtu: Annotated[int, typer.Option(metavar="BYTES", help="The interface's MTU.")] = 1420,
    resync_period: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="The period of full checks; changes are applied at once."
        ),
    ] = "30s",
    clean_up: Annotated[
        bool,
        typer.Option(
            "--clean-up/--no-clean-up",
            help="On exit, remove routes, the interface, and the Peer if kgctl created it.",
        ),
    ] = True,
    dns: Annotated[
        list[str] | None,
        typer.Option(metavar="IP,...", help="DNS servers to set with resolvectl. Repeatable."),
    ] = None,
    search_domain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DOMAIN,...",
            help="Use --dns only for these domains; ~DOMAIN is not searched. Repeatable.",
        ),
    ] = None,
    only_networks: OnlyNetworks = None,
    deny: Deny = None,
    accept: Accept = None,
    once: Annotated[
        bool, typer.Option("--once/--no-once", help="Apply once and exit.", show_default=False)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run/--no-dry-run",
            help="Print the changes as ip and wg commands, and change nothing.",
            show_default=False,
        ),
    ] = False,
    log_level: Annotated[Level, typer.Option(help="The log level.")] = Level.INFO,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            help="The log format; live shows a table of peers. Default: live on a terminal, else "
            "json.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Join this host to the network, and keep it joined until SIGINT or SIGTERM.

    Requires the capability CAP_NET_ADMIN and nothing else.
    """
    from kgctl.connect.interface import Options
    from kgctl.host.privileges import require_linux

    require_linux()
    options = Options(
        name=peer_name(name),
        interface=interface_name(interface),
        address=one_cidr("--allowed-ip", allowed_ip) if allowed_ip is not None else None,
        extra=(*cidrs("--allowed-ips", allowed_ips), *cidrs("--service-cidr", service_cidr)),
        private_key=private_key,
        listen_port=None if shared.port is None else listen_port(shared),
        keepalive=within("--persistent-keepalive", persistent_keepalive, KEEPALIVES),
        mtu=within("--mtu", mtu, MTUS),
        period=period(resync_period),
        clean_up=clean_up,
        granularity=mesh_granularity(shared),
        topology_label=_topology_label(shared),
        dns=tuple(one_address("--dns", text) for text in split_values(dns)),
        search_domains=tuple(domain(text) for text in split_values(search_domain)),
        limits=LimitOptions(only_networks, deny, accept).over_settings().limits(),
    )
    cluster = _cluster(shared)
    if dry_run:
        from kgctl.connect.dryrun import commands

        answer("".join(f"{line}\n" for line in commands(options, cluster, message)))
    else:
        run(shared, options, cluster, once=once, level=log_level, log_format=log_format)


def _cluster(shared: Shared) -> ApiServer:
    if shared.filename or shared.example:
        raise UsageError("connect needs a live cluster: omit --filename and --example")
    return live_cluster(shared)


def _topology_label(shared: Shared) -> str:
    return shared.location_label
