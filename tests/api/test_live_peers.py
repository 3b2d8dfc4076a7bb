"""Creating, changing, deleting and watching peers of a real API server, without loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kgctl.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    GoneError,
    NotFoundError,
    StatusError,
)
from kgctl.kube.fast.lean import LeanTransport
from kgctl.kube.objects import NodeObject
from kgctl.state.api_server import list_peers, watch_nodes, watch_peers
from tests.support.ways import WAYS, Way, source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.state.api_server import ApiServer as Source
    from tests.apiserver.server import ApiServer

LASTS = 290
"""Seconds of a watch."""

PEER: dict[str, Any] = {
    "apiVersion": "kilo.squat.ai/v1alpha1",
    "kind": "Peer",
    "metadata": {"name": "laptop"},
    "spec": {"allowedIPs": ["10.5.0.9/32"], "publicKey": "key", "persistentKeepalive": 10},
}


@pytest.fixture(params=WAYS)
def admin(api_server: ApiServer, request: pytest.FixtureRequest) -> Iterator[Source]:
    api_server.clear()
    way: Way = request.param
    with source(way, api_server.kubeconfig) as admin:
        yield admin


def test_a_peer_is_created_read_and_deleted(admin: Source) -> None:
    peers = admin.peers()
    stored = peers.create(PEER)
    assert stored["spec"] == PEER["spec"]
    assert peers.get("laptop") == stored
    with pytest.raises(AlreadyExistsError, match=r'cannot create peers: .*"laptop" already exists'):
        peers.create(PEER)
    peers.delete("laptop", uid=stored["metadata"]["uid"])
    with pytest.raises(NotFoundError, match=r'cannot read the peer "laptop": .*not found'):
        peers.get("laptop")


def test_nothing_of_a_dry_run_is_stored(admin: Source) -> None:
    peers = admin.peers()
    assert peers.create(PEER, dry_run=True)["spec"] == PEER["spec"]
    assert list_peers(admin.api()) == []
    stored = peers.create(PEER)
    peers.patch("laptop", {"spec": {"persistentKeepalive": 25}}, dry_run=True)
    peers.delete("laptop", dry_run=True)
    assert peers.get("laptop") == stored


def test_a_change_of_someone_else_is_not_overwritten(admin: Source) -> None:
    peers = admin.peers()
    mine = peers.create(PEER)
    theirs = peers.patch("laptop", {"spec": {"persistentKeepalive": 25}})
    with pytest.raises(ConflictError, match="the object has been modified"):
        peers.replace(mine)
    version = {"metadata": {"resourceVersion": mine["metadata"]["resourceVersion"]}}
    with pytest.raises(ConflictError):
        peers.patch("laptop", version)
    with pytest.raises(ConflictError):
        peers.delete("laptop", resource_version=mine["metadata"]["resourceVersion"])
    theirs["spec"]["allowedIPs"] = ["10.5.0.10/32"]
    assert peers.replace(theirs)["spec"] == {
        **PEER["spec"],
        "allowedIPs": ["10.5.0.10/32"],
        "persistentKeepalive": 25,
    }


def test_a_peer_that_was_made_anew_is_not_deleted(admin: Source) -> None:
    peers = admin.peers()
    first = peers.create(PEER)
    peers.delete("laptop")
    peers.create(PEER)
    with pytest.raises(ConflictError, match="deleted and then recreated"):
        peers.delete("laptop", uid=first["metadata"]["uid"])


def test_a_peer_that_is_not_valid_is_refused_with_the_reason(admin: Source) -> None:
    with pytest.raises(StatusError, match=r"spec\.publicKey"):
        admin.peers().create({**PEER, "spec": {"allowedIPs": []}})


def test_a_reader_may_not_write(api_server: ApiServer) -> None:
    api_server.clear()
    with source(LeanTransport, api_server.token_user("reader")) as reader:
        with pytest.raises(ForbiddenError, match="not allowed to create peers"):
            reader.peers().create(PEER)
        with pytest.raises(ForbiddenError, match='not allowed to delete the peer "laptop"'):
            reader.peers().delete("laptop")


def test_changes_of_peers_are_watched(admin: Source) -> None:
    peers = admin.peers()
    start = peers.create(PEER)["metadata"]["resourceVersion"]
    peers.patch("laptop", {"spec": {"persistentKeepalive": 25}})
    peers.delete("laptop")
    events = watch_peers(admin.api(), start, LASTS)
    changed, deleted = next(events), next(events)
    events.close()
    assert changed.kind == "MODIFIED"
    assert changed.object is not None
    assert changed.object["spec"]["persistentKeepalive"] == 25
    assert deleted.kind == "DELETED"
    later = watch_peers(admin.api(), changed.resource_version, LASTS)
    assert next(later) == deleted
    later.close()


def test_changes_of_nodes_are_watched(admin: Source, api_server: ApiServer) -> None:
    annotations = {"kilo.squat.ai/key": "k", "other": "o"}
    metadata = {"name": "n", "annotations": annotations}
    api_server.apply([{"apiVersion": "v1", "kind": "Node", "metadata": metadata}])
    events = watch_nodes(admin.api(), "", LASTS)
    event = next(events)
    events.close()
    assert event.kind == "ADDED"
    assert event.object is not None
    assert event.object[:4] == NodeObject("n", "", {}, {"kilo.squat.ai/key": "k"})[:4]
    assert int(event.resource_version) > 0


def test_a_version_long_gone_says_so(admin: Source) -> None:
    with pytest.raises(GoneError, match="too old resource version"):
        next(watch_peers(admin.api(), "1", LASTS))
