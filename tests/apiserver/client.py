"""A minimal, fast client to fill a test cluster, independent of the code under test."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

TIMEOUT = 60.0
"""Seconds that one request may take."""

PATIENCE = 60.0
"""Seconds for which a request is made again that the server turns away for a moment."""

CONNECTIONS = 4
"""How many requests are under way at once when many objects are written."""

RESOURCES = {
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "Node": "/api/v1/nodes",
    "Peer": "/apis/kilo.squat.ai/v1alpha1/peers",
}
"""Where the objects of a kind live: all are cluster-scoped."""


class RefusedError(Exception):
    """The server answered with another status than success."""

    def __init__(self, method: str, path: str, status: int, body: str) -> None:
        super().__init__(f"{method} {path}: {status}: {body[:500]}")
        self.status = status


class Client:
    """One user of the API server, over one connection that is kept open; of one thread."""

    def __init__(self, url: str, ca: Path, token: str) -> None:
        address = urlsplit(url)
        assert address.hostname is not None
        self._token = token
        self._connection = http.client.HTTPSConnection(
            address.hostname,
            address.port,
            timeout=TIMEOUT,
            context=ssl.create_default_context(cafile=str(ca)),
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def patch(self, path: str, patch: Mapping[str, Any]) -> Any:
        """Apply a JSON merge patch to an object."""
        return self.request("PATCH", path, patch, "application/merge-patch+json")

    def request(
        self, method: str, path: str, body: object = None, content: str = "application/json"
    ) -> Any:
        """The decoded answer to a request; a body of bytes is sent as it is.

        The server turns away what it cannot do yet with 429 and Retry-After; a new one does so for
        a while after a CustomResourceDefinition was made.

        Raises:
            RefusedError: the answer's status is no success.
            OSError: nobody listens there, or who listens is not the server.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            status, later, text = self._exchange(method, path, body, content)
            again = status == http.HTTPStatus.TOO_MANY_REQUESTS and later is not None
            if not again or time.monotonic() > deadline:
                break
            time.sleep(0.2)  # the server rounds up to whole seconds; it minds no sooner one
        if status >= http.HTTPStatus.BAD_REQUEST:
            raise RefusedError(method, path, status, text)
        return json.loads(text) if text.startswith("{") else text

    def _exchange(
        self, method: str, path: str, body: object, content: str
    ) -> tuple[int, str | None, str]:
        """The status, Retry-After and body of one answer."""
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        data: bytes | str | None = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body)
            headers["Content-Type"] = content
        try:
            self._connection.request(method, path, data, headers)
            with self._connection.getresponse() as response:
                text = response.read().decode()
                return response.status, response.headers["Retry-After"], text
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise

    def apply(self, obj: Mapping[str, Any]) -> None:
        """Create an object, or put it in the place of the one by its name.

        A node's status is written only when it is created: later it is the kubelet's.
        """
        collection = RESOURCES[obj["kind"]]
        try:
            self.request("POST", collection, obj)
        except RefusedError as error:
            if error.status != http.HTTPStatus.CONFLICT:
                raise
            self._replace(f"{collection}/{obj['metadata']['name']}", obj)

    def _replace(self, path: str, obj: Mapping[str, Any]) -> None:
        version = self.request("GET", path)["metadata"]["resourceVersion"]
        self.request(
            "PUT", path, {**obj, "metadata": {**obj["metadata"], "resourceVersion": version}}
        )


def apply_all(clients: Sequence[Client], objects: Iterable[Mapping[str, Any]]) -> None:
    """Apply many objects over several connections at once; the first failure is raised."""
    every = list(objects)

    def work(client: Client, share: Sequence[Mapping[str, Any]]) -> None:
        for obj in share:
            client.apply(obj)

    with ThreadPoolExecutor(len(clients)) as pool:
        shares = (every[start :: len(clients)] for start in range(len(clients)))
        for done in [pool.submit(work, *pair) for pair in zip(clients, shares, strict=True)]:
            done.result()
