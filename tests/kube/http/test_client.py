"""Requests are retried where that helps, and refusals have a remedy."""

from __future__ import annotations

import gc
import gzip
import socket

import pytest

from kgctl.cli.core.hints import message
from kgctl.errors import (
    AlreadyExistsError,
    AnswerError,
    ClusterError,
    ConflictError,
    ConnectionLostError,
    ForbiddenError,
    GoneError,
    NotFoundError,
    NotServedError,
    OverloadedError,
    StatusError,
    UnauthorizedError,
)
from kgctl.kilo import PEERS
from kgctl.kube.access.kubeconfig import Access
from kgctl.kube.budget import Budget
from kgctl.kube.fast.lean import LeanTransport
from kgctl.kube.fast.protobuf import CONTENT_TYPE
from kgctl.kube.http.client import Api, Backoff, Body
from kgctl.kube.http.dial import Dialler
from kgctl.kube.lists import JSON, NODES
from tests.support import encode
from tests.support.memory import ACCESS, Answer, MemoryTransport, api_on, status_body

OK = {"kind": "Status", "status": "Success"}


def busy(status: int = 503, wait: str | None = None) -> Answer:
    headers = {"retry-after": wait} if wait is not None else {}
    body = status_body("the server is busy", "TooManyRequests", status)
    return Answer(body, status, headers=headers)


def packed_as_gzip(packed: bytes, piece: int = 1 << 20) -> Answer:
    return Answer(packed, headers={"content-encoding": "gzip"}, piece=piece)


def get(transport: MemoryTransport, path: str = NODES, access: Access = ACCESS) -> object:
    return api_on(transport, access=access).get(path, {}, JSON, Body.json)


# --- asking again ---


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_read_is_made_again_when_the_server_is_overloaded(status: int) -> None:
    transport = MemoryTransport(busy(status), busy(status), Answer(OK))
    assert get(transport) == OK
    assert len(transport.requests) == 3


def test_a_read_is_made_again_when_its_answer_breaks_off() -> None:
    lost = ConnectionLostError("hung up")
    transport = MemoryTransport(lost, Answer('{"kind": ', breaks=True), Answer(OK))
    assert get(transport) == OK


def test_the_server_says_how_long_to_wait() -> None:
    slept: list[float] = []
    transport = MemoryTransport(busy(429, wait="3"), busy(), Answer(OK))
    api_on(transport, sleep=slept.append).get(NODES, {}, JSON, Body.json)
    assert slept[0] == 3.0
    assert 0.3 < slept[1] < 0.7


def test_it_waits_longer_each_time_and_gives_up() -> None:
    slept: list[float] = []
    transport = MemoryTransport(*[busy() for _ in range(9)])
    with pytest.raises(OverloadedError, match="try again later"):
        api_on(transport, sleep=slept.append).get(NODES, {}, JSON, Body.json)
    assert len(transport.requests) == Backoff().attempts
    assert slept == sorted(slept)
    assert sum(slept) < Backoff().total


def test_a_server_that_asks_for_too_long_is_not_waited_for() -> None:
    slept: list[float] = []
    with pytest.raises(OverloadedError, match="try again in 120 s") as caught:
        api_on(MemoryTransport(busy(429, wait="120")), sleep=slept.append).get(
            NODES, {}, JSON, Body.json
        )
    assert (slept, caught.value.retry_after) == ([], 120)


@pytest.mark.parametrize("value", ["soon", "-5", "1e9", "٣", "9" * 5000, "Wed, 21 Oct 2026"])
def test_a_wait_that_is_no_number_is_ignored(value: str) -> None:
    slept: list[float] = []
    transport = MemoryTransport(busy(429, wait=value), Answer(OK))
    api_on(transport, sleep=slept.append).get(NODES, {}, JSON, Body.json)
    assert slept[0] < 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("wait", [None, "1"])
def test_what_changes_something_is_made_once(status: int, wait: str | None) -> None:
    transport = MemoryTransport(busy(status, wait), Answer(OK))
    with pytest.raises(OverloadedError):
        api_on(transport).send("POST", PEERS, {}, {})
    assert len(transport.requests) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_was_turned_away_is_made_again(method: str) -> None:
    slept: list[float] = []
    transport = MemoryTransport(busy(429, "1"), busy(429, "2"), Answer(OK))
    api = api_on(transport, sleep=slept.append)
    assert api.send(method, PEERS, {}, {"spec": {}}) == OK
    assert [request.method for request in transport.requests] == [method] * 3
    assert len({request.body for request in transport.requests}) == 1
    assert slept == [1.0, 2.0]


def test_what_is_turned_away_for_ever_is_given_up() -> None:
    slept: list[float] = []
    transport = MemoryTransport(*[busy(429, "1") for _ in range(9)])
    with pytest.raises(OverloadedError, match="try again in 1 s"):
        api_on(transport, sleep=slept.append).send("POST", PEERS, {}, {})
    assert len(transport.requests) == Backoff().attempts
    assert sum(slept) < Backoff().total


def test_a_refusal_that_names_no_time_is_not_tried_again() -> None:
    transport = MemoryTransport(busy(429), Answer(OK))  # an eviction is refused so, for one
    with pytest.raises(OverloadedError):
        api_on(transport).send("POST", PEERS, {}, {})
    assert len(transport.requests) == 1


def test_a_write_whose_answer_breaks_off_is_not_made_again() -> None:
    transport = MemoryTransport(busy(429, "1"), ConnectionLostError("hung up"), Answer(OK))
    with pytest.raises(ConnectionLostError):
        api_on(transport).send("POST", PEERS, {}, {})
    assert len(transport.requests) == 2


# --- credentials ---


def refused() -> Answer:
    return Answer(status_body("Unauthorized", "Unauthorized", 401), 401)


def test_credentials_that_ran_out_are_renewed_once() -> None:
    transport = MemoryTransport(refused(), Answer(OK), refreshes=True)
    assert get(transport) == OK
    transport = MemoryTransport(refused(), refused(), refreshes=True)
    with pytest.raises(UnauthorizedError):
        get(transport)


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ({"token": "t"}, "have expired or are refused; get a new kubeconfig or token"),
        ({"exec": {"command": "aws"}}, "the exec plugin aws are refused; log in again"),
        ({}, "the context names no user"),
    ],
)
def test_refused_credentials_say_what_to_do(user: dict[str, object], says: str) -> None:
    with pytest.raises(UnauthorizedError) as caught:
        get(MemoryTransport(refused()), access=ACCESS._replace(user=user))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("server", "says"),
    [
        ("https://a:6443", 'the user "me" has no credentials, and the server requires some'),
        ("http://a:8080", "use a server with an https:// URL"),
    ],
)
def test_a_named_user_without_credentials_is_told_why(server: str, says: str) -> None:
    access = ACCESS._replace(server=server, user={}, user_name="me")
    with pytest.raises(UnauthorizedError) as caught:
        get(MemoryTransport(refused()), access=access)
    assert str(caught.value).endswith(says)


def test_no_request_shows_a_secret_in_its_trace() -> None:
    lines: list[str] = []
    transport = MemoryTransport(busy(), Answer(OK), ConnectionLostError("hung up"))
    api = api_on(transport, trace=lines.append)
    api.get(NODES, {"limit": "1"}, JSON, Body.json)
    with pytest.raises(ConnectionLostError):
        api.send("POST", PEERS, {}, {"spec": {"presharedKey": "secret-key"}})
    assert lines[0].startswith("GET /api/v1/nodes?limit=1: 503 after 0.")
    assert "secret" not in "".join(lines)


# --- what a refusal means ---


@pytest.mark.parametrize(
    ("method", "path", "answer", "kind", "says"),
    [
        (
            "GET",
            PEERS,
            Answer(status_body('User "u" cannot list resource "peers"', "Forbidden", 403), 403),
            ForbiddenError,
            'not allowed to list peers: User "u" cannot list resource "peers"; it needs the '
            "verb list on peers.kilo.squat.ai: kgctl help rbac read prints a role that grants it",
        ),
        (
            "GET",
            NODES,
            Answer(encode.status("no", "Forbidden", 403), 403, kind=CONTENT_TYPE),
            ForbiddenError,
            "not allowed to list nodes: no; it needs the verb list on nodes: kgctl help rbac read",
        ),
        (
            "GET",
            f"{PEERS}/a",
            Answer(status_body('peers "a" not found', "NotFound", 404), 404),
            NotFoundError,
            'cannot read the peer "a": peers "a" not found',
        ),
        (
            "GET",
            NODES,
            Answer("404 page not found", 404, kind="text/plain"),
            NotFoundError,
            "is that a Kubernetes API server, and is the path in its URL right?",
        ),
        (
            "POST",
            PEERS,
            Answer(status_body('"a" already exists', "AlreadyExists", 409), 409),
            AlreadyExistsError,
            'cannot create peers: "a" already exists',
        ),
        (
            "PUT",
            f"{PEERS}/a",
            Answer(status_body("modified", "Conflict", 409), 409),
            ConflictError,
            'cannot update the peer "a": modified',
        ),
        ("GET", NODES, Answer(status_body("old", "Expired", 410), 410), GoneError, "old"),
        (
            "POST",
            PEERS,
            Answer(status_body("spec.port: too large", "Invalid", 422), 422),
            StatusError,
            "cannot create peers: spec.port: too large",
        ),
        (
            "GET",
            NODES,
            Answer("<html>", 302, headers={"location": "https://login.example.com/\x1b[2J"}),
            AnswerError,
            "redirects to https://login.example.com/\\x1b[2J",
        ),
        (
            "GET",
            NODES,
            Answer("<html>Sign\n in", 418, kind="text/html"),
            AnswerError,
            "is not a Kubernetes API server (418: <html>Sign in)",
        ),
        ("GET", NODES, Answer("", 400), AnswerError, "(400: it gave no reason)"),
        ("GET", NODES, Answer(b"k8s\0\x07", 403, kind=CONTENT_TYPE),
         ForbiddenError, "not allowed to list nodes: k8s\\x00\\x07"),
        ("GET", NODES, Answer("[" * 60_000, 501), OverloadedError, "501: [[["),
    ],
)  # fmt: skip
def test_each_refusal_is_one_line_that_says_what_to_do(
    method: str, path: str, answer: Answer, kind: type[ClusterError], says: str
) -> None:
    with pytest.raises(kind) as caught:
        api_on(MemoryTransport(answer)).open(method, path, {}, {})
    assert says in _worded(caught.value)
    assert str(caught.value).isprintable()
    assert answer.closed


@pytest.mark.parametrize(
    ("method", "path", "query", "says"),
    [
        (
            "GET",
            NODES,
            {"watch": "1"},
            "watch nodes: no; it needs the verb watch on nodes: kgctl help rbac watch prints",
        ),
        (
            "GET",
            PEERS,
            {"watch": "1"},
            "the verb watch on peers.kilo.squat.ai: kgctl help rbac watch",
        ),
        (
            "GET",
            f"{NODES}/a",
            {},
            'to read the node "a": no; it needs the verb get on nodes: kgctl help rbac nodes',
        ),
        (
            "PATCH",
            f"{NODES}/a",
            {},
            'to patch the node "a": no; it needs the verb patch on nodes: kgctl help rbac nodes',
        ),
        ("DELETE", f"{NODES}/a", {}, "the verb delete on nodes: ask who runs the cluster for it"),
        ("POST", PEERS, {}, "the verb create on peers.kilo.squat.ai: kgctl help rbac peers"),
        (
            "PATCH",
            f"{PEERS}/a%2Fb",
            {},
            'to patch the peer "a/b": no; it needs the verb patch on peers.kilo.squat.ai: kgctl '
            "help rbac link prints",
        ),
        (
            "GET",
            "/api/v1/namespaces/kube-system/secrets/k",
            {},
            'to read the secret "k": no; it needs the verb get on secrets in the namespace '
            "kube-system: kgctl help rbac link-secrets",
        ),
        (
            "GET",
            "/api/v1/namespaces/shop",
            {},
            'to read the namespace "shop": no; it needs the verb get on namespaces: kgctl help '
            "rbac link-services",
        ),
        (
            "GET",
            "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices",
            {},
            "the verb list on endpointslices.discovery.k8s.io in the namespace shop: kgctl",
        ),
        (
            "GET",
            "/apis/networking.k8s.io/v1/servicecidrs",
            {},
            "list on servicecidrs.networking.k8s.io: kgctl help rbac link prints",
        ),
        ("GET", "/version", {}, "not allowed to list version: no"),
    ],
)
def test_the_right_that_is_missing_is_named(
    method: str, path: str, query: dict[str, str], says: str
) -> None:
    answer = Answer(status_body("no", "Forbidden", 403), 403)
    with pytest.raises(ForbiddenError) as caught:
        api_on(MemoryTransport(answer)).open(method, path, query, {})
    assert says in _worded(caught.value)


def _worded(error: ClusterError) -> str:
    """Return what the command line prints, without whose credentials were refused."""
    return message(error).replace(f" ({ACCESS.origin})", "")


@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
def test_a_group_that_is_not_served_is_named(kind: str) -> None:
    answer = Answer("404 page not found", 404, kind=kind)
    with pytest.raises(NotServedError, match="is the path in its URL right") as caught:
        Api(ACCESS, MemoryTransport(answer)).open("GET", "/apis/example.com/v1/things", {}, {})
    assert caught.value.group == "example.com"


def test_hostile_words_of_the_server_cannot_act_on_the_terminal() -> None:
    hostile = "a\nb\x1b]0;title\x07\u202e" + "x" * 100_000
    answer = Answer(status_body(hostile, "Forbidden\n", 403), 403)
    with pytest.raises(ForbiddenError) as caught:
        get(MemoryTransport(answer))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_a_refusal_without_end_is_not_read_to_its_end() -> None:
    answer = Answer(b"x" * 10_000_000, 403, piece=1000)
    with pytest.raises(ForbiddenError):
        get(MemoryTransport(answer))
    assert answer.read(1) == b"x"


# --- compression ---


def test_compression_is_asked_for_over_a_long_way_only() -> None:
    near, far = MemoryTransport(Answer(OK)), MemoryTransport(Answer(OK), far=True)
    get(near)
    get(far)
    assert near.requests[0].headers["Accept-Encoding"] == "identity"
    assert far.requests[0].headers["Accept-Encoding"] == "gzip"


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_a_compressed_answer_is_uncompressed(piece: int) -> None:
    packed = gzip.compress(b'{"a": "' + b"x" * 100_000 + b'"}')
    answer = packed_as_gzip(packed, piece)
    assert get(MemoryTransport(answer, far=True)) == {"a": "x" * 100_000}


@pytest.mark.parametrize(
    ("packed", "says"),
    [
        (gzip.compress(b"{}" * 50, mtime=0)[:-9], "cut short"),
        (b"no gzip at all", "damaged"),
        (gzip.compress(b"{}", mtime=0)[:10] + b"\xff" * 40, "damaged"),
    ],
)
def test_compressed_answers_that_are_broken_get_one_line(packed: bytes, says: str) -> None:
    with pytest.raises(AnswerError, match=says):
        get(MemoryTransport(packed_as_gzip(packed), far=True))


def test_a_small_answer_cannot_swell_beyond_its_limit() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    body = Body(packed_as_gzip(bomb), ACCESS, Budget("there", 1_000_000), "gzip")
    with pytest.raises(AnswerError, match="takes more than 0 MiB of memory"):
        body.whole()


def test_connections_kept_in_a_cycle_of_references_are_closed() -> None:
    # an error's traceback holds its transport, and the transport's frames hold the error; Python
    # finalizes the older object of a cycle first, so the socket is made before the transport
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = [socket.create_connection(listening.getsockname())]

        class Made(Dialler):
            def connect(self, *_: object) -> socket.socket:
                return made.pop()

        access = Access("http://api.example:8001", {}, {}, "c", "F", ())
        transport = LeanTransport(access, dialler=Made())
        transport.round_trip(5)
        accepted, _ = listening.accept()
        accepted.settimeout(30)
        transport.itself = transport  # type: ignore[attr-defined]
        del transport
        gc.collect()  # pytest makes an error of a socket's ResourceWarning
        with accepted:
            assert accepted.recv(1) == b""
