"""Session of ``kgctl connect``, with its log in lines or in a live view on a terminal.

The live view shows peers, handshakes, rates and the last event.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from kgctl.cli.core.hints import message
from kgctl.cli.core.output import OutputError, answer, discard_rest, note
from kgctl.connect.journal import Journal
from kgctl.connect.status import peer_statuses
from kgctl.errors import KgctlError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.cli.core.shared import Shared
    from kgctl.connect.identity import PeerStore
    from kgctl.connect.interface import Options
    from kgctl.connect.session import Session
    from kgctl.kube.informer import Listener
    from kgctl.state.api_server import ApiServer
    from kgctl.state.feeds import ClusterInformer
    from kgctl.wireguard.device import DeviceState


_SHORTEST_WATCH, _LONGEST_WATCH = 30, 290  # seconds
_FAREWELL_SECONDS = 5.0
_LIVE_EVERY = 1.0


class Level(StrEnum):
    """The lowest level of events to log."""

    ALL = "all"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    NONE = "none"


class LogFormat(StrEnum):
    """The form of the log."""

    JSON = "json"
    TEXT = "text"
    LIVE = "live"


def run(
    shared: Shared,
    options: Options,
    cluster: ApiServer,
    *,
    once: bool,
    level: Level,
    log_format: LogFormat | None,
) -> None:
    """Join this host to the network, and keep it joined unless ``once``.

    Raises:
        KgctlError: the host could not join; what was made is removed.
    """
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
            session(log_journal(level, log_format)).once()
        else:
            session(log_journal(level, log_format)).stay(_informers(cluster, options))
    finally:
        file.unlock()


def _informers(cluster: ApiServer, options: Options) -> Callable[[Listener], ClusterInformer]:
    from kgctl.state.feeds import ClusterInformer

    lasts = round(min(max(2 * options.period, _SHORTEST_WATCH), _LONGEST_WATCH))
    return lambda listener: ClusterInformer(
        cluster.api(),
        listener,
        lasts=lasts,
        poll=options.period,
        heartbeats=False,
        label=options.topology_label,
        platform=False,
    )


def _stay_live(
    session: Callable[[Journal], Session], options: Options, cluster: ApiServer, level: Level
) -> None:

    with LiveView(level) as view:
        running = session(view.journal)
        view.watch(running)
        running.stay(_informers(cluster, options), tick=view.show, every=_LIVE_EVERY)


def log_journal(level: Level, log_format: LogFormat | None) -> Journal:
    """Return a journal that writes its lines to stdout."""

    def write(line: str) -> None:
        try:
            answer(f"{line}\n")
        except (BrokenPipeError, OutputError):
            discard_rest()  # the log has no reader any more: no reason to lose the tunnel

    as_json = log_format in (None, LogFormat.JSON) and not (
        log_format is None and sys.stdout.isatty()
    )
    return Journal(write, level=level, as_json=as_json, worded=message)


def _farewell(shared: Shared) -> PeerStore:
    """Return the Peer store for the exit, with short timeouts and few retries."""
    from kgctl.kube.http.client import Backoff
    from kgctl.state.api_server import ApiServer

    cluster = ApiServer(
        kubeconfig=shared.kubeconfig,
        context=shared.context,
        request_timeout=_FAREWELL_SECONDS,
        interactive=False,
        trace=note if shared.debug else None,
        backoff=Backoff(attempts=2, total=1.0),
    )
    return cluster.peers()


class LiveView:
    """Draws a table below the log lines; ``show`` redraws it."""

    def __init__(self, level: str) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(highlight=False, emoji=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self.journal = Journal(self._print, level=level, as_json=False, worded=message)
        self._session: Session | None = None
        self._before: tuple[float, DeviceState] | None = None

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._live.stop()

    def watch(self, session: Session) -> None:
        """Show this session in the view."""
        self._session = session

    def show(self) -> None:
        """Draw the current state."""
        if self._session is None:
            return
        try:
            state = self._session.tunnel.device.read()
        except KgctlError:
            return  # the next round reports the error
        with suppress(OSError):  # the terminal is gone
            self._live.update(self._table(self._session, state), refresh=True)
        self._before = (time.monotonic(), state)

    def _print(self, line: str) -> None:
        from rich.text import Text

        with suppress(OSError):
            self._console.print(Text(line), soft_wrap=True)

    def _table(self, session: Session, state: DeviceState) -> Any:
        from rich.console import Group
        from rich.text import Text

        from kgctl.cli.commands.status import status_table
        from kgctl.host.privileges import source_towards
        from kgctl.mesh.text import printable

        then, before = self._before or (0.0, None)
        statuses = peer_statuses(
            state,
            session.known_peers(),
            now=time.time(),
            source=source_towards,
            before=before,
            seconds=time.monotonic() - then if before is not None else 0.0,
        )
        connected = sum(one.connected for one in statuses)
        heading = f"{session.tunnel.name}: {connected} of {len(statuses)} peers connected"
        event = f"last event: {printable(session.last_event or 'none')}"
        rows = max(3, self._console.height - 6)
        if session.rejected:
            heading = f"{session.tunnel.name}: rejected: {printable(session.rejected, 1000)}"
        style = "bold red" if session.rejected else "bold"
        return Group(Text(heading, style=style), status_table(statuses[:rows]), Text(event))
