"""Fixtures of the tests in the guest of tests/vm. Elsewhere there is nothing to collect."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.kernel.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_GUESTS = {"test_daemons.py": "systemd", "test_connect.py": "connect", "test_many.py": "connect"}
"""The guest that each file is for; ``others`` for all others. run.sh starts them."""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Collect what is for this guest."""
    name = collection_path.name
    if not name.startswith("test_"):
        return None
    return os.environ.get("KGCTL_GUEST") != _GUESTS.get(name, "others")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A host next to a node of its cluster."""
    with Site(tmp_path) as made:
        yield made


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Print a failure at once: a guest that is ended for its time would take it along."""
    if report.failed:
        print(f"\n{report.nodeid}:\n{report.longreprtext}", flush=True)
