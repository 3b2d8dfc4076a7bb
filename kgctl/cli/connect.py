"""``kgctl connect [NAME]``: this host joins the network, and stays on it."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgctl.cli.arguments import UsageError, cidrs, split_values
from kgctl.cli.names import complete_peer
from kgctl.cli.output import answer, note
from kgctl.cli.reading import listen_port, live_cluster, mesh_granularity
from kgctl.cli.shared import Shared, with_shared
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.cluster.apiserver import ApiServer
    from kgctl.cluster.mirror import Listener, Mirror
    from kgctl.connect.interface import Options
    from kgctl.connect.journal import Journal
    from kgctl.connect.membership import PeerStore
    from kgctl.connect.session import Session
    from kgctl.mesh.cidr import Address, Cidr

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_MTU = range(576, 65536)  # bytes; RFC 791: every IPv4 host takes 576
_KEEPALIVE = range(65536)  # seconds; WireGuard keeps them in 16 bits
_NAME_BYTES = 15  # of an interface; the kernel's IFNAMSIZ has one more for the end
_SHORTEST_WATCH, _LONGEST_WATCH = 30, 290  # seconds
_FAREWELL_SECONDS = 5.0
_LIVE_EVERY = 1.0


class Level(StrEnum):
    """What is logged: this and what is more important."""

    ALL = "all"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    NONE = "none"


class LogFormat(StrEnum):
    """How it says what happens."""

    JSON = "json"
    TEXT = "text"
    LIVE = "live"


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
        name=_peer_name(name),
        interface=_interface(interface),
        address=_cidr("--allowed-ip", allowed_ip) if allowed_ip is not None else None,
        extra=(*cidrs("--allowed-ips", allowed_ips), *cidrs("--service-cidr", service_cidr)),
        private_key=private_key,
        listen_port=listen_port(shared),
        keepalive=_within("--persistent-keepalive", persistent_keepalive, _KEEPALIVE),
        mtu=_within("--mtu", mtu, _MTU),
        period=_period(resync_period),
        clean_up=clean_up,
        granularity=mesh_granularity(shared),
        topology_label=_topology_label(shared),
        dns=tuple(_address("--dns", text) for text in split_values(dns)),
        search_domains=tuple(_domain(text) for text in split_values(search_domain)),
    )
    cluster = _cluster(shared)
    if dry_run:
        from kgctl.connect.dryrun import commands

        answer("".join(f"{line}\n" for line in commands(options, cluster)))
    else:
        _run(shared, options, cluster, once=once, level=log_level, log_format=log_format)


def _run(
    shared: Shared,
    options: Options,
    cluster: ApiServer,
    *,
    once: bool,
    level: Level,
    log_format: LogFormat | None,
) -> None:
    from kgctl.connect.session import Session
    from kgctl.host.privileges import require_net_admin
    from kgctl.host.record import RecordFile

    require_net_admin()
    live = not once and log_format in (None, LogFormat.LIVE) and sys.stdout.isatty()
    file = RecordFile(options.interface)
    file.lock()

    def session(journal: Journal) -> Session:
        return Session(options, cluster, file, journal, farewell=lambda: _farewell(shared))

    try:
        if live:
            _stay_live(session, options, cluster, level)
        elif once:
            session(_journal(level, log_format)).once()
        else:
            session(_journal(level, log_format)).stay(_mirror(cluster, options))
    finally:
        file.unlock()


def _mirror(cluster: ApiServer, options: Options) -> Callable[[Listener], Mirror]:
    from kgctl.cluster.mirror import Mirror

    lasts = round(min(max(2 * options.period, _SHORTEST_WATCH), _LONGEST_WATCH))
    return lambda listener: Mirror(cluster.api(), listener, lasts=lasts, poll=options.period)


def _stay_live(
    session: Callable[[Journal], Session], options: Options, cluster: ApiServer, level: Level
) -> None:
    from kgctl.cli.live import LiveView

    with LiveView(level) as view:
        running = session(view.journal)
        view.watch(running)
        running.stay(_mirror(cluster, options), tick=view.show, every=_LIVE_EVERY)


def _journal(level: Level, log_format: LogFormat | None) -> Journal:
    from kgctl.connect.journal import Journal

    def write(line: str) -> None:
        answer(f"{line}\n")

    as_json = log_format in (None, LogFormat.JSON) and not (
        log_format is None and sys.stdout.isatty()
    )
    return Journal(write, level=level, as_json=as_json)


def _cluster(shared: Shared) -> ApiServer:
    if shared.filename or shared.example:
        raise UsageError(
            "connect joins a live cluster: it does not go with --filename or --example"
        )
    return live_cluster(shared)


def _farewell(shared: Shared) -> PeerStore:
    """Return the Peer objects for the way out: nobody wants to wait then."""
    from kgctl.cluster.apiserver import ApiServer
    from kgctl.cluster.client import Backoff

    cluster = ApiServer(
        kubeconfig=shared.kubeconfig,
        context=shared.context,
        request_timeout=_FAREWELL_SECONDS,
        interactive=False,
        trace=note if shared.debug else None,
        backoff=Backoff(attempts=2, total=1.0),
    )
    return cluster.peers()


def _topology_label(shared: Shared) -> str:
    from kgctl.cluster.objects import TOPOLOGY_LABEL

    return shared.topology_label or TOPOLOGY_LABEL


def _peer_name(given: str | None) -> str:
    import socket

    from kgctl.mesh.endpoint import is_dns_name

    name = socket.gethostname() if given is None else given
    if not is_dns_name(name):
        raise UsageError(
            f'"{printable(name)}" cannot be the name of a Peer: lower case letters, digits, "-" '
            'and "."; give one: kgctl connect NAME'
        )
    return name


def _interface(name: str) -> str:
    bad = {"/", ":", "%"} & set(name) or name in ("", ".", "..") or not name.isprintable()
    if bad or " " in name or len(name.encode()) > _NAME_BYTES:
        raise UsageError(
            f'--interface "{printable(name)}" is no name of an interface: at most '
            f"{_NAME_BYTES} bytes, no blank, slash or colon"
        )
    return name


def _within(option: str, value: int, allowed: range) -> int:
    if value not in allowed:
        raise UsageError(
            f"{option} {value} is out of range; give one from {allowed.start} to {allowed.stop - 1}"
        )
    return value


def _period(text: str) -> float:
    from kgctl.mesh.duration import parse_duration

    seconds = parse_duration(text)
    if not seconds:
        raise UsageError(
            f'--resync-period "{printable(text)}" is no duration above 0, as 30s and 1m30s are'
        )
    return seconds


def _cidr(option: str, text: str) -> Cidr:
    from kgctl.mesh.cidr import parse_cidr

    cidr = parse_cidr(text)
    if cidr is None:
        raise UsageError(f'{option} "{printable(text)}" is no CIDR, as 10.10.10.10/32 is')
    return cidr


def _address(option: str, text: str) -> Address:
    from kgctl.mesh.cidr import parse_address

    address = parse_address(text)
    if address is None:
        raise UsageError(f'{option} "{printable(text)}" is no IP address')
    return address


def _domain(text: str) -> str:
    from kgctl.mesh.endpoint import is_dns_name

    if text != "~." and not is_dns_name(text.removeprefix("~").rstrip(".")):
        raise UsageError(f'--search-domain "{printable(text)}" is no domain')
    return text
