"""What a hostile server or proxy sends ends in one line: by memory, by time, by its form."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from kgctl.kube.access.kubeconfig import Access
from kgctl.kube.budget import Budget, parse_size
from kgctl.kube.errors import AnswerError, ClusterError, RequestTimeoutError
from kgctl.kube.http.client import Api, Backoff
from kgctl.state.api_server import ApiServer
from kgctl.state.collections import list_peers, watch_peers
from tests.support import hostile
from tests.support.memory import ACCESS, MemoryTransport, api_on
from tests.support.memory import Answer as Page

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable

    Answer = Callable[[socket.socket, threading.Event], None]

WAYS = ("lean", "proxy")


def _server(
    url: str, way: str, *, timeout: float | None = 30.0, memory: int = 8 << 20
) -> ApiServer:
    through = {"proxy-url": url} if way == "proxy" else {}
    return ApiServer(
        access=Access(
            server="http://cluster.invalid" if through else url,
            cluster=through,
            user={},
            context="c",
            origin='context "c" of F',
            files=(),
        ),
        request_timeout=timeout,
        memory=memory,
        backoff=Backoff(attempts=1),
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("answer", [hostile.endless_list, hostile.endless_pages])
@pytest.mark.parametrize("kind", ["nodes", "peers"])
def test_a_list_without_end_ends_with_its_budget(answer: Answer, way: str, kind: str) -> None:
    with hostile.server(answer) as url:
        server = _server(url, way)
        with pytest.raises(AnswerError, match="takes more than 8 MiB of memory: is it the API ser"):
            server.nodes() if kind == "nodes" else list_peers(server.api())
        server.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "answer",
    [
        hostile.dripping_head,
        hostile.dripping_body,
        hostile.dripping_chunk,
        hostile.endless_announcements,
    ],
)
def test_the_time_of_a_request_is_that_of_all_of_it(answer: Answer, way: str) -> None:
    with hostile.server(answer) as url:
        server = _server(url, way, timeout=0.5)
        with pytest.raises(ClusterError) as caught:
            server.nodes()
        server.close()
    announced = answer is hostile.endless_announcements and way == "lean"
    # the lean side counts announcements, and needs no time for it
    assert isinstance(caught.value, RequestTimeoutError) != announced, caught.value


@pytest.mark.parametrize("way", WAYS)
def test_without_a_limit_an_answer_has_to_begin_all_the_same(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("lean", "package"):
        monkeypatch.setattr(f"kgctl.kube.http.{module}.HEAD_LIMIT", 0.5)
    with hostile.server(hostile.dripping_head) as url:
        server = _server(url, way, timeout=None)
        with pytest.raises(RequestTimeoutError):
            server.api().send("PUT", "/apis/kilo.squat.ai/v1alpha1/peers/a", {}, {})
        server.close()


@pytest.mark.parametrize("way", WAYS)
def test_only_encodings_that_were_asked_for(way: str) -> None:
    with hostile.server(hostile.unasked_encoding) as url:
        server = _server(url, way)
        with pytest.raises(AnswerError, match="sends br, which nobody asked for"):
            server.nodes()
        server.close()


def test_a_list_of_many_pages_has_an_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kgctl.kube.budget.SECONDS", 0.3)

    def slow_pages(wire: socket.socket, ended: threading.Event) -> None:
        ended.wait(0.05)
        hostile.endless_pages(wire, ended)

    with hostile.server(slow_pages) as url:
        server = _server(url, "lean", timeout=0.01 + 0.02, memory=1 << 30)
        server._timeout = None  # each request may take as long as the list
        with pytest.raises(RequestTimeoutError):
            server.nodes()
        server.close()


def test_a_list_that_always_begins_anew_has_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kgctl.kube.budget.SECONDS", 1.0)
    asked = 0

    def other_moments(wire: socket.socket, ended: threading.Event) -> None:
        nonlocal asked
        asked += 1
        ended.wait(0.4)
        body = f'{{"metadata":{{"resourceVersion":"{asked}","continue":"more"}},"items":[]}}'
        wire.sendall(hostile.HEAD + f"\r\n{body}".encode())

    with hostile.server(other_moments) as url:
        server = _server(url, "lean", timeout=None)
        start = time.monotonic()
        with pytest.raises(RequestTimeoutError):
            server.nodes()
        server.close()
    assert time.monotonic() - start < 1.4
    assert asked <= 3


def test_what_json_becomes_is_what_counts() -> None:
    data = b"[" + b"[]," * 100_000 + b"[]]"
    with pytest.raises(AnswerError):
        Budget("there", 10 * len(data)).charge_json(data)
    Budget("there", 60 * len(data)).charge_json(data)
    text = b'"' + b"a" * 300_000 + b'"'
    Budget("there", 2 * len(text)).charge_json(text)


def test_a_budget_knows_its_time() -> None:
    budget = Budget("there", 100, timeout=3.0)
    assert budget.seconds(3.0) == 3.0
    assert 200 < budget.seconds(None) <= 300
    budget._deadline = time.monotonic() - 1
    with pytest.raises(RequestTimeoutError, match="no end in sight"):
        budget.seconds(3.0)


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("512Mi", 512 << 20), ("2G", 2 * 10**9), ("64Ki", 65536)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5Gi", "Mi", "1 Gi", "1Ti", "٣Mi", "9" * 30])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ClusterError, match=r"^list size .*: give bytes, or 512Mi, 2Gi"):
        parse_size(text)


@pytest.mark.parametrize("token", ["again", "x" * 20_000])
def test_a_token_that_leads_round_or_is_huge_ends_the_list(token: str) -> None:
    meta = f'{{"resourceVersion":"1","continue":"{token}"}}'
    pages = [Page(f'{{"metadata":{meta},"items":[]}}') for _ in range(3)]
    with pytest.raises(AnswerError, match="has no end"):
        list_peers(api_on(MemoryTransport(*pages)))


def test_a_changed_object_is_counted_before_it_is_decoded() -> None:
    lists = "[]," * 30_000
    line = f'{{"type":"ADDED","object":{{"metadata":{{"name":"a"}},"x":[{lists}0]}}}}\n'
    api = Api(ACCESS, MemoryTransport(Page(line), Page(line)), memory=2 << 20)
    with pytest.raises(AnswerError, match="takes more than 2 MiB of memory"):
        list(watch_peers(api, "1"))
    large = Api(ACCESS, MemoryTransport(Page(line * 3)), memory=8 << 20)
    assert len(list(watch_peers(large, "1"))) == 3  # one after the other
