"""A file that kgctl keeps up to date follows the cluster."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.network import plan, probe, tunnel, wiring
from tests.network.layout import UPLINK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.network.live import LiveNetwork
    from tests.network.namespace import Namespace

TARGET = plan.FRA_1.ipv4.pod
PATIENCE = 60.0
"""Seconds that a watch gets to bring a change into a file."""


def test_a_watched_file_follows_a_node_to_its_new_address(live: LiveNetwork) -> None:
    live.add(plan.LAPTOP)
    live.lead()
    laptop, fra = live["laptop"], live["fra-1"]
    with live.watched_file(plan.LAPTOP) as path:
        _wait_for(path.exists)
        first = path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600
        tunnel.join(laptop, first)
        assert probe.reaches(laptop, TARGET)

        with _moved(fra, "203.0.113.20/24", "203.0.113.21/24"):
            assert not probe.reaches(laptop, TARGET, within=1)
            live.annotate(plan.FRA_1, {"endpoint": f"203.0.113.21:{plan.PORT}"})
            _wait_for(lambda: path.read_text() != first)
            live.leave(plan.LAPTOP)
            tunnel.join(laptop, path.read_text())
            assert probe.reaches(laptop, TARGET)


@contextmanager
def _moved(node: Namespace, old: str, new: str) -> Iterator[None]:
    """A while in which a node has another public address."""
    _replace_address(node, old, new)
    try:
        yield
    finally:
        _replace_address(node, new, old)


def _replace_address(node: Namespace, old: str, new: str) -> None:
    node.ip("address", "delete", old, "dev", UPLINK)  # and with it the route by it
    wiring.assign(node, UPLINK, new)
    wiring.default_routes(node, "203.0.113.1")


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.05)
