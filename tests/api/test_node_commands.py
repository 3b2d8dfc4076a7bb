"""``kgctl node set`` on a real API server, with docs/rbac-nodes.yaml and no other rights."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kgctl.edit.nodes import NodeObjects
from kgctl.errors import ConflictError, NotFoundError
from kgctl.kube.stored import MERGE_PATCH
from kgctl.state.api_server import ApiServer as Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.apiserver.server import ApiServer

    Run = Callable[..., subprocess.CompletedProcess[str]]

ROLE = Path(__file__).parents[2] / "docs" / "rbac-nodes.yaml"
PREFIX = "kilo.squat.ai/"


def _node(number: int) -> dict[str, Any]:
    own = {
        "endpoint": f"198.51.100.{number}:51820",
        "internal-ip": f"10.0.0.{number}/24",
        "key": f"{'ABCD'[number]}" * 42 + "A=",
        "last-seen": str(int(time.time()) + 3600),
        "granularity": "location",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": f"n{number}",
            "labels": {"topology.kubernetes.io/region": "eu" if number < 3 else "us"},
            "annotations": {PREFIX + key: value for key, value in own.items()},
        },
        "spec": {"podCIDR": f"10.42.{number}.0/24"},
    }


@pytest.fixture
def kubeconfig(api_server: ApiServer) -> Iterator[Path]:
    """Three nodes at two places, and the kubeconfig of a user who may annotate them."""
    api_server.clear()
    api_server.apply([_node(number) for number in (1, 2, 3)])
    yield api_server.user("node-admin-of-docs", yaml.safe_load(ROLE.read_text())["rules"])
    api_server.clear()


@pytest.fixture
def run(kubeconfig: Path) -> Run:
    """Run kgctl as that user."""

    def kgctl(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kgctl", "--kubeconfig", str(kubeconfig), *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return kgctl


def _annotations(server: ApiServer, name: str) -> dict[str, str]:
    found: dict[str, str] = server.request("GET", f"/api/v1/nodes/{name}")["metadata"][
        "annotations"
    ]
    return {key.removeprefix(PREFIX): value for key, value in found.items()}


def test_it_shows_what_changes_and_writes_it(run: Run, api_server: ApiServer) -> None:
    before = _annotations(api_server, "n2")
    done = run("node", "set", "n2", "--leader", "--persistent-keepalive", "25", "--yes")
    assert (done.returncode, done.stdout) == (0, "node/n2 annotated\n")
    assert "leader: n1 -> n2" in done.stderr
    added = {"leader": "true", "persistent-keepalive": "25"}
    assert _annotations(api_server, "n2") == {**before, **added}
    again = run("node", "set", "n2", "--leader", "--yes")
    assert (again.returncode, again.stdout) == (0, "")
    assert "nothing to change" in again.stderr
    assert run("node", "set", "n2", "--no-leader", "--unset", "persistent-keepalive", "-y")
    assert _annotations(api_server, "n2") == before


def test_a_selector_chooses_nodes(run: Run, api_server: ApiServer) -> None:
    where = "topology.kubernetes.io/region in (eu)"
    done = run("node", "set", "-l", where, "--location", "berlin", "--yes")
    assert done.stdout == "node/n1 annotated\nnode/n2 annotated\n", done.stderr
    assert "+ segment location:berlin" in done.stderr
    assert "location" not in _annotations(api_server, "n3")


@pytest.mark.parametrize("dry_run", ["client", "server"])
def test_a_dry_run_writes_nothing(run: Run, api_server: ApiServer, dry_run: str) -> None:
    before = _annotations(api_server, "n1")
    done = run("node", "set", "n1", "--location", "x", f"--dry-run={dry_run}")
    assert done.returncode == 0
    assert done.stdout.startswith("node/n1 annotated (")
    assert _annotations(api_server, "n1") == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["n1", "--location", "x"], "give --yes"),
        (["n", "--location", "x", "-y"], 'did you mean "n'),
        (["--location", "x", "-y"], "no node is given"),
        (["n1", "-y"], "nothing to set"),
        (["n1", "--force-endpoint", "1.2.3.4", "-y"], "it would be ignored"),
        (["n1", "--leader", "--unset", "leader", "-y"], "conflicts with"),
        (["-l", "region=mars", "--leader", "-y"], "no node has the labels"),
        (["-l", "(", "--leader", "-y"], "not a label selector"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(
    run: Run, api_server: ApiServer, arguments: list[str], said: str
) -> None:
    before = _annotations(api_server, "n1")
    done = run("node", "set", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert _annotations(api_server, "n1") == before


@pytest.mark.parametrize(("typed", "code"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1)])
def test_on_a_terminal_it_asks(
    kubeconfig: Path, api_server: ApiServer, typed: bytes, code: int
) -> None:
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "kgctl", "--kubeconfig", str(kubeconfig)]
    with subprocess.Popen(
        [*argv, "node", "set", "n1", "--location", "x"],
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        os.close(theirs)
        os.write(ours, typed)
        out, err = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == code
    assert b"+ segment location:x" in err
    assert b"Annotate 1 node?" in err
    assert ("location" in _annotations(api_server, "n1")) is (code == 0)
    assert out == (b"node/n1 annotated\n" if code == 0 else b"")


def test_what_others_write_meanwhile_stays(kubeconfig: Path, api_server: ApiServer) -> None:
    """As on any node: its agent writes a heartbeat all the time."""
    stop = threading.Event()
    beats = 0
    admin = Cluster(kubeconfig=str(api_server.kubeconfig)).api()

    def beat() -> None:
        nonlocal beats
        while not stop.is_set():
            beats += 1
            patch = {"metadata": {"annotations": {"beat": str(beats)}}}
            admin.send("PATCH", "/api/v1/nodes/n1", {}, patch, MERGE_PATCH)
            time.sleep(0.1)  # it could win every time otherwise, as no agent does

    agent = threading.Thread(target=beat)
    agent.start()
    try:
        store = NodeObjects(Cluster(kubeconfig=str(kubeconfig)).api())
        for number in range(20):
            seen = {} if number == 0 else {PREFIX + "location": str(number - 1)}
            store.annotate("n1", {PREFIX + "location": str(number)}, seen)
    finally:
        stop.set()
        agent.join()
    found = _annotations(api_server, "n1")
    assert found["location"] == "19"
    assert found["beat"] == str(beats)


def test_a_change_of_what_was_shown_is_a_conflict(kubeconfig: Path, api_server: ApiServer) -> None:
    store = NodeObjects(Cluster(kubeconfig=str(kubeconfig)).api())
    with pytest.raises(ConflictError, match="someone else changed"):
        store.annotate("n1", {PREFIX + "location": "a"}, {PREFIX + "location": "b"})
    assert "location" not in _annotations(api_server, "n1")
    for name in ("n9", "..", ""):
        with pytest.raises(NotFoundError):
            store.annotate(name, {"a": "b"}, {})


def test_who_may_only_read_is_refused(api_server: ApiServer, kubeconfig: Path) -> None:
    reader = str(api_server.token_user("reader"))
    argv = [sys.executable, "-m", "kgctl", "--kubeconfig", reader, "node", "set", "n1", "--leader"]
    done = subprocess.run([*argv, "--yes"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "not allowed to" in done.stderr
    assert json.dumps(_annotations(api_server, "n1")).count("leader") == 0
