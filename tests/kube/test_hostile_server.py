"""Hostile servers and proxies cause one error line: limits on memory, time and form."""

from __future__ import annotations

import json
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from kgctl.errors import AnswerError, ClusterError, RequestTimeoutError
from kgctl.kube.access.kubeconfig import Access
from kgctl.kube.budget import Budget, json_size, node_size, parse_size
from kgctl.kube.codec.node_json import read_node_json
from kgctl.kube.fast import fast_lane
from kgctl.kube.http.client import Api, Backoff
from kgctl.state.api_server import ApiServer, list_peers, watch_peers
from kgctl.state.feeds import ClusterInformer
from tests.support import hostile
from tests.support.hostile import SHAPES
from tests.support.memory import ACCESS, MemoryTransport, api_on
from tests.support.memory import Answer as Page

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable

    Answer = Callable[[socket.socket, threading.Event], None]

LASTS = 290
"""Seconds of a watch."""

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
    # the lean side counts announcements, and needs no time for it
    lean = way == "lean" and fast_lane()
    announced = lean and answer is hostile.endless_announcements
    assert isinstance(caught.value, RequestTimeoutError) != announced, caught.value


@pytest.mark.parametrize("way", WAYS)
def test_without_a_limit_an_answer_has_to_begin_all_the_same(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("fast.lean", "http.package"):
        monkeypatch.setattr(f"kgctl.kube.{module}.HEAD_LIMIT", 0.5)
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
    assert time.monotonic() - start < 30
    assert asked <= 3


def test_what_json_becomes_is_what_counts() -> None:
    data = b"[" + b"[]," * 100_000 + b"[]]"
    with pytest.raises(AnswerError):
        Budget("there", 10 * len(data)).charge_json(data)
    Budget("there", 60 * len(data)).charge_json(data)
    text = b'"' + b"a" * 300_000 + b'"'
    Budget("there", 2 * len(text)).charge_json(text)


def test_json_size_counts_four_bytes_a_character_where_a_text_is_wide() -> None:
    for wide in ("\U0001f600" + "a" * 1000, "\\ud83d\\ude00" + "a" * 1000):
        data = f'["{wide}"]'.encode()
        assert 4 * 1000 < sys.getsizeof(json.loads(data)[0]) <= json_size(data)


LABELS = ",".join(f'"{number:x}":""' for number in range(80_000))
NODES = {
    "that have nothing": '{"metadata":{}},' * 40_000,
    "with empty spec": '{"metadata":{},"spec":{}},' * 40_000,
    "with one label": '{"metadata":{"labels":{"":""}}},' * 40_000,
    "with many labels": '{"metadata":{"labels":{' + LABELS + "}}},",
    "with empty taints": '{"metadata":{},"spec":{"taints":[' + "{}," * 250_000 + "{}]}},",
    "with short CIDRs": '{"metadata":{},"spec":{"podCIDRs":[' + '"ab",' * 150_000 + '""]}},',
    "with a wide text": '{"metadata":{"name":"\U0001f600' + "a" * 700_000 + '"}},',
    "that are none": "[]," * 250_000,
}
"""Nodes that take a multiple of their text: of some 0.7 MB up to 16 MB."""


def peak_of(call: Callable[[], object]) -> int:
    """Return the bytes that Python had at most for what a call made."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("nodes", NODES.values(), ids=NODES)
def test_nodes_as_json_take_no_more_than_the_budget(nodes: str) -> None:
    data = f'{{"metadata":{{"resourceVersion":"1"}},"items":[{nodes[:-1]}]}}'.encode()
    memory = 2 << 20

    def read() -> None:
        with pytest.raises(AnswerError, match="takes more than 2 MiB of memory"):
            read_node_json(data, Budget("there", memory), platform=True)

    assert peak_of(read) < memory


def test_nodes_as_json_are_charged_for_what_is_kept() -> None:
    head = '{"metadata":{"name":"a"},"status":[[],[],[]],"spec":{"taints":['
    item = head + "{}," * 5_000 + "{}]}}"
    budget = Budget("there", 8 << 20)
    page = read_node_json(f'{{"items":[{item},{item}]}}'.encode(), budget)  # each takes 400 kB
    assert page is not None
    assert len(page.nodes) == 2
    assert budget.left == (8 << 20) - 2 * node_size(page.nodes[0])


@pytest.mark.parametrize("kind", ["nodes", "peers"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_an_endless_watch_ends_with_its_budget(kind: str, shape: str) -> None:
    memory = 2 << 20
    failures: list[ClusterError] = []

    class Hearer:
        def changed(self, _kind: str, _name: str) -> None:
            assert not failures, "the watch went on"

        def failed(self, _kind: str, error: ClusterError, _pause: float) -> None:
            failures.append(error)

    with hostile.attentive_server(hostile.endless_watch(shape)) as url:
        api = _server(url, "lean", memory=memory).api()
        mirror = ClusterInformer(api, Hearer(), lasts=60, poll=30)
        follower = mirror.nodes if kind == "nodes" else mirror.peers
        follower._sleep = lambda _seconds: None
        peak = peak_of(follower.step)
        api.close()
    assert "take more than 2 MiB of memory" in str(failures[0])
    # besides: what has arrived and is not read yet, and what the server, in this process, sends
    assert peak < memory * 1.25 + (1 << 20)


def test_a_budget_knows_its_time() -> None:
    budget = Budget("there", 100, timeout=3.0)
    assert budget.seconds(3.0) == 3.0
    assert 200 < budget.seconds(None) <= 300
    budget._deadline = time.monotonic() - 1
    with pytest.raises(RequestTimeoutError, match="took too long, with all"):
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
    with pytest.raises(AnswerError, match="does not end"):
        list_peers(api_on(MemoryTransport(*pages)))


def test_a_changed_object_is_counted_before_it_is_decoded() -> None:
    lists = "[]," * 30_000
    line = f'{{"type":"ADDED","object":{{"metadata":{{"name":"a"}},"x":[{lists}0]}}}}\n'
    api = Api(ACCESS, MemoryTransport(Page(line), Page(line)), memory=2 << 20)
    with pytest.raises(AnswerError, match="takes more than 2 MiB of memory"):
        list(watch_peers(api, "1", LASTS))
    large = Api(ACCESS, MemoryTransport(Page(line * 3)), memory=8 << 20)
    assert len(list(watch_peers(large, "1", LASTS))) == 3  # one after the other
