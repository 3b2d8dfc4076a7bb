"""A stand-in for the API server, in the memory of the tests: nodes and peers, lists and watches.

The real one is what tests/api and tests/network have; it takes minutes to start in an emulator.
"""

from __future__ import annotations

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kernel.machine import Machine

Object = dict[str, Any]

NODES = "/api/v1/nodes"
PEERS = "/apis/kilo.squat.ai/v1alpha1/peers"
_LISTS = {NODES: "NodeList", PEERS: "PeerList"}


class Store:
    """Objects by path and name, and every event since the start."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.events: list[tuple[str, str, Object]] = []
        self.closed = False
        self._objects: dict[str, dict[str, Object]] = {NODES: {}, PEERS: {}}

    @property
    def version(self) -> int:
        """The resource version of the last event."""
        return len(self.events)

    def list(self, path: str) -> list[Object]:
        """Return the objects of a path by name."""
        with self.changed:
            return [self._objects[path][name] for name in sorted(self._objects[path])]

    def get(self, path: str, name: str) -> Object | None:
        """Return an object, or None."""
        return self._objects[path].get(name)

    def put(self, path: str, one: Object) -> Object:
        """Create or replace an object, and return it as it is stored."""
        with self.changed:
            name = one["metadata"]["name"]
            before = self.get(path, name)
            uid = before["metadata"]["uid"] if before else str(uuid.uuid4())
            own = {"uid": uid, "resourceVersion": str(self.version + 1)}
            stored = {**one, "metadata": {**one["metadata"], **own}}
            self._objects[path][name] = stored
            self._tell("MODIFIED" if before else "ADDED", path, stored)
            return stored

    def remove(self, path: str, name: str) -> Object | None:
        """Delete an object, and return what it was; None where there is none."""
        with self.changed:
            gone = self._objects[path].pop(name, None)
            if gone is not None:
                version = str(self.version + 1)
                gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": version}}
                self._tell("DELETED", path, gone)
            return gone

    def _tell(self, kind: str, path: str, one: Object) -> None:
        self.events.append((kind, path, one))
        self.changed.notify_all()

    def watch(self, path: str, version: int) -> Iterator[Object]:
        """Yield the events after a version, until the store is closed."""
        while True:
            with self.changed:
                while not self.closed and self.version == version:
                    self.changed.wait()
                if self.closed:
                    return
                new, version = self.events[version:], self.version
            for kind, where, one in new:
                if where == path:
                    yield {"type": kind, "object": one}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        query = parse_qs(target.query)
        if "watch" in query:
            self._watch(target.path, int(query["resourceVersion"][0]))
        elif target.path in _LISTS:
            version = {"resourceVersion": str(self.store.version)}
            listed = {"kind": _LISTS[target.path], "apiVersion": "v1", "metadata": version}
            self._answer(200, {**listed, "items": self.store.list(target.path)})
        else:
            self._answer_one(self._named(target.path, self.store.get))

    def do_POST(self) -> None:
        self._answer(201, self.store.put(urlsplit(self.path).path, self._body()))

    def do_PATCH(self) -> None:
        body, path = self._body(), urlsplit(self.path).path
        found = self._named(path, self.store.get)
        if found is not None:
            found = {**found, "spec": {**found["spec"], **body.get("spec", {})}}
            metadata = found["metadata"]
            annotations = metadata.get("annotations", {}) | body.get("metadata", {}).get(
                "annotations", {}
            )
            kept = {name: text for name, text in annotations.items() if text is not None}
            found["metadata"] = {**metadata, "annotations": kept}
            found = self.store.put(path.rpartition("/")[0], found)
        self._answer_one(found)

    def do_DELETE(self) -> None:
        self._body()
        self._answer_one(self._named(urlsplit(self.path).path, self.store.remove))

    def _named(self, path: str, act: Any) -> Object | None:
        kind, _, name = path.rpartition("/")
        found: Object | None = act(kind, name) if kind in _LISTS else None
        return found

    def _body(self) -> Object:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found: Object = json.loads(data or b"{}")
        return found

    def _answer_one(self, one: Object | None) -> None:
        missing = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
        self._answer(200 if one else 404, one or missing)

    def _answer(self, status: int, content: Object) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _watch(self, path: str, version: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        try:
            for event in self.store.watch(path, version):
                data = json.dumps(event).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()
        except OSError:  # whoever watched has gone
            return


class StandIn:
    """The stand-in at the loopback of a machine; several can have one ``store``."""

    def __init__(self, machine: Machine, store: Store | None = None) -> None:
        self.store = store or Store()
        handler = type("Handler", (_Handler,), {"store": self.store})
        self._server = machine.within(lambda: ThreadingHTTPServer(("127.0.0.1", 0), handler))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End every watch, and listen no more."""
        with self.store.changed:
            self.store.closed = True
            self.store.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def write_kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads here (JSON is YAML)."""
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        name = {"name": "standin"}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "standin",
            "clusters": [{**name, "cluster": {"server": url}}],
            "contexts": [{**name, "context": {"cluster": "standin", "user": "standin"}}],
            "users": [{**name, "user": {}}],
        }
        path.write_text(json.dumps(content))
        return path
