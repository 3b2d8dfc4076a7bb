"""What ``kgctl link --watch`` does with a plan: what fails, and what changes all the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from kgctl.cli.link.carrying import LinkError, keep
from kgctl.cli.link.steady import Steady
from kgctl.kube.errors import StatusError, UnreachableError
from kgctl.link.damping import AT_ONCE
from kgctl.link.plan import ADD, CHANGE, REMOVE, SAME, Step
from tests.support.reporting import Recorder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.cli.link.clusters import ClusterRef


class Cluster:
    """A cluster that fails to write the Peers of these names, and keeps the names of others."""

    def __init__(self, name: str, failing: Mapping[str, Exception] | None = None) -> None:
        self.name = name
        self.failing = failing or {}
        self.done: list[str] = []

    def store(self) -> Cluster:
        return self

    def apply(self, wanted: dict[str, Any]) -> None:
        self._do(wanted["metadata"]["name"])

    def delete(self, name: str, *, uid: str | None = None) -> None:
        assert uid is None
        self._do(name)

    def _do(self, name: str) -> None:
        if name in self.failing:
            raise self.failing[name]
        self.done.append(name)

    @property
    def ref(self) -> ClusterRef:
        return cast("ClusterRef", self)


def step(name: str, action: str = CHANGE) -> Step:
    return Step(action, name, {"metadata": {"name": name}})


def test_a_peer_that_is_refused_keeps_no_other_from_being_written() -> None:
    one = Cluster("one", {"bad": StatusError("it is invalid", 422)})
    other = Cluster("other")
    steps = [step("a", ADD), step("bad"), step("c"), step("gone", REMOVE)]
    with pytest.raises(LinkError) as told:
        keep([(one.ref, steps), (other.ref, steps)], Recorder())
    assert one.done == ["a", "c"]  # nothing is removed, where what replaces it may not be there
    assert other.done == ["a", "bad", "c", "gone"]
    assert str(told.value) == "one: it is invalid; 6 of 8 steps were done, the rest follows"


def test_a_cluster_that_is_away_is_tried_once_and_the_other_ones_are_written() -> None:
    one = Cluster("one", {"a": UnreachableError("away"), "b": UnreachableError("away")})
    other = Cluster("other")
    with pytest.raises(LinkError, match="one: away; 2 of 4 steps"):
        keep([(one.ref, [step("a"), step("b")]), (other.ref, [step("a"), step("b")])], Recorder())
    assert (one.done, other.done) == ([], ["a", "b"])


def test_what_changes_all_the_time_is_left_out_and_said_once() -> None:
    now, reporter = 0.0, Recorder()
    steady = Steady(lambda: now, reporter)
    cluster = Cluster("one").ref
    found = []
    for _ in range(60):
        now += 0.25
        ((_, left),) = steady.only([(cluster, [step("flaps"), step("stays", SAME)])])
        found.append([one.name for one in left])
    assert found[:AT_ONCE] == [["flaps", "stays"]] * AT_ONCE
    assert found[AT_ONCE:].count(["flaps", "stays"]) == 1
    ((_, left),) = steady.only([(cluster, [step("other")])])
    assert [one.name for one in left] == ["other"]
    (said,) = reporter.warned
    assert "peer flaps changes all the time" in said
