"""An API server as a source: contents, order of requests, and unneeded imports."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from kgctl.errors import ForbiddenError, NotFoundError
from kgctl.kilo import PEERS
from kgctl.kube.http.client import Backoff
from kgctl.kube.lists import NODES
from kgctl.state.api_server import ApiServer
from tests.support import encode
from tests.support.memory import ACCESS, Answer, MemoryTransport, status_body

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.state.interface import Kind, Source

PEER = {"metadata": {"name": "p", "resourceVersion": "3"}, "spec": {}}


def nodes() -> Answer:
    body = encode.node_list([encode.node("n")])
    return Answer(body, kind="application/vnd.kubernetes.protobuf")


def peers() -> Answer:
    return Answer({"metadata": {"resourceVersion": "1"}, "items": [PEER]})


class ByPath(MemoryTransport):
    """Answers by what is asked for; holds until both lists have been asked for, if it is far."""

    def __init__(self, *, far: bool, peers_answer: Answer) -> None:
        super().__init__(far=far)
        self._by_path = {NODES: nodes(), PEERS: peers_answer}
        self._together = threading.Barrier(2, timeout=60) if far else None

    def request(self, method: str, path: str, *rest: Any) -> Answer:
        if self._together:
            self._together.wait()
        self.paths = [*getattr(self, "paths", []), path]
        return self._by_path[path]


def source(transport: MemoryTransport) -> ApiServer:
    return ApiServer(access=ACCESS, transport=transport, backoff=Backoff(sleep=lambda _s: None))


@pytest.mark.parametrize("far", [False, True])
def test_it_reads_nodes_and_peers_side_by_side_where_that_pays(far: bool) -> None:
    server: Source = source(ByPath(far=far, peers_answer=peers()))
    objects = server.read()
    assert [node.name for node in objects.nodes] == ["n"]
    assert objects.peers == [PEER]
    assert objects.passed_over == {}


@pytest.mark.parametrize("far", [False, True])
def test_an_error_of_either_list_is_the_error(far: bool) -> None:
    no = Answer(status_body("no", "Forbidden", 403), 403)
    with pytest.raises(ForbiddenError, match="list peers"):
        source(ByPath(far=far, peers_answer=no)).read()


@pytest.mark.parametrize(("kind", "path"), [("nodes", NODES), ("peers", PEERS)])
def test_names_are_sorted(kind: Kind, path: str) -> None:
    body = encode.node_list([encode.node("b"), encode.node("a")])
    transport = MemoryTransport(Answer(body, kind="application/vnd.kubernetes.protobuf"))
    assert source(transport).names(kind) == ["a", "b"]
    assert transport.requests[0].path == path


def test_one_peer_is_read_changed_and_deleted_under_its_name() -> None:
    transport = MemoryTransport(*[Answer(PEER) for _ in range(5)])
    objects = source(transport).peers()
    objects.get("p")
    objects.create(PEER, dry_run=True)
    objects.replace(PEER)
    objects.patch("p", {"spec": {"persistentKeepalive": 5}})
    objects.delete("p", uid="u", resource_version="3")
    asked = [(r.method, r.path, r.query, r.headers.get("Content-Type")) for r in transport.requests]
    assert asked == [
        ("GET", f"{PEERS}/p", {}, None),
        ("POST", PEERS, {"dryRun": "All"}, "application/json"),
        ("PUT", f"{PEERS}/p", {}, "application/json"),
        ("PATCH", f"{PEERS}/p", {}, "application/merge-patch+json"),
        ("DELETE", f"{PEERS}/p", {}, "application/json"),
    ]
    sent = transport.requests[-1].body
    assert sent is not None
    assert b'"preconditions": {"uid": "u", "resourceVersion": "3"}' in sent


def test_a_name_never_leads_elsewhere() -> None:
    transport = MemoryTransport(Answer(PEER))
    objects = source(transport).peers()
    objects.get("../../nodes?x=1#\r\nA: b")
    assert transport.requests[0].path == f"{PEERS}/..%2F..%2Fnodes%3Fx%3D1%23%0D%0AA%3A%20b"
    for name in ("", ".", ".."):
        with pytest.raises(NotFoundError):
            objects.delete(name)
    assert len(transport.requests) == 1


AS_YAML = """
clusters:
- cluster:
    server: http://127.0.0.1:1
  name: c
contexts:
- context:
    cluster: c
  name: c
current-context: c
"""
AS_JSON = """{
  "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
  "contexts": [{"name": "c", "context": {"cluster": "c"}}],
  "current-context": "c"
}"""


@pytest.mark.fast_lane(reason="the slow lane imports them")
@pytest.mark.parametrize("kubeconfig", [AS_YAML, AS_JSON])
def test_the_plain_way_imports_none_of_the_heavy_packages(tmp_path: Path, kubeconfig: str) -> None:
    (tmp_path / "k").write_text(kubeconfig)
    program = f"""
import sys
from kgctl.state.api_server import ApiServer
from kgctl.errors import UnreachableError
try:
    ApiServer(kubeconfig={str(tmp_path / "k")!r}).read()
except UnreachableError as error:
    assert "refused the connection" in str(error), error
heavy = {{"kubernetes", "urllib3", "yaml", "msgspec", "logging", "dataclasses", "inspect",
          "subprocess", "tempfile", "asyncio", "typer", "rich"}}
print(*sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")
