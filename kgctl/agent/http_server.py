"""A small HTTP server for the agent's pages and its webhook: one request a connection, in threads.

Anybody who reaches the node may connect. So a request has to arrive within seconds, as a whole and
not only its next byte, and of too many connections the oldest is closed; a few hundred unfinished
requests keep nobody out, and take no memory. ``http.server`` limits neither. Connections are not
kept: those who ask, Prometheus and the API server, do so seldom.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from kgctl.errors import HostError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

REQUEST_SECONDS = 10.0
"""Seconds within which a whole request has to arrive, its TLS handshake included."""

ANSWER_SECONDS = 30.0
"""Seconds within which a client has to read its answer."""

CONNECTIONS = 64
"""Most connections at once by default; for a further one, the oldest is closed."""

HEADER_BYTES = 1 << 14
_LINGER_SECONDS = 1.0
_CHUNK = 1 << 16

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"


class Request(NamedTuple):
    """An HTTP request. ``path`` is decoded, ``query`` is not; ``kind`` is the content type."""

    method: str
    path: str
    query: str = ""
    kind: str = ""
    body: bytes = b""


class Response(NamedTuple):
    """An HTTP response: its status, content type and body."""

    status: int
    kind: str = TEXT
    body: bytes = b""


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class HttpServer:
    """Serves requests by ``answer`` until it is closed; it listens once it is made.

    ``listen`` is a host and a TCP port: an empty host is every address, port 0 any port.
    ``body_limit`` is the most bytes of a request's body, and ``connections`` the most connections
    at once. ``tls`` returns the context of a new
    connection; without it, the server speaks plain HTTP. ``failed`` gets errors of ``answer``.

    Raises:
        HostError: it cannot listen there.
    """

    def __init__(
        self,
        answer: Callable[[Request], Response],
        listen: tuple[str, int],
        *,
        body_limit: int = 0,
        connections: int = CONNECTIONS,
        tls: Callable[[], ssl.SSLContext] | None = None,
        failed: Callable[[Exception], None] = lambda _error: None,
    ) -> None:
        self._answer = answer
        self._body_limit = body_limit
        self._most = connections
        self._tls = tls
        self._failed = failed
        self._open: dict[socket.socket, None] = {}  # in the order of arrival
        self._lock = threading.Lock()
        self._closed = False
        self._listener = _listening(*listen)
        self.port: int = self._listener.getsockname()[1]
        """The TCP port that it listens on."""
        self._thread = threading.Thread(target=self._accept, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and end all connections."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # it wakes accept
        self._thread.join(ANSWER_SECONDS)
        self._listener.close()
        with self._lock:
            for one in self._open:
                _end(one)

    def __enter__(self) -> HttpServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._closed:
                    return
                time.sleep(0.1)  # out of file descriptors: some will be closed
                continue
            with self._lock:
                if len(self._open) >= self._most:
                    oldest = next(iter(self._open))
                    del self._open[oldest]
                    _end(oldest)
                self._open[connection] = None
            try:
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
            except RuntimeError:  # the system has no more threads for it: the client tries again
                with self._lock:
                    self._open.pop(connection, None)
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                self._converse(connection, time.monotonic() + REQUEST_SECONDS)
        finally:
            with self._lock:
                self._open.pop(connection, None)

    def _converse(self, connection: socket.socket, deadline: float) -> None:
        stream = connection
        if self._tls is not None:
            connection.settimeout(REQUEST_SECONDS)
            context = self._tls()
            stream = context.wrap_socket(connection.dup(), server_side=True)
        with stream:
            method = ""
            try:
                request = _read(stream, deadline, self._body_limit)
                method = request.method
                response = self._answered(request)
            except _RefusedError as error:
                response = Response(error.status, TEXT, f"{error}\n".encode())
            stream.settimeout(ANSWER_SECONDS)  # of the whole answer
            stream.sendall(_bytes(response, with_body=method != "HEAD"))
            _linger(stream)

    def _answered(self, request: Request) -> Response:
        try:
            return self._answer(request)
        except Exception as error:
            self._failed(error)
            return Response(HTTPStatus.INTERNAL_SERVER_ERROR, TEXT, b"internal error\n")


def _listening(host: str, port: int) -> socket.socket:
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=CONNECTIONS
            )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=CONNECTIONS)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        where = f"{printable(host)}, port {port}" if host else f"port {port}"
        raise HostError(f"cannot listen on {where}: {printable(reason)}") from None


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _linger(stream: socket.socket) -> None:
    """Wait until the client has closed: unread input at a close would discard the answer."""
    deadline = time.monotonic() + _LINGER_SECONDS
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_WR)
        while (left := deadline - time.monotonic()) > 0:
            stream.settimeout(left)
            if not stream.recv(_CHUNK):
                return


def _receive(stream: socket.socket, deadline: float) -> bytes:
    """Return the next bytes of a request.

    Raises:
        OSError: the time is over, or the client is gone.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    stream.settimeout(left)
    found = stream.recv(_CHUNK)
    if not found:
        raise ConnectionResetError
    return found


def _read(stream: socket.socket, deadline: float, body_limit: int) -> Request:
    """Read a request (RFC 9112).

    Raises:
        _RefusedError: it is invalid, or too large.
        OSError: it did not arrive in time.
    """
    received = b""
    while b"\r\n\r\n" not in received:
        if len(received) > HEADER_BYTES:
            raise _RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too large")
        received += _receive(stream, deadline)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "not a request of HTTP/1.1")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "a header is invalid")
        headers[name.lower()] = value.strip()
    length = _length(headers, body_limit)
    if headers.get("expect", "").lower() == "100-continue" and len(body) < length:
        stream.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    parts = [body]
    missing = length - len(body)
    while missing > 0:
        parts.append(_receive(stream, deadline))
        missing -= len(parts[-1])
    path, _, query = words[1].partition("?")
    kind = headers.get("content-type", "")
    return Request(words[0], unquote(path), query, kind, b"".join(parts)[:length])


def _length(headers: dict[str, str], most: int) -> int:
    if "transfer-encoding" in headers:
        raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "give a Content-Length")
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "the Content-Length is invalid")
    if len(text) > 18 or int(text) > most:
        raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {most} bytes")
    return int(text)


def _bytes(response: Response, *, with_body: bool) -> bytes:
    status = HTTPStatus(response.status)
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {response.kind}",
        f"Content-Length: {len(response.body)}",
        "Cache-Control: no-store",
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'",
        "Cross-Origin-Resource-Policy: same-origin",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    )
    head = "".join(f"{line}\r\n" for line in lines) + "\r\n"
    return head.encode() + (response.body if with_body else b"")
