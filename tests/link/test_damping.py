"""Limits on frequent writes."""

from __future__ import annotations

import pytest

from kgctl.errors import MeshError
from kgctl.link.clusters import ClusterRef, ClusterState
from kgctl.link.steps import CHANGE, SAME, Plan, Step
from kgctl.link.watch import AT_ONCE, FORGIVEN, LONGEST_PAUSE, Damper, FailureReports, PlanDamper
from kgctl.state.example import Example
from tests.support.reporting import Recorder
from tests.support.several import east, member, objects_of


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def written(damper: Damper, clock: Clock, seconds: float, every: float) -> list[float]:
    """Return when a thing is written that changes all the time, for so long."""
    found, start = [], clock.now
    while clock.now < start + seconds:
        if not damper.pause("x"):
            damper.wrote("x")
            found.append(clock.now - start)
        clock.now += every
    return found


def test_a_leader_that_moves_a_few_times_is_followed_at_once() -> None:
    clock = Clock()
    assert written(Damper(clock), clock, 4, 1) == [0, 1, 2, 3][:AT_ONCE]


def test_what_flaps_for_twenty_seconds_is_written_a_few_times_and_not_ninety() -> None:
    clock = Clock()
    assert len(written(Damper(clock), clock, 20, 0.2)) <= AT_ONCE + 2


def test_the_pauses_grow_up_to_the_longest_one() -> None:
    clock = Clock()
    times = written(Damper(clock), clock, 6 * 3600, 1.0)
    pauses = [later - sooner for sooner, later in zip(times[AT_ONCE - 1 :], times[AT_ONCE:])]  # noqa: B905
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE


@pytest.mark.parametrize("quiet", [LONGEST_PAUSE, 20 * FORGIVEN])
def test_what_was_quiet_is_written_at_once(quiet: float) -> None:
    clock = Clock()
    damper = Damper(clock)
    written(damper, clock, 3600, 1.0)
    clock.now += quiet
    assert not damper.pause("x")
    damper.wrote("x")
    assert bool(damper.pause("x")) == (quiet == LONGEST_PAUSE)


def test_one_thing_does_not_keep_another_one_waiting_and_is_forgotten() -> None:
    clock = Clock()
    damper = Damper(clock)
    for number in range(1000):
        damper.wrote(f"x{number}")
        damper.forget()
    assert not damper.pause("other")
    clock.now += 2 * FORGIVEN
    damper.forget()
    assert not vars(damper)["_past"]


def test_what_changes_all_the_time_is_left_out_and_said_once() -> None:
    now, reporter = 0.0, Recorder()
    damper = PlanDamper(lambda: now, reporter)
    cluster = ClusterRef("one", Example())
    steps = [Step(CHANGE, "flaps"), Step(SAME, "stays")]
    found = []
    for _ in range(60):
        now += 0.25
        ((_, left),) = damper.only(Plan([(cluster, steps)])).clusters
        found.append([one.name for one in left])
    assert found[:AT_ONCE] == [["flaps", "stays"]] * AT_ONCE
    assert found[AT_ONCE:].count(["flaps", "stays"]) == 1
    ((_, left),) = damper.only(Plan([(cluster, [Step(CHANGE, "other")])])).clusters
    assert [one.name for one in left] == ["other"]
    (said,) = reporter.warned
    assert "peer flaps changes all the time" in said


def test_a_network_that_cannot_be_built_is_said_once_and_seldom_where_it_flaps() -> None:
    now, reporter = 0.0, Recorder()
    failures = FailureReports(lambda: now, reporter)
    good = ClusterState(ClusterRef("east", Example()), objects_of(east()), member("east", east()))
    for number in range(3):  # another reason each time, as with a count in it
        failures.report([good._replace(failure=MeshError(f"{number} segments are too many"))])
    failures.report([good])
    assert reporter.warned == [
        "east: its network cannot be built, so its links stay as they are, and only links "
        "between the other clusters are updated: 0 segments are too many"
    ]
    assert reporter.informed == ["east: its network can be built again: its links are updated"]
    for _ in range(60):
        now += 0.25
        failures.report([good._replace(failure=MeshError("it flaps"))])
        failures.report([good])
    assert len(reporter.warned) == len(reporter.informed) == 1 + AT_ONCE
    assert all("it flaps" in said for said in reporter.warned[1:])
    now += 60
    failures.report([good._replace(failure=MeshError("it stays"))])
    assert "it stays" in reporter.warned[-1]
