"""The request before the arguments are parsed: used once, without side effects."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kgctl.kube.fast import fast_lane
from kgctl.kube.lists import NODES
from tests.support.faults import FaultyProxy, Request, saying

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.apiserver.server import ApiServer


@pytest.fixture
def proxy(api_server: ApiServer) -> Iterator[FaultyProxy]:
    api_server.clear()
    with FaultyProxy(api_server.url, api_server.ca) as proxy:
        yield proxy


@pytest.fixture
def kubeconfig(api_server: ApiServer, proxy: FaultyProxy) -> Path:
    user = api_server.users.with_token("reader")
    return api_server.write_kubeconfig("ahead", user, url=proxy.url)


def kgctl(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program as people do: what is asked ahead, it asks before it parses."""
    command = [sys.executable, "-m", "kgctl", "--kubeconfig", str(kubeconfig), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def lists_of_nodes(proxy: FaultyProxy) -> int:
    return sum(path.partition("?")[0] == NODES for path in proxy.asked)


def test_its_answer_is_used(proxy: FaultyProxy, kubeconfig: Path) -> None:
    run = kgctl(kubeconfig, "get", "nodes", "-o", "json")
    assert (run.returncode, run.stderr) == (0, "there is no network, so no segments: did not find "
        "any valid Kilo nodes in the cluster\n")  # fmt: skip
    assert lists_of_nodes(proxy) == 1


@pytest.mark.parametrize("fault", [Request.hang_up, Request.reset, saying(429), saying(503)])
def test_when_it_goes_wrong_it_is_asked_again(
    proxy: FaultyProxy, kubeconfig: Path, fault: Request
) -> None:
    proxy.faults.append(fault)  # type: ignore[arg-type]
    run = kgctl(kubeconfig, "get", "nodes", "-o", "json")
    assert run.returncode == 0
    # with a head start the nodes are asked for first; without one, it may be the peers
    assert len(proxy.asked) == 3
    assert lists_of_nodes(proxy) == 2 or not fast_lane()


def test_a_refusal_is_told_as_ever(proxy: FaultyProxy, kubeconfig: Path) -> None:
    proxy.faults.append(saying(403, '{"kind":"Status","message":"no"}', "application/json"))
    run = kgctl(kubeconfig, "graph")
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert lists_of_nodes(proxy) == 1


def test_a_mistake_in_the_arguments_is_told_as_ever(proxy: FaultyProxy, kubeconfig: Path) -> None:
    run = kgctl(kubeconfig, "showconf", "peer", "x", "--unheard-of")
    assert run.returncode == 1
    assert "--unheard-of" in run.stderr
    assert run.stdout == ""


def test_a_server_that_refuses_to_connect_is_asked_once(
    api_server: ApiServer, kubeconfig: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    nobody = api_server.write_kubeconfig("nobody", api_server.users.with_token("reader"), url=url)
    run = kgctl(nobody, "graph")
    assert run.returncode == 1
    assert run.stdout == ""
    (line,) = run.stderr.splitlines()
    assert f"the API server {url}" in line
    assert "refused the connection" in line


@pytest.mark.fast_lane(reason="nothing else is asked for during a head start")
def test_a_server_that_says_nothing_is_waited_for_once(
    api_server: ApiServer, kubeconfig: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.listen()
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        user = api_server.users.with_token("reader")
        run = kgctl(
            api_server.write_kubeconfig("silent", user, url=url), "graph", "--request-timeout=1s"
        )
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert run.returncode == 1
    assert "did not answer in time" in run.stderr
