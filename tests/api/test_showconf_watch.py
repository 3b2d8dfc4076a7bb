"""``showconf peer --watch`` on a real API server, through its failures."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.faults import FaultyProxy, Request
from tests.support.recorded import CLUSTERS, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.apiserver.server import ApiServer

PATIENCE = 60.0  # seconds
NEVER = "3600"
"""An interval: what comes sooner was not found by looking again."""

RULES = [
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]},
    {"apiGroups": ["kilo.squat.ai"], "resources": ["peers"], "verbs": ["list", "watch"]},
]
GONE = json.dumps(
    {
        "type": "ERROR",
        "object": {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "too old resource version: 1 (2)",
            "reason": "Expired",
            "code": 410,
        },
    }
)


class Watch(NamedTuple):
    """A kgctl that watches, and the file that it keeps."""

    process: subprocess.Popen[str]
    file: Path

    def seconds_until(self, text: str) -> float:
        """Wait until ``text`` is in the file, and return how long that took."""
        return self._seconds(lambda: self.file.exists() and text in self.file.read_text())

    def seconds_without(self, text: str) -> float:
        """Wait until ``text`` is no longer in the file, and return how long that took."""
        return self._seconds(lambda: text not in self.file.read_text())

    def _seconds(self, condition: Callable[[], bool]) -> float:
        start = time.monotonic()
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() - start < PATIENCE, self.file.read_text()
            time.sleep(0.01)
        return time.monotonic() - start

    def end(self) -> str:
        """Tell it to end; return what it said."""
        self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=PATIENCE)[1]
        assert self.process.returncode == 0, said
        return said


@contextmanager
def _watching(kubeconfig: Path, file: Path, interval: str = NEVER) -> Iterator[Watch]:
    argv = [sys.executable, "-m", "kgctl", "--kubeconfig", str(kubeconfig), "showconf", "peer",
            "peer1", "-o", "wg-quick", "--watch", str(file), "--interval", interval]  # fmt: skip
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        try:
            watch = Watch(process, file)
            watch.seconds_until("52.60.0.2:51820")
            yield watch
        finally:
            process.kill()


@pytest.fixture
def cluster(api_server: ApiServer) -> Cluster:
    api_server.clear()
    objects = load(CLUSTERS[0])[0]
    api_server.apply([objects])
    text = json.dumps(objects)
    return Cluster(api_server, text)


class Cluster(NamedTuple):
    """A cluster in the API server whose first endpoint can be moved."""

    server: ApiServer
    text: str

    def move(self, endpoint: str) -> str:
        """Give the node another endpoint, and return that."""
        objects = json.loads(self.text.replace("52.60.0.2:51820", endpoint))
        changed = [item for item in objects["items"] if endpoint in json.dumps(item)]
        assert changed
        self.server.apply(changed)
        return endpoint

    def proxied(self, proxy: FaultyProxy) -> Path:
        """The kubeconfig of who may watch, by way of a proxy."""
        user = self.server.users.with_token("admin")
        return self.server.write_kubeconfig("proxied", user, url=proxy.url)


def test_a_change_is_in_the_file_within_about_a_second(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.server.user("watcher", RULES)
    with _watching(kubeconfig, tmp_path / "peer.conf") as watch:
        took = [
            watch.seconds_until(cluster.move(f"52.60.0.{number}:51820")) for number in range(10, 15)
        ]
        watch.end()
    print("seconds until a change was in the file:", [f"{one:.2f}" for one in took])
    assert min(took) < 1.0, took


def test_a_new_and_a_deleted_peer_are_seen(cluster: Cluster, tmp_path: Path) -> None:
    with _watching(cluster.server.kubeconfig, tmp_path / "peer.conf") as watch:
        key = "3QBYCk68xFcoviVl+ZA4JCo/Lt/jumStPN4PuYvYHgg="
        assert key not in watch.file.read_text()
        spec = {"allowedIPs": ["10.99.0.1/32"], "publicKey": key}
        path = "/apis/kilo.squat.ai/v1alpha1/peers"
        peer = {"apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer",
                "metadata": {"name": "new"}, "spec": spec}  # fmt: skip
        cluster.server.request("POST", path, peer)
        watch.seconds_until(key)
        cluster.server.request("DELETE", f"{path}/new")
        watch.seconds_without(key)
        cluster.server.request("DELETE", f"{path}/peer1")  # itself: the file stays as it was
        time.sleep(1)
        assert "52.60.0.2:51820" in watch.file.read_text()
        said = watch.end()
    assert 'did not find any peer named "peer1" in the cluster' in said
    assert "stays as it is" in said


def test_it_outlives_an_api_server_that_is_away(cluster: Cluster, tmp_path: Path) -> None:
    with _watching(cluster.server.kubeconfig, tmp_path / "peer.conf") as watch:
        before = watch.file.read_text()
        cluster.server.stop()
        try:
            time.sleep(3)
            assert watch.file.read_text() == before
        finally:
            cluster.server.start()
        watch.seconds_until(cluster.move("52.60.0.77:51820"))
        said = watch.end()
    assert "stays as it is" in said


def test_it_outlives_watches_that_expire_and_break(cluster: Cluster, tmp_path: Path) -> None:
    watches = itertools.count(1)

    def fault(request: Request) -> None:
        if "watch=true" not in request.path:
            request.pass_on()
            return
        number = next(watches)
        if number <= 4:
            request.say(200, GONE, "application/json")
        elif number <= 6:
            request.hang_up()
        elif number <= 8:
            request.reset()
        else:
            request.stream()

    with FaultyProxy(cluster.server.url, cluster.server.ca) as proxy:
        proxy.faults += [fault] * 1000
        with _watching(cluster.proxied(proxy), tmp_path / "peer.conf") as watch:
            deadline = time.monotonic() + PATIENCE
            while sum("watch=true" in path for path in proxy.asked) < 10:
                assert time.monotonic() < deadline, proxy.asked
                time.sleep(0.05)
            time.sleep(0.5)
            asked = len(proxy.asked)
            watch.seconds_until(cluster.move("52.60.0.78:51820"))
            watch.seconds_until(cluster.move("52.60.0.79:51820"))
            assert len(proxy.asked) == asked  # by the watches alone
            watch.end()


def test_a_node_that_falls_silent_leaves_the_file(cluster: Cluster, tmp_path: Path) -> None:
    """Its silence is no change of anything: it is found by judging again what is known."""
    objects = json.loads(cluster.text)["items"]
    silent = next(item for item in objects if "52.60.0.2:51820" in json.dumps(item))
    heartbeat = int(time.time()) - 45
    silent["metadata"]["annotations"]["kilo.squat.ai/last-seen"] = str(heartbeat)
    cluster.server.apply([silent])
    with _watching(cluster.server.kubeconfig, tmp_path / "peer.conf", "1") as watch:
        assert "52.60.0.2:51820" in watch.file.read_text() or time.time() > heartbeat + 60
        watch.seconds_without("52.60.0.2:51820")
        assert time.time() > heartbeat + 60
        watch.end()


def test_who_may_not_watch_looks_again_and_again(cluster: Cluster, tmp_path: Path) -> None:
    reader = cluster.server.token_user("reader")
    with _watching(reader, tmp_path / "peer.conf", "1") as watch:
        watch.seconds_until(cluster.move("52.60.0.80:51820"))
        said = watch.end()
    assert "not allowed to" in said
    assert "polling every 1 s instead" in said
