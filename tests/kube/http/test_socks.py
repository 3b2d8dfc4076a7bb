"""SOCKS proxies of the kubeconfig: used with PySocks, which the error names if missing."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import socks  # noqa: F401 - what is tested does not work without

from kgctl.errors import ClusterError, UnreachableError
from kgctl.kube.access.kubeconfig import Access
from kgctl.kube.http.package import PackageTransport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def exactly(wire: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += wire.recv(size - len(data)) or b"\0" * size
    return data


class SocksProxy:
    """Speaks just enough of RFC 1928 and 1929; whatever is asked for, it leads to one place."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.asked: list[str] = []
        self.logins: list[str] = []
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                wire, _ = self._listener.accept()
                threading.Thread(target=self._handle, args=[wire], daemon=True).start()

    def _handle(self, wire: socket.socket) -> None:
        with wire:
            _, count = exactly(wire, 2)
            methods = exactly(wire, count)
            wire.sendall(b"\5\2" if 2 in methods else b"\5\0")
            if 2 in methods:
                name = exactly(wire, exactly(wire, 2)[1])
                word = exactly(wire, exactly(wire, 1)[0])
                self.logins.append(f"{name.decode()}:{word.decode()}")
                wire.sendall(b"\1\0")
            kind = exactly(wire, 4)[3]
            host = (
                exactly(wire, exactly(wire, 1)[0]).decode() if kind == 3 else str(exactly(wire, 4))
            )
            (port,) = struct.unpack("!H", exactly(wire, 2))
            self.asked.append(f"{host}:{port}")
            with socket.create_connection(self._target) as server:
                wire.sendall(b"\5\0\0\1\0\0\0\0\0\0")
                request = wire.recv(1 << 16)
                server.sendall(request)
                while data := server.recv(1 << 16):
                    wire.sendall(data)


class _Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[SocksProxy]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hello) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        proxy = SocksProxy(("127.0.0.1", server.server_address[1]))
        yield proxy
        proxy.close()
        server.shutdown()


def access(proxy: str) -> Access:
    cluster = {"proxy-url": proxy}
    return Access("http://api.cluster.invalid:8001", cluster, {"token": "t"}, "c", "F", ())


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "SOCKS5"])
@pytest.mark.parametrize("login", ["", "me:word@"])
def test_it_is_gone_through_and_looks_names_up(proxy: SocksProxy, scheme: str, login: str) -> None:
    transport = PackageTransport(access(f"{scheme}://{login}{proxy.address}"))
    answer = transport.request("GET", "/version", {}, {}, None, 30)
    assert (answer.status, answer.read(10)) == (200, b"hello")
    answer.close()
    transport.close()
    assert proxy.asked == ["api.cluster.invalid:8001"]
    assert proxy.logins == (["me:word"] if login else [])


def test_one_that_is_not_there_is_named() -> None:
    transport = PackageTransport(access("socks5://me:word@127.0.0.1:1"))
    with pytest.raises(ClusterError, match=r"socks5://127\.0\.0\.1:1: .*check proxy-url") as caught:
        transport.request("GET", "/version", {}, {}, None, 30)
    assert "word" not in str(caught.value)


DRIPPED = (b"\5\0", b"\5\0\0\3" + bytes([255]) + b"a" * 255 + b"\0\0")
"""What a proxy says to the greeting, and to the request: that it has bound a name of 255 bytes."""


def test_one_that_drips_is_ended_with_the_request() -> None:
    ended: list[float] = []

    def drip(wire: socket.socket) -> None:
        with wire, contextlib.suppress(OSError):
            exactly(wire, 3)
            for byte in b"".join(DRIPPED):  # 26 s, each byte soon enough for a socket's own timeout
                wire.sendall(bytes([byte]))
                time.sleep(0.1)
        ended.append(time.monotonic())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=lambda: drip(listener.accept()[0]), daemon=True)
        thread.start()
        transport = PackageTransport(access(f"socks5://{where}"))
        start = time.monotonic()
        with pytest.raises(UnreachableError) as caught:
            transport.request("GET", "/version", {}, {}, None, 0.5)
        took = time.monotonic() - start
        thread.join(10)
    assert 0.5 <= took < 5
    assert ended, "its connection is closed"
    assert str(caught.value) == (
        "cannot reach http://api.cluster.invalid:8001 (F) through the proxy "
        f"socks5://{where}: its handshake took too long; check proxy-url, HTTPS_PROXY and NO_PROXY"
    )


@pytest.mark.parametrize(
    "proxy", ["socks4://127.0.0.1:1", "gopher://x", "127.0.0.1:1080", "socks5:x"]
)
def test_one_that_kubectl_does_not_take_is_refused(proxy: str) -> None:
    with pytest.raises(
        ClusterError, match="its URL must begin with http://, https:// or socks5://"
    ):
        PackageTransport(access(proxy))


def test_without_its_package_the_error_names_what_to_install(tmp_path: Path) -> None:
    cluster = {"server": "https://127.0.0.1:1", "proxy-url": "socks5://127.0.0.1:1"}
    content = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "contexts": [{"name": "c", "context": {"cluster": "c"}}],
        "current-context": "c",
    }
    path = tmp_path / "k"
    path.write_text(json.dumps(content))
    without = (
        "import sys; sys.modules['socks'] = None; from kgctl.cli.core.app import run; "
        "sys.exit(run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", without, "get", "nodes", "--kubeconfig", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("install it with: pip install PySocks\n")
    assert done.stderr.count("\n") == 1
