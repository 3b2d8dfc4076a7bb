"""What every layer of tests shares: how a missing tool is met, and the real API server."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apiserver.server import ApiServer

# time is not what these tests are about, and on CI the same examples are tried at each run
settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=60, deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")

SBIN = "/usr/sbin:/sbin:/usr/lib/systemd:/lib/systemd"
"""Where Debian keeps tools that only root has on the PATH, and the programs of systemd."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run every test of the API server in the same worker of pytest-xdist: it is started once."""
    for item in items:
        if "api_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.api)
            item.add_marker(pytest.mark.xdist_group("api"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Hold ``@pytest.mark.needs("dot", "root")`` against this machine."""
    for marker in item.iter_markers("needs"):
        for need in marker.args:
            if not _met(need):
                _not_met(f"needs {need}, which this machine does not have")


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real kube-apiserver that knows peers; see ``ApiServer`` for what to do with it."""
    from tests.apiserver.binaries import find_binaries
    from tests.apiserver.server import ApiServer

    binaries = find_binaries()
    if binaries is None:
        _not_met("needs kube-apiserver and etcd: run `make apiserver`, or set KUBEBUILDER_ASSETS")
    server = ApiServer(binaries, tmp_path_factory.mktemp("apiserver"))
    try:
        server.launch()
        yield server
    finally:
        server.close()


def _met(need: str) -> bool:
    if need == "root":
        return hasattr(os, "geteuid") and os.geteuid() == 0
    return shutil.which(need, path=f"{os.environ.get('PATH', '')}{os.pathsep}{SBIN}") is not None


def _not_met(reason: str) -> NoReturn:
    """Skip, for the person at this machine may not be able to install anything; CI can and must."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
