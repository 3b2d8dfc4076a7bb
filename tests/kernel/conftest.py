"""Fixtures of the tests in the guest of tests/vm. Elsewhere there is nothing to collect."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.kernel.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

collect_ignore_glob = [] if os.environ.get("KGCTL_GUEST") else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest, so that both processors have work to the end."""
    items.sort(key=lambda item: item.path.name != "test_many.py")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A host next to a node of its cluster."""
    with Site(tmp_path) as made:
        yield made


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Print a failure at once: a guest that is ended for its time would take it along."""
    if report.failed:
        print(f"\n{report.nodeid}:\n{report.longreprtext}", flush=True)
