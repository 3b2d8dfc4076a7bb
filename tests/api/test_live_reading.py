"""Reading a real API server: the same objects by every transport and format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kgctl.kube.fast import fast_lane
from kgctl.kube.fast.lean import LeanTransport
from kgctl.kube.lists import NODES, list_nodes
from kgctl.kube.objects import NodeObject
from tests.apiserver.fleet import fleet
from tests.support.distance import Distance
from tests.support.faults import FaultyProxy, Request
from tests.support.ways import WAYS, Way, by_name, source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apiserver.server import ApiServer

FLEET = 1203
"""Three pages, the last of them not full."""

KILO = "kilo.squat.ai/"


def peer(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": name},
        "spec": {"allowedIPs": ["10.5.0.9/32"], "publicKey": "nonsense"},
    }


def expected(objects: list[dict[str, Any]]) -> list[NodeObject]:
    """What is to be read of the objects that were written."""
    return [
        NodeObject(
            o["metadata"]["name"],
            o["spec"]["podCIDR"],
            o["metadata"]["labels"],
            {k: v for k, v in o["metadata"]["annotations"].items() if k.startswith(KILO)},
        )
        for o in objects
    ]


@pytest.fixture(scope="module")
def full_server(api_server: ApiServer) -> Iterator[ApiServer]:
    """The API server with more nodes and peers than one page holds."""
    api_server.clear()
    api_server.apply([*fleet(FLEET), *(peer(f"peer-{n:04d}") for n in range(501))])
    yield api_server
    api_server.clear()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cached", [True, False])
def test_every_node_and_peer_is_read(full_server: ApiServer, way: Way, cached: bool) -> None:
    lines: list[str] = []
    objects = source(
        way, full_server.token_user("reader"), cached=cached, trace=lines.append
    ).read()
    assert by_name(objects.nodes) == expected(list(fleet(FLEET)))
    assert [p["metadata"]["name"] for p in objects.peers] == [f"peer-{n:04d}" for n in range(501)]
    assert objects.peers[0]["spec"] == peer("")["spec"]
    pages = [line for line in lines if line.startswith(f"GET {NODES}?")]
    assert len(pages) == (1 if cached else 3)
    kind = "application/vnd.kubernetes.protobuf" if fast_lane() else "application/json"
    assert all(kind in line for line in pages)


def test_json_gives_the_same_nodes_as_protobuf(full_server: ApiServer) -> None:
    api = source(LeanTransport, full_server.token_user("reader")).api()
    assert by_name(list_nodes(api, accept="application/json")) == by_name(list_nodes(api))


def test_over_a_long_way_nodes_come_compressed_and_are_the_same(full_server: ApiServer) -> None:
    near = source(LeanTransport, full_server.token_user("reader"))
    with Distance(full_server.url.removeprefix("https://"), 0.1) as distance:
        user = full_server.users.with_token("reader")
        kubeconfig = full_server.write_kubeconfig("far", user, url=f"https://{distance.address}")
        lines: list[str] = []
        with source(LeanTransport, kubeconfig, trace=lines.append) as far:
            objects = far.read()
    (nodes_line,) = (line for line in lines if NODES in line)
    assert nodes_line.endswith("gzip")
    assert by_name(objects.nodes) == by_name(near.read().nodes)


@pytest.mark.parametrize("way", WAYS)
def test_names_are_those_of_the_objects(full_server: ApiServer, way: Way) -> None:
    reader = source(way, full_server.token_user("reader"))
    assert reader.names("nodes") == [f"node-{n:05d}" for n in range(FLEET)]
    assert reader.names("peers") == [f"peer-{n:04d}" for n in range(501)]


def test_pages_are_of_one_moment_while_nodes_come_and_go(full_server: ApiServer) -> None:
    """Of a deletion and a creation between two pages the list shows neither, or both."""

    def change(request: Request) -> None:
        full_server.request("DELETE", f"{NODES}/node-01200")
        full_server.apply([{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-zzz"}}])
        request.pass_on()

    with FaultyProxy(full_server.url, full_server.ca) as proxy:
        proxy.faults += [Request.pass_on, change]
        user = full_server.users.with_token("reader")
        kubeconfig = full_server.write_kubeconfig("paged", user, url=proxy.url)
        try:
            nodes = source(LeanTransport, kubeconfig, cached=False).read().nodes
        finally:
            full_server.request("DELETE", f"{NODES}/node-zzz")
            full_server.apply([list(fleet(FLEET))[1200]])
    before = [f"node-{n:05d}" for n in range(FLEET)]
    after = [*(name for name in before if name != "node-01200"), "node-zzz"]
    # a list that had to begin anew, as one may on a busy server, is of the later moment
    assert [node.name for node in nodes] in (before, after)


@pytest.mark.parametrize("way", WAYS)
def test_hostile_annotations_arrive_as_they_are(api_server: ApiServer, way: Way) -> None:
    hostile = {KILO + "location": 'a"\n\x1b[2J\u202e\\', KILO + "key": "x" * 100_000, "o": "x"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "h", "annotations": hostile}}
    api_server.clear()
    api_server.apply([node])
    (read,) = source(way, api_server.token_user("reader")).read().nodes
    assert read.annotations == {k: v for k, v in hostile.items() if k != "o"}


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_is_kept_for_the_next_request(api_server: ApiServer, way: Way) -> None:
    with FaultyProxy(api_server.url, api_server.ca) as proxy:
        user = api_server.users.with_token("reader")
        kubeconfig = api_server.write_kubeconfig("kept", user, url=proxy.url)
        reader = source(way, kubeconfig)
        for _ in range(3):
            reader.names("nodes")
        assert (len(proxy.asked), proxy.connections) == (3, 1)


@pytest.mark.parametrize("way", WAYS)
def test_a_kept_connection_that_the_server_ended_is_no_error(
    api_server: ApiServer, way: Way
) -> None:
    with FaultyProxy(api_server.url, api_server.ca) as proxy:
        user = api_server.users.with_token("reader")
        kubeconfig = api_server.write_kubeconfig("ended", user, url=proxy.url)
        reader = source(way, kubeconfig)
        proxy.faults += [pass_on_and_end]
        reader.names("nodes")
        reader.names("nodes")
        assert proxy.connections == 2


def pass_on_and_end(request: Request) -> None:
    """Answer in full, as if the connection were to be kept, and end it."""
    request.pass_on()
    request.hang_up()
