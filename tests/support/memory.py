"""An API server in memory: a transport with given answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.errors import ConnectionLostError
from kgctl.kube.access.kubeconfig import Access
from kgctl.kube.http.client import Api, Backoff
from kgctl.state.interface import about_kilo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ACCESS = Access("https://server:6443", {}, {"token": "secret-token"}, "c", 'context "c" of F', ())


class Request(NamedTuple):
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes | None
    timeout: float | None


class Answer:
    """A server's answer, in pieces of a given size."""

    def __init__(
        self,
        body: bytes | str | dict[str, Any] = b"",
        status: int = 200,
        *,
        kind: str = "application/json",
        piece: int = 1 << 20,
        breaks: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        data = json.dumps(body) if isinstance(body, dict) else body
        self._left = data.encode() if isinstance(data, str) else data
        self._piece = piece
        self._breaks = breaks
        self.status = status
        self.headers = {"content-type": kind, **(headers or {})}
        self.closed = False

    def read(self, size: int) -> bytes:
        size = min(size, self._piece)
        data, self._left = self._left[:size], self._left[size:]
        if not data and self._breaks:
            raise ConnectionLostError("broken off")
        return data

    def close(self) -> None:
        self.closed = True


class MemoryTransport:
    """Gives its answers to requests in order; records ``requests``."""

    def __init__(
        self, *answers: Answer | Exception, far: bool = False, refreshes: bool = False
    ) -> None:
        self._answers = list(answers)
        self._far = far
        self._refreshes = refreshes
        self.given: list[Answer] = []
        self.requests: list[Request] = []

    def round_trip(self, timeout: float | None) -> float | None:
        return 0.05 if self._far else 0.0001

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float | None,
    ) -> Answer:
        self.requests.append(Request(method, path, dict(query), dict(headers), body, timeout))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self.given.append(answer)
        return answer

    def ask(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], timeout: float | None
    ) -> None:
        """Do nothing, as a transport may."""

    def refresh(self) -> bool:
        return self._refreshes

    def close(self) -> None:
        self._answers.clear()


def api_on(
    transport: MemoryTransport,
    *,
    access: Access = ACCESS,
    sleep: Callable[[float], None] | None = None,
    trace: Callable[[str], None] | None = None,
) -> Api:
    """Return an ``Api`` that retries without waiting, or with ``sleep``."""
    return Api(
        access,
        transport,
        backoff=Backoff(sleep=sleep or (lambda _seconds: None)),
        trace=trace,
        refused=about_kilo,
    )


def status_body(message: str, reason: str, code: int) -> dict[str, Any]:
    """Return a Kubernetes Status object."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
