"""The newest heartbeat of a snapshot."""

from __future__ import annotations

import pytest

from kgctl.mesh.readiness import newest_heartbeat


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
