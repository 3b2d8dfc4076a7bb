"""Applying plans, completely or as far as possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from kgctl.errors import StatusError, UnreachableError
from kgctl.link.apply import apply_each, apply_plan
from kgctl.link.steps import ADD, CHANGE, REMOVE, LinkError, Plan, Step
from tests.support.reporting import Recorder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.link.clusters import ClusterRef


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
        apply_each(Plan([(one.ref, steps), (other.ref, steps)]), Recorder())
    assert one.done == ["a", "c"]  # nothing is removed, where what replaces it may not be there
    assert other.done == ["a", "bad", "c", "gone"]
    assert str(told.value) == "one: it is invalid; 6 of 8 steps were done, the rest follows"


def test_a_cluster_that_is_away_is_tried_once_and_the_other_ones_are_written() -> None:
    one = Cluster("one", {"a": UnreachableError("away"), "b": UnreachableError("away")})
    other = Cluster("other")
    steps = [step("a"), step("b")]
    with pytest.raises(LinkError, match="one: away; 2 of 4 steps"):
        apply_each(Plan([(one.ref, steps), (other.ref, steps)]), Recorder())
    assert (one.done, other.done) == ([], ["a", "b"])


def test_the_first_step_that_fails_is_the_last_and_says_how_far_it_came() -> None:
    one, other = Cluster("one"), Cluster("other", {"b": UnreachableError("away")})
    plan = Plan([(one.ref, [step("a", ADD)]), (other.ref, [step("b"), step("c", REMOVE)])])
    with pytest.raises(LinkError, match="other: away; 1 of 3 steps were done, run it again"):
        apply_plan(plan)
    assert (one.done, other.done) == (["a"], [])
