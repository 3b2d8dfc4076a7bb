"""The agent's HTTP server: ``/health``, ``/metrics`` and ``/graph``, as the reference has them.

It has no profiles (``/debug/pprof``), and nothing of it changes anything.
"""

from __future__ import annotations

import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from kgctl.agent.http_server import HTML, TEXT, HttpServer, Request, Response
from kgctl.errors import KgctlError, MeshError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.agent.interface import Settings, View
    from kgctl.mesh.state import State

FORMATS = {
    "svg": "image/svg+xml",
    "png": "image/png",
    "bmp": "image/bmp",
    "fig": "text/plain; charset=utf-8",
    "gif": "image/gif",
    "json": "application/json",
    "ps": "application/postscript",
}
"""The formats that Graphviz draws, and their content types; the first is the default."""

TEXTS = ("dot", "gv")
"""The formats that are the graph itself."""

LAYOUTS = ("circo", "dot", "neato", "twopi", "fdp")
"""Graphviz's layouts; the first is the default."""

DRAW_SECONDS = 10.0
"""Seconds that a drawing may take."""

_WAITING = 3  # drawings at once, of which one is made and the others wait

_PAGE = b"""<!DOCTYPE html>
<html lang="en"><head><title>kgctl agent</title></head><body><h1>kgctl agent</h1><ul>
<li><a href="/health">health</a></li>
<li><a href="/metrics">metrics</a></li>
<li><a href="/graph">graph</a></li>
</ul></body></html>
"""


class Web:
    """Answers the requests to an agent; ``clock`` returns the time in Unix seconds."""

    def __init__(
        self, view: View, settings: Settings, clock: Callable[[], float] = time.time
    ) -> None:
        self._view = view
        self._settings = settings
        self._clock = clock
        self._drawing = threading.Lock()
        self._room = threading.BoundedSemaphore(_WAITING)

    def answer(self, request: Request) -> Response:
        """Return the answer to a request."""
        if request.method not in ("GET", "HEAD"):
            return _said(HTTPStatus.METHOD_NOT_ALLOWED, "read-only")
        if request.path == "/":
            return Response(HTTPStatus.OK, HTML, _PAGE)
        if request.path == "/health":
            return _said(HTTPStatus.OK, "ok")
        if request.path == "/metrics":
            return self._metrics()
        if request.path == "/graph":
            return self._graph(parse_qs(request.query))
        return _said(HTTPStatus.NOT_FOUND, "not found")

    def _metrics(self) -> Response:
        from kgctl import __version__
        from kgctl.agent.metrics import CONTENT_TYPE, agent_metrics

        found = agent_metrics(self._view.figures(), __version__, self._clock())
        return Response(HTTPStatus.OK, CONTENT_TYPE, found)

    def _graph(self, query: dict[str, list[str]]) -> Response:
        kind = query.get("format", ["svg"])[0]
        layout = query.get("layout", [LAYOUTS[0]])[0]
        if kind not in FORMATS and kind not in TEXTS:
            return _said(HTTPStatus.INTERNAL_SERVER_ERROR, "unsupported format")
        if layout not in LAYOUTS:
            return _said(HTTPStatus.INTERNAL_SERVER_ERROR, "unsupported layout")
        known = self._view.state()
        if known is None:
            return _said(HTTPStatus.SERVICE_UNAVAILABLE, "the network was not read yet")
        trouble = self._trouble(*known)
        if trouble is not None:
            return trouble
        try:
            dot = self._dot(*known)
        except MeshError as error:
            return _said(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        if kind in TEXTS:
            return Response(HTTPStatus.OK, TEXT, dot.encode("utf-8", "backslashreplace"))
        return self._drawn(dot, kind, layout)

    def _trouble(self, state: State, now: float) -> Response | None:
        """Return the answer if there is no network from this node's point of view."""
        from kgctl.mesh.readiness import why_not_ready

        if not state.ready_nodes(now):
            return _said(HTTPStatus.INTERNAL_SERVER_ERROR, "no node is ready")
        name = self._settings.hostname
        node = state.node(name)
        if node is None:
            why = "it does not exist"
        elif node.is_ready(now):
            return None
        else:
            why = ", ".join(why_not_ready(node, now))
        return _said(
            HTTPStatus.SERVICE_UNAVAILABLE, f"the node {printable(name)} takes no part: {why}"
        )

    def _dot(self, state: State, now: float) -> str:
        from kgctl.mesh.state import viewpoints_of
        from kgctl.render.graph.dot import to_dot

        views = viewpoints_of(
            state,
            now=now,
            granularity=self._settings.granularity,
            acting_leaders=True,
            subnet=self._settings.subnet,
        )
        return to_dot(views.from_node(self._settings.hostname))

    def _drawn(self, dot: str, kind: str, layout: str) -> Response:
        from kgctl.render.graph.graphviz_programs import draw_within

        if not self._room.acquire(blocking=False):
            return _said(HTTPStatus.SERVICE_UNAVAILABLE, "other graphs are being drawn")
        try:
            # one at a time: drawings are for people, and the node has other work
            with self._drawing:
                drawn = draw_within(dot, kind, layout, DRAW_SECONDS)
        except KgctlError as error:
            return _said(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        finally:
            self._room.release()
        return Response(HTTPStatus.OK, FORMATS[kind], drawn)


def _said(status: HTTPStatus, text: str) -> Response:
    return Response(status, TEXT, f"{text}\n".encode("utf-8", "backslashreplace"))


def serve_web(
    view: View,
    settings: Settings,
    listen: tuple[str, int],
    failed: Callable[[Exception], None] = lambda _error: None,
) -> HttpServer:
    """Return a running server of an agent's pages, for ``listen``: a host and a TCP port.

    ``failed`` gets errors of the server itself, which are bugs.

    Raises:
        HostError: it cannot listen there.
    """
    return HttpServer(Web(view, settings).answer, listen, failed=failed)
