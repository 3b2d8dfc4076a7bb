"""The third of the tests that CI runs with the fast lane turned off is always the same one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bench.without
from kgctl.kube.fast import fast_lane
from tests.support.slow_lane import slow_third

CASES = [f"tests/kube/test_a.py::test_cases[{number}]" for number in range(500)]
TESTS = [f"tests/cli/test_b.py::test_{number}" for number in range(20)]
ELSEWHERE = [f"tests/mesh/test_c.py::test_{number}" for number in range(500)]


def test_slow_third_has_a_case_of_every_test_that_the_lanes_matter_to() -> None:
    chosen = slow_third(CASES + TESTS + ELSEWHERE)
    assert chosen >= set(TESTS)
    assert not chosen & set(ELSEWHERE)
    assert 200 < len(chosen & set(CASES)) < 270


def test_slow_third_stays_what_it_is_when_tests_are_added() -> None:
    fewer, more = slow_third(CASES), slow_third(CASES + TESTS)
    assert fewer < more


def test_slow_third_takes_a_case_that_is_asked_for_alone() -> None:
    assert all(slow_third([case]) == {case} for case in CASES[:20])


@pytest.mark.fast_lane(reason="it shows that the marker skips")
def test_a_test_of_the_fast_lane_is_not_run_in_the_slow_one() -> None:
    assert fast_lane()


@pytest.mark.parametrize("part", bench.without.PARTS)
def test_each_part_of_the_lane_can_be_turned_off_for_the_benchmark(part: str) -> None:
    command = [sys.executable, bench.without.__file__, part, "--example", "graph"]
    root = Path(bench.without.__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("digraph")
