"""What ``kgctl serve`` answers to a browser and to Prometheus: a WSGI application.

A web page of anybody's could ask for what is served on this machine, and by DNS rebinding read it.
So the page is under a secret path, and every request has to name this machine as its host.
"""

from __future__ import annotations

import json
from hmac import compare_digest
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

from kgctl.mesh.errors import KgctlError

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

    ``port`` is the one listened on, known once the server listens.
    """

    def __init__(self, network: Network, token: str | None, port: int = 0) -> None:
        self._network = network
        self.token = token
        self.port = port

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a request, as PEP 3333 has it."""
        answer = self._answer(environ)
        headers = [("Content-Type", answer.kind), ("Content-Length", str(len(answer.body)))]
        start(answer.status, [*headers, *_SAFE])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return Answer("405 Method Not Allowed", body=b"read-only\n")
        if self.token is not None and not self._is_own_host(environ.get("HTTP_HOST", "")):
            return Answer("403 Forbidden", body=b"the host is another one\n")
        rest = self._below_token(environ.get("PATH_INFO", ""))
        try:
            return self._resource(rest, environ.get("QUERY_STRING", ""))
        except KgctlError as error:
            return Answer("503 Service Unavailable", body=f"{error}\n".encode())

    def _is_own_host(self, host: str) -> bool:
        return host in (f"127.0.0.1:{self.port}", f"localhost:{self.port}")

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
