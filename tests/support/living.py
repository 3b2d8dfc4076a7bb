"""An API server in memory that stores peers, with other writers between its answers."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kgctl.kube.http.client import Backoff
from kgctl.state.api_server import ApiServer
from tests.support.memory import ACCESS, Answer, Request, status_body

if TYPE_CHECKING:
    from collections.abc import Mapping

PEERS = "/apis/kilo.squat.ai/v1alpha1/peers"

Hook = Callable[[Request], Exception | Answer | None]
"""Takes a request; may return an answer that replaces the true one."""


class LivingTransport:
    """Answers as an API server with ``nodes`` and ``peers``.

    ``before`` is called with each request before it is executed, ``after`` afterwards.
    """

    def __init__(self, *nodes: dict[str, Any], peers: Mapping[str, dict[str, Any]]) -> None:
        self.nodes = list(nodes)
        self.peers: dict[str, dict[str, Any]] = {}
        self.requests: list[Request] = []
        self.before: Hook = lambda _request: None
        self.after: Hook = lambda _request: None
        self._version = 0
        for name, spec in peers.items():
            self.put(name, spec)

    def put(
        self, name: str, spec: dict[str, Any], annotations: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Store a peer, as another writer."""
        self._version += 1
        old = self.peers.get(name, {}).get("metadata", {})
        uid = old.get("uid", f"uid-{self._version}")
        metadata: dict[str, Any] = {
            "name": name,
            "uid": uid,
            "resourceVersion": str(self._version),
        }
        if annotations:
            metadata["annotations"] = copy.deepcopy(annotations)
        peer = {"apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer"}
        self.peers[name] = {**peer, "metadata": metadata, "spec": copy.deepcopy(spec)}
        return self.peers[name]

    def spec(self, name: str) -> dict[str, Any]:
        """Return the spec of a stored peer."""
        found: dict[str, Any] = self.peers[name]["spec"]
        return found

    def writes(self) -> list[str]:
        """Return the methods of the requests that change something."""
        return [request.method for request in self.requests if request.method != "GET"]

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float | None,
    ) -> Answer:
        request = Request(method, path, dict(query), dict(headers), body, timeout)
        self.requests.append(request)
        answer = self.before(request)
        if answer is None:
            true = self._answer(request)
            answer = self.after(request) or true
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _answer(self, request: Request) -> Answer:
        if request.path == "/api/v1/nodes":
            return Answer({"kind": "NodeList", "metadata": {}, "items": self.nodes})
        if request.path == PEERS and request.method == "GET":
            metadata = {"resourceVersion": str(self._version)}
            return Answer({"metadata": metadata, "items": list(self.peers.values())})
        return self._peer(request, json.loads(request.body or b"{}"))

    def _peer(self, request: Request, content: dict[str, Any]) -> Answer:
        name = request.path.removeprefix(PEERS).strip("/") or content["metadata"]["name"]
        stored = self.peers.get(name)
        if request.method == "POST" and stored is not None:
            return _refused(f'peers "{name}" already exists', "AlreadyExists", 409)
        if request.method != "POST" and stored is None:
            return _refused(f'peers "{name}" not found', "NotFound", 404)
        if request.method == "GET":
            assert stored is not None
            return Answer(stored)
        dry_run = bool(request.query.get("dryRun") or content.get("dryRun"))
        if request.method == "DELETE":
            return self._delete(name, content, dry_run)
        if request.method == "PUT" and stored is not None:
            version = content["metadata"].get("resourceVersion")
            if version not in (None, stored["metadata"]["resourceVersion"]):
                return _refused("the object has been modified", "Conflict", 409)
        if dry_run:
            return Answer(content)
        annotations = content["metadata"].get("annotations")
        return Answer(self.put(name, content["spec"], annotations))

    def _delete(self, name: str, options: dict[str, Any], dry_run: bool) -> Answer:
        uid = options.get("preconditions", {}).get("uid")
        if uid not in (None, self.peers[name]["metadata"]["uid"]):
            return _refused("the UID in the precondition is another", "Conflict", 409)
        if not dry_run:
            del self.peers[name]
        return Answer({"kind": "Status", "status": "Success"})

    def round_trip(self, timeout: float | None) -> float | None:
        return 0.0001

    def ask(self, *_: object) -> None:
        """Do nothing, as a transport may."""

    def refresh(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def server(self, trace: Callable[[str], None] | None = None) -> ApiServer:
        """Return a source on this transport, with retries without waiting."""
        backoff = Backoff(attempts=2, sleep=lambda _seconds: None)
        return ApiServer(access=ACCESS, transport=self, backoff=backoff, trace=trace)


def _refused(message: str, reason: str, code: int) -> Answer:
    return Answer(status_body(message, reason, code), code)
