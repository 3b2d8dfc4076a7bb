"""A proxy before the API server with selectable faults."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path


class FaultyProxy:
    """Forwards requests to an API server, except those for which a fault is queued.

    Each request consumes one of ``faults``. The proxy uses TLS, since clients send no credentials
    without: with the API server's certificate, which is beside its authority ``ca``, or with
    ``certificate`` (PEM, with its key). ``tls`` False disables it.
    """

    def __init__(
        self, url: str, ca: Path, certificate: Path | None = None, *, tls: bool = True
    ) -> None:
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.connections = 0
        self._server = _Server(self, url, ca)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            if certificate is not None:
                context.load_cert_chain(certificate)
            else:
                context.load_cert_chain(ca.with_name("server.pem"), ca.with_name("server.key"))
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> FaultyProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: FaultyProxy, url: str, ca: Path) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.proxy = proxy
        self.upstream = urlsplit(url).netloc
        self.tls = ssl.create_default_context(cafile=str(ca))

    def process_request(self, request: Any, client_address: Any) -> None:
        self.proxy.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, *_: object) -> None:
        """Ignore it: tests expect clients to hang up on a faulty server."""


class Request(BaseHTTPRequestHandler):
    """One request, and the possible answers of the proxy."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def answer(self) -> None:
        """Answer with the next fault, or forward the request."""
        proxy = self.server.proxy
        proxy.asked.append(self.path)
        fault = proxy.faults.pop(0) if proxy.faults else Request.pass_on
        fault(self)

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def do_PATCH(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        self.answer()

    def do_DELETE(self) -> None:
        self.answer()

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def pass_on(self, *, keep: float = 1.0, slowly: float = 0.0) -> None:
        """Forward the API server's answer, only its first part, or byte by byte."""
        upstream = http.client.HTTPSConnection(
            self.server.upstream, context=self.server.tls, timeout=30
        )
        length = self.headers.get("Content-Length")
        sent = self.rfile.read(int(length)) if length else None
        headers = {name: value for name, value in self.headers.items() if name != "Host"}
        upstream.request(self.command, self.path, sent, headers)
        answer = upstream.getresponse()
        body = answer.read()
        upstream.close()
        names = ("Content-Type", "Content-Encoding")
        self._head(answer.status, len(body), {n: answer.headers[n] for n in names})
        part = body[: int(len(body) * keep)]
        if slowly:
            for at in range(len(part)):
                self.wfile.write(part[at : at + 1])
                time.sleep(slowly)
        self.wfile.write(part)
        self.close_connection = keep < 1

    def stream(self) -> None:
        """Forward an answer as it arrives: a watch."""
        upstream = http.client.HTTPSConnection(
            self.server.upstream, context=self.server.tls, timeout=120
        )
        headers = {name: value for name, value in self.headers.items() if name != "Host"}
        with contextlib.closing(upstream):
            upstream.request(self.command, self.path, None, headers)
            with upstream.getresponse() as answer:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers["Content-Type"])
                self.send_header("Connection", "close")
                self.end_headers()
                while data := answer.read1():
                    self.wfile.write(data)
        self.close_connection = True

    def say(self, status: int, body: str, kind: str = "text/html", **headers: str) -> None:
        """Answer instead of the API server."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        # the body must be read, or it counts as the next request on this connection
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._head(status, len(body.encode()), {"Content-Type": kind, **named})
        self.wfile.write(body.encode())

    def hang_up(self) -> None:
        """Close the connection without an answer."""
        self.close_connection = True

    def reset(self) -> None:
        """Make the system answer with a RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def babble(self) -> None:
        """Answer with another protocol than HTTP."""
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.close_connection = True

    def _head(self, status: int, length: int, headers: dict[str, Any]) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()


Fault = Callable[[Request], None]


def saying(status: int, body: str = "", kind: str = "text/html", **headers: str) -> Fault:
    """Return the fault that answers with these values."""
    return lambda request: request.say(status, body, kind, **headers)


def cut_short(request: Request) -> None:
    """Send half of the answer."""
    request.pass_on(keep=0.5)


def dripping(request: Request) -> None:
    """Send the answer byte by byte: each arrives soon, the last one never."""
    request.pass_on(slowly=0.05)


def silent(request: Request) -> None:
    """Take the request and send nothing for longer than any test waits."""
    time.sleep(20)
    request.hang_up()
