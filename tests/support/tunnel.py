"""An HTTP proxy with CONNECT tunnels, as companies run them before their clusters."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class TunnelProxy:
    """Accepts CONNECT requests to any target; records targets in ``asked``, users in ``logins``.

    It answers with ``status``, and the bytes ``early`` in the same packet.
    """

    def __init__(self, status: int = 200, early: bytes = b"") -> None:
        self.status = status
        self.early = early
        self.asked: list[str] = []
        self.logins: list[str | None] = []
        self._server = _Server(self)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    def __enter__(self) -> TunnelProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: TunnelProxy) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.proxy = proxy


class _Tunnel(BaseHTTPRequestHandler):
    server: _Server

    def do_CONNECT(self) -> None:
        self.server.proxy.asked.append(self.path)
        self.server.proxy.logins.append(self.headers.get("Proxy-Authorization"))
        if self.server.proxy.status != 200 or self.server.proxy.early:
            head = f"HTTP/1.1 {self.server.proxy.status} Told\r\n\r\n".encode()
            self.wfile.write(head + self.server.proxy.early)
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as upstream:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                self._carry(upstream)

    def _carry(self, upstream: socket.socket) -> None:
        ends = {self.connection: upstream, upstream: self.connection}
        while True:
            for ready in select.select(list(ends), [], [])[0]:
                data = ready.recv(1 << 16)
                if not data:
                    return
                ends[ready].sendall(data)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""
