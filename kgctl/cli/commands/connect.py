"""``kgctl connect``: this host joins the network, and stays on it.

The values of ``kgctl connect``'s options: what is valid, and what to say of the rest.

``kgctl connect [NAME]``: this host joins the network, and stays on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.commands.connect_run import Level, LogFormat, run
from kgctl.cli.core.arguments import UsageError, cidrs, split_values
from kgctl.cli.core.choices import complete_peer
from kgctl.cli.core.hints import message
from kgctl.cli.core.limits import Accept, Deny, LimitOptions, OnlyNetworks
from kgctl.cli.core.output import answer
from kgctl.cli.core.reading import listen_port, live_cluster, mesh_granularity
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.mesh.text import parse_duration, printable

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.state.api_server import ApiServer


MTU = range(576, 65536)
"""Bytes; RFC 791: every IPv4 host takes 576."""

KEEPALIVE = range(65536)
"""Seconds; WireGuard keeps them in 16 bits."""

_NAME_BYTES = 15  # of an interface; the kernel's IFNAMSIZ has one more for the end


def peer_name(given: str | None) -> str:
    """Return the name of the Peer: the given one, or this host's.

    Raises:
        UsageError: it cannot be one.
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
    """Return the name of an interface.

    Raises:
        UsageError: the kernel takes no such name.
    """
    bad = {"/", ":", "%"} & set(name) or name in ("", ".", "..") or not name.isprintable()
    if bad or " " in name or len(name.encode()) > _NAME_BYTES:
        raise UsageError(
            f'--interface "{printable(name)}" is not a name of an interface: at most '
            f"{_NAME_BYTES} bytes, no blank, slash or colon"
        )
    return name


def within(option: str, value: int, allowed: range) -> int:
    """Return the value of an option.

    Raises:
        UsageError: it is out of range.
    """
    if value not in allowed:
        raise UsageError(
            f"{option} {value} is out of range; give one from {allowed.start} to {allowed.stop - 1}"
        )
    return value


def period(text: str) -> float:
    """Return the seconds of ``--resync-period``.

    Raises:
        UsageError: it is not a duration above 0.
    """
    seconds = parse_duration(text)
    if not seconds:
        raise UsageError(
            f'--resync-period "{printable(text)}" is not a duration above 0, as 30s and 1m30s are'
        )
    return seconds


def one_cidr(option: str, text: str) -> Cidr:
    """Return the value of an option as a CIDR.

    Raises:
        UsageError: it is none.
    """
    from kgctl.mesh.cidr import parse_cidr

    found = parse_cidr(text)
    if found is None:
        raise UsageError(f'{option} "{printable(text)}" is not a CIDR, as 10.10.10.10/32 is')
    return found


def one_address(option: str, text: str) -> Address:
    """Return the value of an option as an IP address.

    Raises:
        UsageError: it is none.
    """
    from kgctl.mesh.cidr import parse_address

    found = parse_address(text)
    if found is None:
        raise UsageError(f'{option} "{printable(text)}" is not an IP address')
    return found


def domain(text: str) -> str:
    """Return a domain as ``resolvectl`` takes it; ``~`` before it means not to search it.

    Raises:
        UsageError: it is none.
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
            help="The address of this host in the network. Default: the Peer's, where there is "
            "one, else 10.10.10.10/32.",
        ),
    ] = None,
    allowed_ips: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR,...", help="Also reach these through a node. Repeatable."),
    ] = None,
    service_cidr: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR,...",
            help="The cluster's Services: the same as --allowed-ips. Repeatable.",
        ),
    ] = None,
    interface: Annotated[
        str, typer.Option("--interface", "-i", metavar="NAME", help="The interface.")
    ] = "kilo0",
    private_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The private key. Default: a new one, in memory only."),
    ] = None,
    persistent_keepalive: Annotated[
        int,
        typer.Option(metavar="SECONDS", help="The keepalive of a Peer that is created; 0 is off."),
    ] = 10,
    mtu: Annotated[int, typer.Option(metavar="BYTES", help="The interface's MTU.")] = 1420,
    resync_period: Annotated[
        str,
        typer.Option(metavar="TIME", help="Check everything this often; changes come at once."),
    ] = "30s",
    clean_up: Annotated[
        bool,
        typer.Option(
            "--clean-up/--no-clean-up",
            help="At the end remove routes, the interface, and the Peer if it was created.",
        ),
    ] = True,
    dns: Annotated[
        list[str] | None,
        typer.Option(metavar="IP,...", help="DNS servers, set with resolvectl. Repeatable."),
    ] = None,
    search_domain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DOMAIN,...",
            help="Ask those servers for these domains only; ~DOMAIN does not search. Repeatable.",
        ),
    ] = None,
    only_networks: OnlyNetworks = None,
    deny: Deny = None,
    accept: Accept = None,
    once: Annotated[
        bool, typer.Option("--once/--no-once", help="Apply once, and exit.", show_default=False)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run/--no-dry-run",
            help="Print what would be done, as ip and wg commands.",
            show_default=False,
        ),
    ] = False,
    log_level: Annotated[Level, typer.Option(help="What to log.")] = Level.INFO,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            help="How to log it: live is a view of the peers. Default: live on a terminal, "
            "else json.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Join the network with this host, and stay on it until SIGINT or SIGTERM.

    It takes the capability CAP_NET_ADMIN and nothing else.
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
        keepalive=within("--persistent-keepalive", persistent_keepalive, KEEPALIVE),
        mtu=within("--mtu", mtu, MTU),
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
        raise UsageError(
            "connect joins a live cluster: it does not go with --filename or --example"
        )
    return live_cluster(shared)


def _topology_label(shared: Shared) -> str:

    return shared.location_label
