"""The HTTP server of ``kgctl serve``: waitress, which no client can keep from serving others.

waitress accepts up to a hundred connections, then none, until one has been silent for two minutes:
a hundred requests that are never finished shut everybody out. Here a request has to arrive within
seconds, and where there are too many connections, the one that has waited longest makes room.
"""

from __future__ import annotations

import logging
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, MultiSocketServer, create_server

if TYPE_CHECKING:
    from kgctl.cli.serve.web import Application

REQUEST_LIMIT = 10.0
"""Seconds within which a request has to arrive whole."""

READ_LIMIT = 30.0
"""Seconds within which a client has to take some more of its answer."""

CONNECTIONS = 64
"""Connections that are kept open; those that wait give way to new ones."""

_LARGE = 1 << 40


class _Channel(HTTPChannel):
    """A connection that ends when its client lets it wait."""

    def __init__(self, server: Any, *args: Any, **more: Any) -> None:
        self._since = time.monotonic()
        self._left = 0
        self._last = False  # its next answer is the last one
        super().__init__(server, *args, **more)
        _make_room(server)

    @property
    def waits_since(self) -> float:
        """When its client last did what it has to, on a steady clock."""
        return self._since

    @property
    def busy(self) -> bool:
        """Whether it waits for kgctl, or is at its end already."""
        return bool(self.requests) or self.will_close

    def readable(self) -> bool:
        # which is asked at least every second
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
        """Drop what was asked ahead: hundreds of requests fit into one packet.

        Their answers would be held in memory until the client takes them, if it ever does. A
        client has to expect that such a connection ends (RFC 9112, 9.3.2); none that is in use
        asks ahead.
        """
        ahead = self.requests[1:]
        self.requests = self.requests[:1]
        for request in ahead:
            request.close()
            self._last = True

    def end(self) -> None:
        """Close it as soon as the server looks at it, also where its client reads nothing."""
        self.will_close = True
        with suppress(OSError):
            assert self.socket is not None
            self.socket.shutdown(socket.SHUT_RDWR)


def _make_room(server: Any) -> None:
    """End the connections that have waited longest, where there are more than may be."""
    idle = [one for one in server.active_channels.values() if not one.busy]
    ending = sum(one.will_close for one in server.active_channels.values())
    surplus = len(server.active_channels) - ending - CONNECTIONS
    if surplus > 0:
        idle.sort(key=lambda one: one.waits_since)
        for one in idle[:surplus]:
            one.end()


def listening(application: Application, host: str, port: int) -> Any:
    """Return a server that listens; its method ``run`` serves.

    Nothing is written to files, whatever the size of an answer. In what is logged the token of the
    page does not stand.

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
        connection_limit=8 * CONNECTIONS,  # those that end count as well
        asyncore_use_poll=True,  # select knows no more than 1,024 files
        max_request_header_size=1 << 14,
        max_request_body_size=1 << 14,
        inbuf_overflow=_LARGE,
        outbuf_overflow=_LARGE,
        outbuf_high_watermark=_LARGE,
        log_socket_errors=False,
    )
    # several where a name has several addresses
    for one in (server.map or {}).values() if isinstance(server, MultiSocketServer) else [server]:
        if isinstance(one, BaseWSGIServer):
            one.channel_class = _Channel
    return server


def _keep_quiet(token: str | None) -> None:
    """Have the server's log say what matters, without the token."""
    for name in ("waitress", "waitress.queue"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.ERROR)
        logger.addFilter(_Secret(token))


class _Secret(logging.Filter):
    """Puts a word in place of the token, which stands in the path of every request."""

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
