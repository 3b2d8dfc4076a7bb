"""The admission webhook for Peers: it refuses invalid ones before the API server stores them.

The interface: "Dynamic Admission Control" in the Kubernetes docs, admission.k8s.io/v1. The rules
are those of ``kgctl peer validate``.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.agent.http_server import JSON, Request, Response
from kgctl.agent.metrics import CONTENT_TYPE, family, single, text
from kgctl.kilo import GROUP
from kgctl.mesh.text import printable
from kgctl.state.peer_validation import peer_doubts, peer_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

BODY_BYTES = 8 << 20
"""Most bytes of a review: it holds two objects, which the API server limits to 3 MiB."""

CONNECTIONS = 16
"""Most connections at once: each may hold a whole review in memory."""

_REVIEW = ("admission.k8s.io/v1", "AdmissionReview")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_OPERATIONS = ("CREATE", "UPDATE", "DELETE", "CONNECT")
_MESSAGE = 2000  # characters


class _BadRequestError(Exception):
    """The request is not a review of a Peer."""


class Decision(NamedTuple):
    """The decision about a Peer: why it is refused, empty if it is allowed, and warnings."""

    why: str = ""
    warnings: tuple[str, ...] = ()


def decide(request: Mapping[str, Any]) -> Decision:
    """Decide on the request of a review.

    A change that leaves an invalid spec as it is passes with a warning: otherwise nobody could
    take a finalizer off a Peer that was stored without the webhook.

    Raises:
        _BadRequestError: it is not about a Peer.
    """
    if request.get("operation") not in ("CREATE", "UPDATE"):
        return Decision()
    peer = request.get("object")
    if not isinstance(peer, dict) or not _is_peer(request):
        raise _BadRequestError("the request is not about a Peer")
    _, problems = peer_problems(_named(peer))
    if not problems:
        return Decision(warnings=tuple(peer_doubts(peer)))
    why = printable(f"invalid: {'; '.join(problems)}", _MESSAGE)
    before = request.get("oldObject")
    if isinstance(before, dict) and before.get("spec") == peer.get("spec"):
        return Decision(warnings=(why,))
    return Decision(why)


def _is_peer(request: Mapping[str, Any]) -> bool:
    kind = request.get("kind")
    return isinstance(kind, dict) and (kind.get("group"), kind.get("kind")) == (GROUP, "Peer")


def _named(peer: dict[str, Any]) -> dict[str, Any]:
    """Return the Peer with the name that the API server will make for it."""
    metadata = peer.get("metadata")
    if isinstance(metadata, dict) and not metadata.get("name") and metadata.get("generateName"):
        return {**peer, "metadata": {**metadata, "name": f"{metadata['generateName']}x"}}
    return peer


class Webhook:
    """Answers reviews, and counts them; ``told`` gets a line for each refused Peer."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._lock = threading.Lock()
        self._reviews: Counter[tuple[str, str]] = Counter()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._errors = 0

    def answer(self, request: Request) -> Response:
        """Return the answer to a request at the HTTPS port."""
        handler = request.path if request.path == "/validate" else "other"
        method = request.method if request.method in _METHODS else "other"
        self._count(self._requests, (handler, method))
        if request.path != "/validate":
            return _said(HTTPStatus.NOT_FOUND, "not found")
        if request.method != "POST":
            return _said(HTTPStatus.METHOD_NOT_ALLOWED, "POST an AdmissionReview")
        if request.kind.partition(";")[0].strip().lower() != JSON:
            return _said(HTTPStatus.BAD_REQUEST, f"the content type must be {JSON}")
        try:
            return self._review(request.body)
        except _BadRequestError as error:
            with self._lock:
                self._errors += 1
            return _said(HTTPStatus.BAD_REQUEST, str(error))

    def failed(self, error: Exception) -> None:
        """Count and report an error of the webhook itself."""
        with self._lock:
            self._errors += 1
        self._told(f"internal error: {type(error).__name__}")

    def _review(self, body: bytes) -> Response:
        try:
            review = json.loads(body)
        except (ValueError, RecursionError):
            raise _BadRequestError("the body is not JSON") from None
        request = review.get("request") if isinstance(review, dict) else None
        if not isinstance(request, dict) or not isinstance(request.get("uid"), str):
            raise _BadRequestError("the body is not an AdmissionReview")
        if (review.get("apiVersion"), review.get("kind")) != _REVIEW:
            raise _BadRequestError(f"the body is not an AdmissionReview of {_REVIEW[0]}")
        decision = decide(request)
        known = request.get("operation")
        operation = known if known in _OPERATIONS else "other"
        response = "denied" if decision.why else "allowed"
        self._count(self._reviews, (operation, response))
        if decision.why:
            name = request.get("name")
            shown = printable(name) if isinstance(name, str) and name else "(without a name)"
            self._told(f"denied: Peer {shown}: {decision.why}")
        return Response(HTTPStatus.OK, JSON, _answer(request["uid"], decision))

    def _count(self, counts: Counter[tuple[str, str]], key: tuple[str, str]) -> None:
        with self._lock:
            counts[key] += 1

    def metrics(self, request: Request) -> Response:
        """Return the answer to a request at the port of the metrics."""
        if request.method not in ("GET", "HEAD"):
            return _said(HTTPStatus.METHOD_NOT_ALLOWED, "read-only")
        if request.path == "/health":
            return _said(HTTPStatus.OK, "ok")
        if request.path != "/metrics":
            return _said(HTTPStatus.NOT_FOUND, "not found")
        with self._lock:
            found = text(self._lines())
        return Response(HTTPStatus.OK, CONTENT_TYPE, found)

    def _lines(self) -> Iterator[str]:
        yield from family(
            "admission_requests_total", "counter", "Reviews, by operation and response.",
            [
                ({"operation": operation, "response": response}, count)
                for (operation, response), count in sorted(self._reviews.items())
            ],
        )  # fmt: skip
        yield from family(
            "http_requests_total", "counter", "HTTP requests, by handler and method.",
            [
                ({"handler": handler, "method": method}, count)
                for (handler, method), count in sorted(self._requests.items())
            ],
        )  # fmt: skip
        yield from single("errors_total", "counter", "Requests without a review.", self._errors)


def _answer(uid: str, decision: Decision) -> bytes:
    response: dict[str, Any] = {"uid": uid, "allowed": not decision.why}
    if decision.why:
        response["status"] = {"message": decision.why}
    if decision.warnings:
        response["warnings"] = list(decision.warnings)
    version, kind = _REVIEW
    return json.dumps({"apiVersion": version, "kind": kind, "response": response}).encode()


def _said(status: HTTPStatus, what: str) -> Response:
    return Response(status, body=f"{what}\n".encode())
