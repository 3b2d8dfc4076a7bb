"""A watch yields events, and reports when it must start again."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from kgctl.errors import AnswerError, ConnectionLostError, GoneError, StatusError
from kgctl.kube.objects import NodeObject
from kgctl.kube.watch import Event
from kgctl.state.api_server import watch_nodes, watch_peers
from tests.support.memory import Answer, MemoryTransport, api_on, status_body

LASTS = 290
"""Seconds of a watch."""


def change(event: str, members: Any) -> str:
    return json.dumps({"type": event, "object": members}) + "\n"


def peer(name: str, version: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": version}, "spec": {}}


@pytest.mark.parametrize("piece", [1, 10, 1 << 20])
def test_changes_come_in_order_whatever_pieces_they_arrive_in(piece: int) -> None:
    lines = change("ADDED", peer("a", "5")) + change("DELETED", peer("a", "6"))
    transport = MemoryTransport(Answer(lines, piece=piece))
    events = [one._replace(size=0) for one in watch_peers(api_on(transport), "4", LASTS)]
    assert events == [Event("ADDED", peer("a", "5"), "5"), Event("DELETED", peer("a", "6"), "6")]
    (request,) = transport.requests
    assert request.query["resourceVersion"] == "4"
    assert request.timeout is not None
    assert request.timeout > LASTS
    assert transport.given[0].closed


def test_nodes_come_as_lists_hold_them() -> None:
    annotations = {"kilo.squat.ai/key": "k", "other": "o"}
    meta = {"name": "n", "resourceVersion": "5", "annotations": annotations}
    line = change("MODIFIED", {"metadata": meta, "spec": {"podCIDR": "10.0.0.0/24"}, "status": 5})
    (event,) = watch_nodes(api_on(MemoryTransport(Answer(line))), "4", LASTS)
    expected = NodeObject("n", "10.0.0.0/24", {}, {"kilo.squat.ai/key": "k"})
    assert event._replace(size=0) == Event("MODIFIED", expected, "5")


def test_only_the_labels_and_annotations_that_are_asked_for_are_kept() -> None:
    meta = {"name": "n", "resourceVersion": "5", "labels": {"zone": "a", "other": "b"}}
    node = {"metadata": meta, "spec": {"providerID": "cloud://n"}}
    answers = [Answer(change("ADDED", node)) for _ in range(2)]
    watched = partial(watch_nodes, api_on(MemoryTransport(*answers)))
    (event,) = watched("4", LASTS, "zone", platform=False)
    assert event.object == NodeObject("n", "", {"zone": "a"}, {})
    (event,) = watched("4", LASTS)
    assert event.object is not None
    assert event.object.labels == {"zone": "a", "other": "b"}
    assert event.object.platform.provider_id == "cloud://n"


def test_a_bookmark_moves_on_without_an_object() -> None:
    line = change("BOOKMARK", {"kind": "Node", "metadata": {"resourceVersion": "9"}})
    (event,) = watch_nodes(api_on(MemoryTransport(Answer(line))), "4", LASTS)
    assert event._replace(size=0) == Event("BOOKMARK", None, "9")


def test_a_change_says_what_memory_it_takes_and_a_large_one_ends() -> None:
    small, large = peer("a", "5"), peer("a", "6")
    large["spec"] = {"x": [[]] * 10_000}
    lines = change("ADDED", small) + change("ADDED", large)
    api = api_on(MemoryTransport(Answer(lines)))
    api.memory = 300_000
    changes = watch_peers(api, "4", LASTS)
    assert len(change("ADDED", small)) < next(changes).size < 2_000
    with pytest.raises(AnswerError, match="of memory: is it the API server"):
        next(changes)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(change("ERROR", status_body("too old: 4", "Expired", 410))),
        Answer(change("ERROR", {**status_body("too old: 4", "Expired", 410), "metadata": 5})),
        Answer(status_body("too old: 4", "Expired", 410), 410),
    ],
)
def test_a_version_that_is_too_old_is_told_apart(answer: Answer) -> None:
    with pytest.raises(GoneError, match="too old: 4"):
        list(watch_peers(api_on(MemoryTransport(answer)), "4", LASTS))


def test_another_error_keeps_its_words() -> None:
    line = change("ERROR", status_body("boom\x1b[2J", "InternalError", 500))
    with pytest.raises(StatusError, match=r"ended a watch: boom\\x1b\[2J"):
        list(watch_peers(api_on(MemoryTransport(Answer(line))), "4", LASTS))


def test_what_came_before_a_broken_connection_is_not_lost() -> None:
    answer = Answer(change("ADDED", peer("a", "5")) + '{"type": "ADD', breaks=True)
    events = watch_peers(api_on(MemoryTransport(answer)), "4", LASTS)
    assert next(events).resource_version == "5"
    with pytest.raises(ConnectionLostError):
        next(events)


@pytest.mark.parametrize(
    "line",
    [
        "<html>",
        "{}",
        '{"type": 5, "object": {}}',
        '{"type": "ADDED", "object": {}}',
        '{"type": "ADDED", "object": {"metadata": {"resourceVersion": 5}}}',
        '{"type": "ADDED", "object": ' + "[" * 100_000,
    ],
)
def test_what_is_no_change_gets_one_line(line: str) -> None:
    with pytest.raises(AnswerError, match="it is not the JSON of a watch event"):
        list(watch_nodes(api_on(MemoryTransport(Answer(line + "\n"))), "4", LASTS))


def test_a_line_without_end_is_given_up() -> None:
    with pytest.raises(AnswerError, match="sent an object above"):
        list(watch_nodes(api_on(MemoryTransport(Answer(b"x" * (17 << 20)))), "4", LASTS))
