"""Fixtures of the tests with real packets, and the conditions for running them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.network.commands import TOOLS
from tests.network.layout import SmallCluster
from tests.network.live import LiveNetwork
from tests.network.namespace import Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tests.apiserver.server import ApiServer
    from tests.network.plan import Inside, Outside

    GoLive = Callable[[Inside, Outside], LiveNetwork]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this directory; under xdist, keep them in one process.

    Those that need the API server as well run where it is started.
    """
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        item.add_marker(pytest.mark.network)
        item.add_marker(pytest.mark.needs("root", *TOOLS))
        if "api_server" not in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("network"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the state of the network under a test that failed in it."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.when == "call" and report.failed and cluster is not None:
        report.sections.append(("the network", cluster.describe()))
    return report


@pytest.fixture(scope="module")
def cabled() -> Iterator[SmallCluster]:
    """The small cluster, one a module, since its cables outlive a test's tunnels."""
    with Lab() as lab:
        yield SmallCluster(lab)


@pytest.fixture
def cluster(cabled: SmallCluster) -> Iterator[SmallCluster]:
    """The small cluster without a tunnel; what a test sets up is gone after it."""
    yield cabled
    cabled.reset()


@pytest.fixture
def go_live(cluster: SmallCluster, api_server: ApiServer, tmp_path: Path) -> GoLive:
    """Publish the nodes of the small cluster, with addresses of these families."""
    return lambda inside, outside: LiveNetwork(cluster, api_server, tmp_path, inside, outside)


@pytest.fixture
def live(go_live: GoLive) -> LiveNetwork:
    """The small cluster in the API server, IPv4 inside and outside, without a peer."""
    return go_live("ipv4", "ipv4")
