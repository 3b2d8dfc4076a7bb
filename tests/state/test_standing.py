"""The standing of a followed cluster: times of judgement and of contact, and problems."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from kgctl.errors import ClusterError, ForbiddenError
from kgctl.mesh.node import READY_SECONDS
from kgctl.state.follow import LASTS, SILENCE, Hearing

if TYPE_CHECKING:
    from kgctl.state.feeds import ClusterInformer
    from kgctl.state.follow import Standing

START = 1_000_000.0


class Informers:
    """A cluster's informers, as far as it matters here, at a clock that a test moves."""

    def __init__(self, poll: float = 10.0) -> None:
        self.now = START
        self.informers = SimpleNamespace(
            nodes=SimpleNamespace(heard=START, heard_steady=0.0),
            peers=SimpleNamespace(heard=START, heard_steady=0.0),
        )
        self.hearing = Hearing(START, poll, lambda: self.now, lambda: self.now - START)

    def hear(self, seconds: float, *kinds: str) -> None:
        for kind in kinds:
            informer = getattr(self.informers, kind)
            informer.heard, informer.heard_steady = START + seconds, seconds

    def at(self, seconds: float, *, heard: bool = False) -> Standing:
        self.now = START + seconds
        if heard:
            self.hear(seconds, "nodes", "peers")
        return self.hearing.standing(cast("ClusterInformer", self.informers))

    def fail(self, kind: str = "nodes", error: ClusterError | None = None) -> None:
        self.hearing.failed(kind, error or ClusterError("connection refused"))


def ready(standing: Standing, heartbeat: float) -> bool:
    return standing.judged - (START + heartbeat) < READY_SECONDS


def test_in_a_cluster_where_nothing_happens_nodes_grow_stale() -> None:
    one = Informers()
    for seconds in range(1, 600):  # all agents are gone: the ends of watches are all that is heard
        found = one.at(seconds, heard=seconds % LASTS == 0)
        assert found.trouble == ""
        if seconds >= 2 * LASTS:
            assert not ready(found, heartbeat=0)


def test_a_server_that_is_away_makes_no_node_stale_and_is_told() -> None:
    one = Informers()
    assert one.at(5, heard=True).trouble == ""
    one.now += 1
    one.fail()
    for seconds in range(6, 600, 7):
        found = one.at(seconds)
        assert found.trouble == "connection refused"
        assert found.heard == START + 5
        assert ready(found, heartbeat=-20)
    found = one.at(600, heard=True)
    assert found.trouble == ""
    assert ready(found, heartbeat=-20)  # its agent could not write the next one
    for seconds in range(605, 800, 5):
        found = one.at(seconds, heard=True)
    assert not ready(found, heartbeat=-20)


def test_a_server_that_says_nothing_is_away_though_no_connection_broke() -> None:
    one = Informers()
    assert one.at(SILENCE - 1).trouble == ""
    assert one.at(SILENCE + 1).trouble == "the API server does not answer"


def test_peers_alone_that_cannot_be_followed_are_told() -> None:
    one = Informers()
    one.now += 1
    one.fail("peers")
    one.hear(3, "nodes")
    found = one.at(4)
    assert found.trouble == "connection refused"
    assert found.heard == START


def test_who_may_not_watch_has_no_trouble() -> None:
    one = Informers(poll=3600)
    one.now += 1
    for kind in ("nodes", "peers"):
        one.fail(kind, ForbiddenError("may not watch", 403, ""))
    assert one.at(3600).trouble == ""
    assert one.at(3600 + SILENCE + 1).trouble
