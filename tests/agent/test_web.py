"""The HTTP server of an agent."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

import kgctl
from kgctl.agent.http_server import CONNECTIONS, HttpServer, Request, Response
from kgctl.agent.interface import Figures
from kgctl.agent.web import FORMATS, LAYOUTS, Web, serve_web
from kgctl.errors import HostError
from tests.agent.views import FixedView, example, settings
from tests.support.served import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.agent.interface import View

LISTEN = ("127.0.0.1", 0)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with serve_web(FixedView(Figures(nodes=3), example()), settings(), LISTEN) as found:
        yield found


def url(server: HttpServer, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def asked(path: str, view: View | None = None, **changes: str) -> Response:
    path, _, query = path.partition("?")
    web = Web(view or FixedView(known=example()), settings(**changes), lambda: 0.0)
    return web.answer(Request("GET", path, query))


def test_the_pages_are_those_of_the_reference(server: HttpServer) -> None:
    assert fetch(url(server, "/health")) == (200, "ok\n")
    status, page = fetch(url(server, "/"))
    assert status == 200
    assert '<a href="/graph">' in page
    status, metrics = fetch(url(server, "/metrics"))
    assert status == 200
    assert "\nkilo_nodes 3\n" in metrics
    assert fetch(url(server, "/nothing")) == (404, "not found\n")
    assert fetch(url(server, "/debug/pprof/")) == (404, "not found\n")
    assert fetch(url(server, "/health"), "HEAD") == (200, "")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_only_reads(server: HttpServer, method: str) -> None:
    assert fetch(url(server, "/metrics"), method)[0] == 405


@pytest.mark.parametrize("kind", ["dot", "gv"])
def test_the_graph_as_text_is_that_of_kgctl_graph(server: HttpServer, kind: str) -> None:
    status, text = fetch(url(server, f"/graph?format={kind}"))
    assert status == 200
    state, now = example()
    assert text == kgctl.to_dot(kgctl.network_of(state, now=now, hostname="aws-1"))


@pytest.mark.needs("dot", "neato-layout")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_those_of_graphviz(layout: str) -> None:
    found = asked(f"/graph?layout={layout}")
    assert (found.status, found.kind) == (200, "image/svg+xml")
    assert b"<svg" in found.body
    assert b"aws&#45;1" in found.body


@pytest.mark.needs("dot")
@pytest.mark.parametrize(("kind", "begins"), [("json", b"{"), ("ps", b"%!PS"), ("fig", b"#FIG")])
def test_formats_are_those_of_graphviz(kind: str, begins: bytes) -> None:
    found = asked(f"/graph?format={kind}&layout=dot")
    assert (found.status, found.kind) == (200, FORMATS[kind])
    assert found.body.startswith(begins)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("format=pdf", "unsupported format"),
        ("format=", "no"),
        ("format=svg:x", "unsupported format"),
        ("layout=patchwork", "unsupported layout"),
        ("layout=dot%20-o/etc/x", "unsupported layout"),
    ],
)
def test_an_unknown_format_or_layout_is_refused(query: str, why: str) -> None:
    found = asked(f"/graph?{query}")
    if why == "no":  # an empty value counts as none, as in Go
        assert found.status in (200, 500)
        assert b"unsupported" not in found.body
    else:
        assert (found.status, found.body) == (500, f"{why}\n".encode())


def test_without_a_network_it_says_why() -> None:
    assert asked("/graph", FixedView()).status == 503
    state, now = example()
    gone = asked("/graph", FixedView(known=(state, now + 9999)))
    assert (gone.status, gone.body) == (500, b"no node is ready\n")
    unready = asked("/graph?format=dot", hostname="home-tv")
    assert unready.status == 503
    assert unready.body.startswith(b"the node home-tv takes no part: heartbeat ")
    missing = asked("/graph?format=dot", hostname="x\ny")
    assert missing.body == b"the node x\\ny takes no part: it does not exist\n"


def test_errors_of_the_agent_are_no_broken_connection() -> None:
    class Broken(FixedView):
        def figures(self) -> Figures:
            raise ValueError("secret")

    failures: list[Exception] = []
    with serve_web(Broken(), settings(), LISTEN, failures.append) as server:
        assert fetch(url(server, "/metrics")) == (500, "internal error\n")
    assert [str(one) for one in failures] == ["secret"]


def talk(server: HttpServer, *parts: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        for part in parts:
            client.sendall(part)
        client.shutdown(socket.SHUT_WR)
        found = b""
        while chunk := client.recv(65536):
            found += chunk
        return found


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /health HTTP/1.1\r\n\r\n", 200),
        (b"GET /%68ealth?x HTTP/1.0\r\nHost: x\r\n\r\n", 200),
        (b"GET /health\r\n\r\n", 400),
        (b"GET  /health HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/2\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 413),
        (b"GET /health HTTP/1.1\r\nContent-Length: " + b"9" * 900 + b"\r\n\r\n", 413),
        (b"GET /health HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"GET /health HTTP/1.1\r\nX: " + b"x" * 70000, 431),
        (b"\x16\x03\x01\r\n\r\n", 400),
    ],
)
def test_requests_are_read_strictly(server: HttpServer, request_: bytes, status: int) -> None:
    assert talk(server, request_).startswith(f"HTTP/1.1 {status} ".encode())


def test_unfinished_requests_keep_nobody_out(server: HttpServer) -> None:
    with ExitStack() as stack:
        for _ in range(2 * CONNECTIONS):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
            stack.enter_context(client).sendall(b"GET /health HTTP/1.1\r\n")
        began = time.monotonic()
        assert fetch(url(server, "/health")) == (200, "ok\n")
        assert time.monotonic() - began < 5


def test_where_it_cannot_listen_it_says_so(server: HttpServer) -> None:
    with pytest.raises(HostError, match=f"cannot listen on 127.0.0.1, port {server.port}: "):
        serve_web(FixedView(), settings(), ("127.0.0.1", server.port))
    with pytest.raises(HostError, match="cannot listen on "):
        serve_web(FixedView(), settings(), ("no.such.host.invalid", 1))


def test_an_empty_host_is_every_address() -> None:
    with serve_web(FixedView(), settings(), ("", 0)) as server:
        assert fetch(url(server, "/health"))[0] == 200


def test_a_closed_server_answers_nobody() -> None:
    server = serve_web(FixedView(), settings(), LISTEN)
    server.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)
