"""An idle API server: it lists its objects, and its watches send no events."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

_PEERS = "/apis/kilo.squat.ai/v1alpha1/peers"


class QuietServer:
    """Serves ``nodes`` and no Peers by HTTP on loopback; a context manager.

    ``away`` makes every request and watch end without an answer, as with a dead server. The
    server's clock is ``ahead`` by so many seconds.
    """

    def __init__(self, nodes: list[dict[str, Any]], *, ahead: float = 0.0) -> None:
        self.nodes = nodes
        self.away = threading.Event()
        self.requests: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.close_connection = True
                if server.away.is_set():
                    return
                server.requests.append(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Connection", "close")
                self.end_headers()
                if "watch=" in self.path:
                    self.wfile.flush()
                    server.away.wait(120)
                    return
                items = [] if self.path.startswith(_PEERS) else server.nodes
                listed = {"metadata": {"resourceVersion": "7"}, "items": items}
                kind = "PeerList" if self.path.startswith(_PEERS) else "NodeList"
                version = "kilo.squat.ai/v1alpha1" if kind == "PeerList" else "v1"
                body = {"apiVersion": version, "kind": kind, **listed}
                self.wfile.write(json.dumps(body).encode())

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(int(timestamp or time.time() + ahead))

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def kubeconfig(self, directory: Path) -> Path:
        """Write a kubeconfig for this server."""
        file = directory / "kubeconfig"
        address = f"http://127.0.0.1:{self._http.server_address[1]}"
        clusters = [{"name": "quiet", "cluster": {"server": address}}]
        contexts = [{"name": "quiet", "context": {"cluster": "quiet", "user": "me"}}]
        users = [{"name": "me", "user": {"token": "none"}}]
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "quiet",
            "clusters": clusters, "contexts": contexts, "users": users,
        }  # fmt: skip
        file.write_text(json.dumps(config))
        return file

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.away.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)


def node(name: str, heartbeat_age: float) -> dict[str, Any]:
    """Return a ready node with a heartbeat of that age in seconds."""
    annotations = {
        "endpoint": "198.51.100.1:51820",
        "key": "XzFVuRNaoGx1A/INlJld+7pG7yI4rdwNHVpu7ItL0UE=",
        "last-seen": str(int(time.time() - heartbeat_age)),
        "granularity": "location",
    }
    return {
        "metadata": {
            "name": name,
            "annotations": {f"kilo.squat.ai/{key}": value for key, value in annotations.items()},
        },
        "spec": {"podCIDR": "10.42.0.0/24"},
    }
