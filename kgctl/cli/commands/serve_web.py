"""HTTP server of ``kgctl serve``: the WSGI application, the metrics, and limits for clients.

Any web page could request what this machine serves, and read it by DNS rebinding. So the page has a
secret path, and every request has to name this machine as its host.

waitress accepts up to a hundred connections, and then none until one has been silent for two
minutes, so a hundred unfinished requests would lock out all other clients. Here a request has to
arrive within seconds, and if there are too many connections, the one that has waited longest is
closed.

docs/serve.md lists the metrics, which are in Prometheus' text format.
"""

from __future__ import annotations

import json
import logging
import socket
import time
from collections import Counter
from contextlib import suppress
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, MultiSocketServer, create_server

from kgctl.cli.core.hints import message
from kgctl.cli.core.output import note
from kgctl.errors import KgctlError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client.core import GaugeMetricFamily

    from kgctl.cli.commands.serve_live import Network, Seen


_SAFE = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
]
_HTML = "text/html; charset=utf-8"
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    """An HTTP response: its status line, media type and body."""

    status: str
    kind: str = _TEXT
    body: bytes = b""


class Application:
    """Serves the page of a network under ``token``, or only its metrics without a token.

    ``hosts`` are the allowed values of the Host header, set once the server listens; None allows
    any.
    """

    def __init__(self, network: Network, token: str | None) -> None:
        self._network = network
        self.token = token
        self.hosts: frozenset[str] | None = frozenset()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a request, as specified in PEP 3333."""
        answer = self._answer(environ)
        headers = [("Content-Type", answer.kind), ("Content-Length", str(len(answer.body)))]
        start(answer.status, [*headers, *_SAFE])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return Answer("405 Method Not Allowed", body=b"read-only\n")
        if self.hosts is not None and environ.get("HTTP_HOST", "").lower() not in self.hosts:
            return Answer("403 Forbidden", body=b"unknown host\n")
        rest = self._below_token(environ.get("PATH_INFO", ""))
        try:
            return self._resource(rest, environ.get("QUERY_STRING", ""))
        except KgctlError as error:
            return Answer("503 Service Unavailable", body=f"{message(error)}\n".encode())
        except Exception as error:  # the server would log it with the path, which has the token
            note(f"internal error: {type(error).__name__}: {printable(str(error), 200)}")
            return Answer("500 Internal Server Error", body=b"internal error\n")

    def _below_token(self, path: str) -> str:
        """Return the path below the token, or an empty path, which is not found."""
        if self.token is None:
            return path if path == "/metrics" else ""
        token, slash, rest = path.removeprefix("/").partition("/")
        known = compare_digest(token.encode("utf-8", "replace"), self.token.encode())
        return slash + rest if known else ""

    def _resource(self, path: str, query: str) -> Answer:
        if path == "/":
            from kgctl.render.page.content import to_page

            return Answer("200 OK", _HTML, to_page(self._network.page(), "'self'").encode())
        if path == "/data":
            return self._data(parse_qs(query).get("since", [""])[0])
        if path == "/metrics":
            return Answer("200 OK", CONTENT_TYPE, metrics(*self._network.seen()))
        return Answer("404 Not Found", body=b"not found\n")

    def _data(self, since: str) -> Answer:
        news = self._network.news(since)
        if news is None:
            return Answer("204 No Content")
        return Answer("200 OK", _JSON, json.dumps(news).encode())


def own_hosts(host: str, port: int) -> frozenset[str] | None:
    """Return the allowed values of the Host header for a server that listens on ``host``.

    On loopback they are known: any other name is that of a foreign web page that attempts DNS
    rebinding. On other addresses this host may have any name, so the result is None.
    """
    from ipaddress import ip_address

    try:
        loopback = ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        loopback = host.lower() == "localhost"
    if not loopback:
        return None
    names = {"127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host.lower()}
    return frozenset({f"{name}:{port}" for name in names} | (names if port == 80 else set()))


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(seen: Seen, present: float) -> bytes:
    """Return the metrics of a cluster; ages are counted to ``present``, in Unix seconds."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import generate_latest

    registry = CollectorRegistry()
    registry.register(_Collector(seen, present))
    return generate_latest(registry)


class _Collector:
    """Passes the metrics to ``prometheus_client``, which writes and escapes them."""

    def __init__(self, seen: Seen, present: float) -> None:
        self._seen = seen
        self._present = present

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every metric."""
        from prometheus_client.core import GaugeMetricFamily as Gauge

        state, now = self._seen.examined.subject.state, self._seen.examined.now
        peers = len(state.peers) + len(state.invalid_peers)
        ready_peers = len(state.ready_peers(now))
        yield Gauge("kilo_nodes", "Nodes of the cluster.", len(state.nodes))
        yield Gauge("kilo_nodes_ready", "Nodes that take part.", len(state.ready_nodes(now)))
        yield Gauge("kilo_peers", "Peers, valid or not.", peers)
        yield Gauge("kilo_peers_ready", "Peers that take part.", ready_peers)
        heard = self._seen.heard
        yield Gauge("kilo_read_timestamp_seconds", "When the cluster was last heard of.", heard)
        yield Gauge("kilo_reachable", "0 while it cannot be read.", not self._seen.trouble)
        ready = Gauge("kilo_node_ready", "1 if the node takes part, else 0.", labels=["node"])
        age = Gauge(
            "kilo_node_heartbeat_age_seconds", "Age of the last heartbeat.", labels=["node"]
        )
        for node in state.nodes:
            name = [printable(node.name, 300)]
            ready.add_metric(name, float(node.is_ready(now)))
            if node.last_seen:
                age.add_metric(name, max(0.0, self._present - node.last_seen))
        yield ready
        yield age
        yield self._findings()

    def _findings(self) -> GaugeMetricFamily:
        from prometheus_client.core import GaugeMetricFamily as Gauge

        from kgctl.diagnosis.check import RULES
        from kgctl.diagnosis.facts import Settings
        from kgctl.diagnosis.report import examine

        seen = self._seen.examined
        report = examine(seen.subject, Settings(seen.now, seen.granularity))
        counts = Counter(finding.code for finding in report.findings)
        labels = ["code", "severity"]
        gauge = Gauge("kilo_findings", "Findings of kgctl check by rule.", labels=labels)
        for rule in RULES:
            gauge.add_metric([rule.code, rule.severity], counts[rule.code])
        return gauge


REQUEST_LIMIT = 10.0
"""Seconds within which a complete request has to arrive."""

READ_LIMIT = 30.0
"""Seconds within which a client has to read more of its answer."""

CONNECTIONS = 64
"""Most open connections; beyond that, idle ones are closed for new ones."""

_LARGE = 1 << 40


class _Channel(HTTPChannel):
    """A connection that is closed if its client is too slow."""

    def __init__(self, server: Any, *args: Any, **more: Any) -> None:
        self._since = time.monotonic()
        self._left = 0
        self._last = False  # the next answer is the last one
        super().__init__(server, *args, **more)
        _make_room(server)

    @property
    def waits_since(self) -> float:
        """The time of its client's last progress, on the monotonic clock."""
        return self._since

    @property
    def busy(self) -> bool:
        """Whether it waits for kgctl, or is closing."""
        return bool(self.requests) or self.will_close

    def readable(self) -> bool:
        # the server calls this at least every second
        if self._last and not self.requests and not self.total_outbufs_len:
            self.end()
        elif self.busy or self.total_outbufs_len != self._left:
            self._left, self._since = self.total_outbufs_len, time.monotonic()
        elif time.monotonic() - self._since > (READ_LIMIT if self._left else REQUEST_LIMIT):
            self.end()
        return bool(super().readable())

    def received(self, data: bytes) -> bool:
        going_on: bool = super().received(data)
        with self.requests_lock:  # type: ignore[attr-defined]
            if self.requests:
                self._since = time.monotonic()
            self._drop_ahead()
        return going_on

    def _drop_ahead(self) -> None:
        """Drop pipelined requests: hundreds of them fit into one packet.

        Their answers would stay in memory until the client reads them, if ever. A client that
        pipelines has to expect that the connection is closed (RFC 9112, 9.3.2); no client in use
        does it.
        """
        ahead = self.requests[1:]
        self.requests = self.requests[:1]
        for request in ahead:
            request.close()
            self._last = True

    def end(self) -> None:
        """Close the connection in the server's next turn, even if its client reads nothing."""
        self.will_close = True
        with suppress(OSError):
            assert self.socket is not None
            self.socket.shutdown(socket.SHUT_RDWR)


def _make_room(server: Any) -> None:
    """Close the connections that have waited longest, if there are too many."""
    idle = [one for one in server.active_channels.values() if not one.busy]
    ending = sum(one.will_close for one in server.active_channels.values())
    surplus = len(server.active_channels) - ending - CONNECTIONS
    if surplus > 0:
        idle.sort(key=lambda one: one.waits_since)
        for one in idle[:surplus]:
            one.end()


def listening(application: Application, host: str, port: int) -> Any:
    """Return a listening server; its method ``run`` serves.

    It writes no files, even for large answers. Its log does not contain the token of the page.

    Raises:
        OSError, ValueError: it cannot listen there.
    """
    _keep_quiet(application.token)
    server = create_server(
        application,
        host=host,
        port=port,
        threads=4,
        ident="kgctl",
        connection_limit=8 * CONNECTIONS,  # closing ones count too
        asyncore_use_poll=True,  # select supports only 1,024 files
        max_request_header_size=1 << 14,
        max_request_body_size=1 << 14,
        inbuf_overflow=_LARGE,
        outbuf_overflow=_LARGE,
        outbuf_high_watermark=_LARGE,
        log_socket_errors=False,
    )
    # several servers if a name has several addresses
    for one in (server.map or {}).values() if isinstance(server, MultiSocketServer) else [server]:
        if isinstance(one, BaseWSGIServer):
            one.channel_class = _Channel
    return server


def _keep_quiet(token: str | None) -> None:
    """Make the server log only errors, without the token."""
    for name in ("waitress", "waitress.queue"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.ERROR)
        logger.addFilter(_Secret(token))


class _Secret(logging.Filter):
    """Replaces the token, which is in the path of every request, with a word."""

    def __init__(self, token: str | None) -> None:
        super().__init__()
        self._token = token

    def filter(self, record: logging.LogRecord) -> bool:
        if self._token:
            record.msg, record.args = record.getMessage().replace(self._token, "TOKEN"), ()
            if record.exc_info:
                text = logging.Formatter().formatException(record.exc_info)
                record.exc_text = text.replace(self._token, "TOKEN")
        return True
