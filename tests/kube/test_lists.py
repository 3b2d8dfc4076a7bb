"""Lists are complete and consistent, in any pages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kgctl.errors import AnswerError, GoneError
from kgctl.kilo import PEERS
from kgctl.kube.lists import NODES, list_names
from kgctl.state.api_server import list_nodes, list_peers
from kgctl.state.interface import PeersNotServedError
from tests.support import encode
from tests.support.memory import Answer, MemoryTransport, api_on, status_body

PROTOBUF = "application/vnd.kubernetes.protobuf"


def expired() -> Answer:
    return Answer(status_body("the token expired", "Expired", 410), 410)


def node_page(*names: str, version: str = "7", token: str = "") -> Answer:
    nodes = [encode.node(name) for name in names]
    return Answer(encode.node_list(nodes, version, token), kind=PROTOBUF)


def peer_page(*names: str, version: str = "7", token: str = "") -> Answer:
    items = [{"metadata": {"name": n, "managedFields": [1]}, "spec": {}} for n in names]
    meta = {"resourceVersion": version, "continue": token}
    return Answer({"kind": "PeerList", "metadata": meta, "items": items})


def names(found: list[Any]) -> list[str]:
    return [item.name for item in found]


def queries(transport: MemoryTransport) -> list[dict[str, str]]:
    return [dict(request.query) for request in transport.requests]


@pytest.mark.fast_lane(reason="the slow lane asks for JSON")
def test_nodes_are_asked_for_as_protobuf_from_the_cache() -> None:
    transport = MemoryTransport(node_page("a", "b"))
    assert names(list_nodes(api_on(transport))) == ["a", "b"]
    (request,) = transport.requests
    assert request[:3] == ("GET", NODES, {"limit": "500", "resourceVersion": "0"})
    assert request.headers["Accept"].startswith(PROTOBUF)
    assert transport.given[0].closed


def test_nodes_can_be_asked_for_as_they_are_stored_now() -> None:
    transport = MemoryTransport(node_page("a"))
    list_nodes(api_on(transport), cached=False)
    assert queries(transport) == [{"limit": "500"}]


def test_pages_are_followed_to_the_last() -> None:
    transport = MemoryTransport(
        node_page("a", token="t1"), node_page("b", token="t2"), node_page("c")
    )
    assert names(list_nodes(api_on(transport))) == ["a", "b", "c"]
    assert queries(transport)[1:] == [
        {"limit": "500", "continue": "t1"},
        {"limit": "500", "continue": "t2"},
    ]


def test_a_token_that_expired_begins_the_list_anew() -> None:
    transport = MemoryTransport(
        peer_page("a", token="t1"), expired(), peer_page("a", token="t2"), peer_page("b")
    )
    assert [p["metadata"]["name"] for p in list_peers(api_on(transport))] == ["a", "b"]


def test_a_token_that_expires_always_ends_in_one_list_without_pages() -> None:
    first = [peer_page("a", token="t"), expired()]
    transport = MemoryTransport(*first, peer_page("a", token="t"), expired(), peer_page("a", "b"))
    assert len(list_peers(api_on(transport))) == 2
    assert queries(transport)[-1] == {}


def test_pages_of_different_moments_are_not_mixed() -> None:
    torn = [node_page("a", version="7", token="t"), node_page("b", version="8")]
    sound = [node_page("a", version="8", token="t"), node_page("b", version="8")]
    transport = MemoryTransport(*torn, *sound)
    assert names(list_nodes(api_on(transport))) == ["a", "b"]


def test_a_server_that_never_gives_one_moment_is_given_up() -> None:
    torn = [node_page(version=str(n), token="t" if n % 2 == 0 else "") for n in range(6)]
    with pytest.raises(GoneError, match="have different versions"):
        list_nodes(api_on(MemoryTransport(*torn)))


def test_a_list_without_end_is_given_up() -> None:
    class Endless(MemoryTransport):
        def request(self, *args: Any) -> Answer:
            self._answers.append(node_page(token="again"))
            return super().request(*args)

    with pytest.raises(AnswerError, match="does not end"):
        list_nodes(api_on(Endless()))


def test_peers_are_asked_for_as_they_are_stored_now_and_lose_their_bookkeeping() -> None:
    transport = MemoryTransport(peer_page("a"))
    assert list_peers(api_on(transport)) == [{"metadata": {"name": "a"}, "spec": {}}]
    assert transport.requests[0][:3] == ("GET", PEERS, {"limit": "500"})


@pytest.mark.parametrize(
    "body",
    [
        "<html>login</html>",
        "null",
        "[]",
        "{}",
        '{"metadata": {}, "items": 5}',
        '{"metadata": {}, "items": [5]}',
        '{"metadata": 5, "items": []}',
        "[" * 100_000,
        '{"metadata": {}, "items": [' + "9" * 10_000 + "]}",
    ],
)
def test_what_is_no_list_of_peers_gets_one_line(body: str) -> None:
    with pytest.raises(AnswerError, match="check its URL and any proxy"):
        list_peers(api_on(MemoryTransport(Answer(body))))


NODES_JSON: dict[str, Any] = {
    "kind": "NodeList",
    "metadata": {"resourceVersion": "7"},
    "items": [
        {
            "metadata": {
                "name": "a",
                "labels": {"l": "v"},
                "annotations": {"kilo.squat.ai/key": "k", "other": "o"},
                "managedFields": [{}],
            },
            "spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": []},
            "status": {"images": []},
        },
        {"metadata": {"name": "b", "labels": None}},
    ],
}


def test_a_server_that_sends_json_gives_the_same_nodes() -> None:
    same = encode.node_list(
        [
            encode.node("a", "10.0.0.0/24", {"l": "v"}, {"kilo.squat.ai/key": "k", "other": "o"}),
            encode.node("b"),
        ]
    )
    answers = [Answer(NODES_JSON), Answer(same, kind=PROTOBUF)]
    first, second = (list_nodes(api_on(MemoryTransport(answer))) for answer in answers)
    assert first == second


@pytest.mark.parametrize(
    "body",
    ["", "<html>", "null", "{}", '{"items": [{}]}', '{"items": [{"metadata": {"name": 5}}]}'],
)
def test_json_that_is_no_list_of_nodes_gets_one_line(body: str) -> None:
    with pytest.raises(AnswerError, match="no valid JSON of Kubernetes"):
        list_nodes(api_on(MemoryTransport(Answer(body, kind="text/html"))))


def test_names_alone_are_asked_for_by_their_kind() -> None:
    transport = MemoryTransport(node_page("b", "a"))
    assert list_names(api_on(transport), PEERS) == ["a", "b"]
    assert "as=PartialObjectMetadataList" in transport.requests[0].headers["Accept"]


def test_names_can_come_as_json_too() -> None:
    body = json.dumps({"metadata": {}, "items": [{"metadata": {"name": "a"}}]})
    assert list_names(api_on(MemoryTransport(Answer(body))), PEERS) == ["a"]


def test_a_cluster_without_the_resource_definition_says_so() -> None:
    answer = Answer("404 page not found\n", 404, kind="text/plain; charset=utf-8")
    with pytest.raises(PeersNotServedError, match=r"peers\.kilo\.squat\.ai is not installed"):
        list_peers(api_on(MemoryTransport(answer)))
