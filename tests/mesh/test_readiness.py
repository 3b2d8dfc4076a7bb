"""The newest heartbeat of a snapshot, and inaccurate clocks."""

from __future__ import annotations

import pytest

from kgctl.mesh.readiness import clock_trouble, newest_heartbeat


@pytest.mark.parametrize(
    ("heartbeats", "newest"),
    [
        ([], 0),
        ([5, 9, 7], 9),
        ([5, 1001, 7], 7),  # a node may write any number
        ([0, 2000, 3000], 3000),  # a snapshot of another clock altogether
    ],
)
def test_the_newest_heartbeat_is_not_later_than_now(heartbeats: list[int], newest: int) -> None:
    assert newest_heartbeat(heartbeats, now=1000) == newest


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (None, ""),
        (0.0, ""),
        (9.9, ""),
        (-9.9, ""),
        (300.0, "this machine's clock is 5m ahead of the API server's"),
        (-45.0, "this machine's clock is 45s behind the API server's"),
    ],
)
def test_how_far_a_clock_is_off(ahead: float | None, said: str) -> None:
    assert clock_trouble(ahead) == said
