"""Server-Side Apply, and its replacement on a server without it."""

from __future__ import annotations

from typing import Any

import pytest

from kgctl.errors import StatusError
from kgctl.kilo import PEERS
from kgctl.kube.stored import APPLY_PATCH
from kgctl.state.peers import PeerObjects
from tests.support.memory import Answer, MemoryTransport, api_on, status_body

PEER: dict[str, Any] = {
    "apiVersion": "kilo.squat.ai/v1alpha1",
    "kind": "Peer",
    "metadata": {"name": "p", "labels": {"a": "b"}},
    "spec": {"allowedIPs": ["10.5.0.1/32"]},
}
UNSUPPORTED = status_body("the body of the request was in an unknown format", "", 415)


def refused(code: int) -> Answer:
    return Answer(UNSUPPORTED, status=code)


def test_it_says_who_applies_and_that_it_insists() -> None:
    transport = MemoryTransport(Answer(PEER))
    assert PeerObjects(api_on(transport)).apply(PEER, dry_run=True) == PEER
    (request,) = transport.requests
    assert (request.method, request.path) == ("PATCH", f"{PEERS}/p")
    assert request.query == {"dryRun": "All", "fieldManager": "kgctl", "force": "true"}
    assert request.headers["Content-Type"] == APPLY_PATCH


def test_an_old_server_is_sent_a_new_peer() -> None:
    missing = Answer(status_body("no such peer", "NotFound", 404), status=404)
    transport = MemoryTransport(refused(415), missing, Answer(PEER, status=201))
    assert PeerObjects(api_on(transport)).apply(PEER) == PEER
    assert [one.method for one in transport.requests] == ["PATCH", "GET", "POST"]


def test_an_old_server_is_sent_the_whole_of_one_that_is_there() -> None:
    there = {**PEER, "metadata": {"name": "p", "resourceVersion": "7"}, "spec": {}}
    transport = MemoryTransport(refused(415), Answer(there), Answer(PEER))
    PeerObjects(api_on(transport)).apply(PEER)
    sent = transport.requests[-1]
    assert sent.method == "PUT"
    assert b'"resourceVersion": "7"' in (sent.body or b"")
    assert b'"10.5.0.1/32"' in (sent.body or b"")


def test_any_other_refusal_stays_one() -> None:
    with pytest.raises(StatusError):
        PeerObjects(api_on(MemoryTransport(refused(422)))).apply(PEER)
