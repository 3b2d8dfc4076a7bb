"""Fixtures of all tests: handling of missing tools, and the real API server."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import settings

from kgctl.kube.fast import fast_lane
from tests.support.slow_lane import slow_third

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.apiserver.server import ApiServer

# time is not what these tests are about, and on CI the same examples are tried at each run
settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=60, deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")

SBIN = "/usr/sbin:/sbin:/usr/lib/systemd:/lib/systemd"
"""Where Debian keeps tools that only root has on the PATH, and the programs of systemd."""


def _have_children_end_at_sigint() -> None:
    """Start what tests start with the default for SIGINT, also where it is ignored here.

    A shell ignores it in a background job without job control (``make test &`` in a script), and
    so would every program below. With a handler of ours it goes on doing nothing here, and exec
    gives each program the default back.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda _number, _frame: None)


_have_children_end_at_sigint()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of ``make test`` for its second run."""
    parser.addoption(
        "--slow-lane-third",
        action="store_true",
        help="run a fixed third of the tests, with KGCTL_SLOW=1",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Turn the fast lane off before anything of kgctl runs; programs started here inherit that."""
    if config.getoption("slow_lane_third"):
        os.environ["KGCTL_SLOW"] = "1"


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist puts groups into the ids
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose the tests, and the workers that they run in."""
    if config.getoption("slow_lane_third"):
        third = slow_third(item.nodeid for item in items)
        config.hook.pytest_deselected(items=[i for i in items if i.nodeid not in third])
        items[:] = [item for item in items if item.nodeid in third]
    _group(items)


def _group(items: list[pytest.Item]) -> None:
    """Run the tests of the API server in one worker of pytest-xdist, as those of Chromium: each is
    started once."""
    for item in items:
        if "api_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.api)
            item.add_marker(pytest.mark.xdist_group("api"))
        if "npm_files" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.needs("chromium"))
            item.add_marker(pytest.mark.xdist_group("browser"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Hold ``@pytest.mark.needs("dot", "root")`` against this machine, and skip by the lane."""
    for marker in item.iter_markers("fast_lane"):
        if not fast_lane():
            pytest.skip(f"of the fast lane alone: {marker.kwargs['reason']}")
    for marker in item.iter_markers("needs"):
        for need in marker.args:
            if not _met(need):
                _not_met(f"needs {need}, which this machine does not have")


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real kube-apiserver that knows peers; see ``ApiServer`` for what to do with it."""
    with _api_server(tmp_path_factory, "apiserver") as server:
        yield server


@pytest.fixture(scope="session")
def other_api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """That of another cluster."""
    with _api_server(tmp_path_factory, "other") as server:
        yield server


@pytest.fixture(scope="module")
def third_api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """And that of a third, for one module: few need it, and each takes a part of a processor."""
    with _api_server(tmp_path_factory, "third") as server:
        yield server


@contextlib.contextmanager
def _api_server(places: pytest.TempPathFactory, name: str) -> Iterator[ApiServer]:
    from tests.apiserver.binaries import find_binaries
    from tests.apiserver.server import ApiServer

    binaries = find_binaries()
    if binaries is None:
        _not_met("needs kube-apiserver and etcd: run `make apiserver`, or set KUBEBUILDER_ASSETS")
    server = ApiServer(binaries, places.mktemp(name))
    try:
        server.launch()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless; for one module, since Playwright's event loop is this thread's.

    What others run in this process, pyroute2 for one, could have none of its own meanwhile.
    """
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    with sync_playwright() as playwright:
        # root may not use the sandbox; pages here are our own
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def npm_files() -> Path:
    """The directory of what ``.ci/install-npm`` fetched from npm."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    modules = Path(cache, "kgctl", "browser", "node_modules")
    if not modules.is_dir():
        _not_met("needs packages of npm: run `make browserfiles`")
    return modules


def _met(need: str) -> bool:
    if need == "root":
        return hasattr(os, "geteuid") and os.geteuid() == 0
    if need == "neato-layout":  # a plugin of dot: newer Debians have it in a package of its own
        argv = ["dot", "-Kneato", "-Tsvg"]
        done = subprocess.run(argv, input=b"graph {}", capture_output=True, check=False)
        return done.returncode == 0
    return shutil.which(need, path=f"{os.environ.get('PATH', '')}{os.pathsep}{SBIN}") is not None


def _not_met(reason: str) -> NoReturn:
    """Skip, for the person at this machine may not be able to install anything; CI can and must."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
