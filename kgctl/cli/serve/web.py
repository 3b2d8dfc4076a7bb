"""What ``kgctl serve`` answers to a browser and to Prometheus: a WSGI application.

A web page of anybody's could ask for what is served on this machine, and by DNS rebinding read it.
So the page is under a secret path, and every request has to name this machine as its host.
"""

from __future__ import annotations

import json
from hmac import compare_digest
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

from kgctl.cli.core.output import note
from kgctl.cli.hints import message
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from kgctl.cli.serve.live import Network

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
    """Serves the page of a network under ``token``, or without one its metrics alone.

    ``hosts`` are the names that a request may give this host, known once the server listens; None
    is any name.
    """

    def __init__(self, network: Network, token: str | None) -> None:
        self._network = network
        self.token = token
        self.hosts: frozenset[str] | None = frozenset()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a request, as PEP 3333 has it."""
        answer = self._answer(environ)
        headers = [("Content-Type", answer.kind), ("Content-Length", str(len(answer.body)))]
        start(answer.status, [*headers, *_SAFE])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return Answer("405 Method Not Allowed", body=b"read-only\n")
        if self.hosts is not None and environ.get("HTTP_HOST", "").lower() not in self.hosts:
            return Answer("403 Forbidden", body=b"the host is another one\n")
        rest = self._below_token(environ.get("PATH_INFO", ""))
        try:
            return self._resource(rest, environ.get("QUERY_STRING", ""))
        except KgctlError as error:
            return Answer("503 Service Unavailable", body=f"{message(error)}\n".encode())
        except Exception as error:  # which the server would log with the path, and so the token
            note(f"kgctl has a fault: {type(error).__name__}: {printable(str(error), 200)}")
            return Answer("500 Internal Server Error", body=b"kgctl has a fault\n")

    def _below_token(self, path: str) -> str:
        """Return the path below the token; the empty path, which is nothing, for all others."""
        if self.token is None:
            return path if path == "/metrics" else ""
        token, slash, rest = path.removeprefix("/").partition("/")
        known = compare_digest(token.encode("utf-8", "replace"), self.token.encode())
        return slash + rest if known else ""

    def _resource(self, path: str, query: str) -> Answer:
        if path == "/":
            from kgctl.render.page.document import to_page

            return Answer("200 OK", _HTML, to_page(self._network.page(), "'self'").encode())
        if path == "/data":
            return self._data(parse_qs(query).get("since", [""])[0])
        if path == "/metrics":
            from kgctl.cli.serve.metrics import CONTENT_TYPE, metrics

            return Answer("200 OK", CONTENT_TYPE, metrics(*self._network.seen()))
        return Answer("404 Not Found", body=b"there is nothing here\n")

    def _data(self, since: str) -> Answer:
        news = self._network.news(since)
        if news is None:
            return Answer("204 No Content")
        return Answer("200 OK", _JSON, json.dumps(news).encode())


def own_hosts(host: str, port: int) -> frozenset[str] | None:
    """Return the names by which a request may call this host, where ``host`` is listened on.

    On loopback they are known: another name is that of a web page elsewhere, which reads what is
    here by DNS rebinding. On any other address this host may have any name, which is None.
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
