"""Running a session, with what it says on a terminal or in lines."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING

from kgctl.cli.core.output import OutputError, answer, discard_rest, note
from kgctl.cli.hints import message

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.cli.core.shared import Shared
    from kgctl.connect.interface import Options
    from kgctl.connect.journal import Journal
    from kgctl.connect.membership import PeerStore
    from kgctl.connect.session import Session
    from kgctl.kube.informer import Listener
    from kgctl.state.api_server import ApiServer
    from kgctl.state.informer import ClusterInformer

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


def run(
    shared: Shared,
    options: Options,
    cluster: ApiServer,
    *,
    once: bool,
    level: Level,
    log_format: LogFormat | None,
) -> None:
    """Join with this host, and stay, or not (``once``).

    Raises:
        KgctlError: it could not join; what was made is taken back.
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
            session(_journal(level, log_format)).once()
        else:
            session(_journal(level, log_format)).stay(_informers(cluster, options))
    finally:
        file.unlock()


def _informers(cluster: ApiServer, options: Options) -> Callable[[Listener], ClusterInformer]:
    from kgctl.state.informer import ClusterInformer

    lasts = round(min(max(2 * options.period, _SHORTEST_WATCH), _LONGEST_WATCH))
    return lambda listener: ClusterInformer(
        cluster.api(), listener, lasts=lasts, poll=options.period
    )


def _stay_live(
    session: Callable[[Journal], Session], options: Options, cluster: ApiServer, level: Level
) -> None:
    from kgctl.cli.connect.live import LiveView

    with LiveView(level) as view:
        running = session(view.journal)
        view.watch(running)
        running.stay(_informers(cluster, options), tick=view.show, every=_LIVE_EVERY)


def _journal(level: Level, log_format: LogFormat | None) -> Journal:
    from kgctl.connect.journal import Journal

    def write(line: str) -> None:
        try:
            answer(f"{line}\n")
        except (BrokenPipeError, OutputError):
            discard_rest()  # nobody reads the log any more: no reason to lose the tunnel

    as_json = log_format in (None, LogFormat.JSON) and not (
        log_format is None and sys.stdout.isatty()
    )
    return Journal(write, level=level, as_json=as_json, worded=message)


def _farewell(shared: Shared) -> PeerStore:
    """Return the Peer objects for the way out: nobody wants to wait then."""
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
