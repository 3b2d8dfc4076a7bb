"""The API server of the tests: version, contents and users."""

from __future__ import annotations

import base64
import http
import http.client
import json
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.apiserver.client import RefusedError

if TYPE_CHECKING:
    from tests.apiserver.server import ApiServer

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.json"))
PEERS = "/apis/kilo.squat.ai/v1alpha1/peers"
NODES = "/api/v1/nodes"
SPEC = {"allowedIPs": ["10.5.0.9/32"], "publicKey": "nonsense"}
PEER = {
    "apiVersion": "kilo.squat.ai/v1alpha1",
    "kind": "Peer",
    "metadata": {"name": "phone"},
    "spec": SPEC,
}


def node(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}


def status_as(kubeconfig: Path, method: str, path: str, body: object = None) -> int:
    """The status that the user of a kubeconfig gets, by its own credentials only."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cafile=cluster["certificate-authority"])
    headers = {"Content-Type": "application/json"}
    if "token" in user:
        headers["Authorization"] = f"Bearer {user['token']}"
    else:
        pair = kubeconfig.with_suffix(".pem")
        parts = (user["client-certificate-data"], user["client-key-data"])
        pair.write_bytes(b"".join(base64.b64decode(part) for part in parts))
        context.load_cert_chain(pair)
    address = cluster["server"].removeprefix("https://")
    connection = http.client.HTTPSConnection(address, context=context, timeout=30)
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        with connection.getresponse() as response:
            response.read()
            return response.status
    finally:
        connection.close()


def names(server: ApiServer, path: str) -> list[str]:
    return [item["metadata"]["name"] for item in server.request("GET", path)["items"]]


def test_it_says_its_version(api_server: ApiServer) -> None:
    version = api_server.request("GET", "/version")
    assert version["gitVersion"].startswith("v1.")


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_it_takes_the_recorded_clusters(api_server: ApiServer, path: Path) -> None:
    cluster = json.loads(path.read_text())["cluster"]
    api_server.clear()
    api_server.apply([cluster])
    held = [
        (kind, n) for kind, p in (("Node", NODES), ("Peer", PEERS)) for n in names(api_server, p)
    ]
    assert sorted(held) == sorted((o["kind"], o["metadata"]["name"]) for o in cluster["items"])


def test_the_last_write_of_an_object_counts(api_server: ApiServer) -> None:
    api_server.clear()
    api_server.apply([PEER, node("n1")])
    api_server.apply([{**PEER, "spec": {**SPEC, "persistentKeepalive": 5}}])
    spec = api_server.request("GET", f"{PEERS}/phone")["spec"]
    assert spec == {**SPEC, "persistentKeepalive": 5}


def test_it_refuses_a_peer_without_a_key(api_server: ApiServer) -> None:
    with pytest.raises(RefusedError, match=r"spec\.publicKey"):
        api_server.apply([{**PEER, "spec": {"allowedIPs": []}}])


def test_cleared_it_holds_nothing(api_server: ApiServer) -> None:
    api_server.apply([PEER, node("n1")])
    api_server.clear()
    assert names(api_server, NODES) == names(api_server, PEERS) == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", NODES, http.HTTPStatus.OK),
        ("GET", PEERS, http.HTTPStatus.OK),
        ("GET", f"{NODES}/n1", http.HTTPStatus.FORBIDDEN),
        ("GET", f"{PEERS}/phone", http.HTTPStatus.FORBIDDEN),
        ("GET", f"{NODES}?watch=true&timeoutSeconds=1", http.HTTPStatus.FORBIDDEN),
        ("POST", NODES, http.HTTPStatus.FORBIDDEN),
        ("POST", PEERS, http.HTTPStatus.FORBIDDEN),
        ("DELETE", f"{PEERS}/phone", http.HTTPStatus.FORBIDDEN),
        ("GET", "/api/v1/pods", http.HTTPStatus.FORBIDDEN),
        ("GET", "/api/v1/secrets", http.HTTPStatus.FORBIDDEN),
    ],
)
def test_the_documented_role_lists_nodes_and_peers_and_no_more(
    api_server: ApiServer, method: str, path: str, status: int
) -> None:
    body = {NODES: node("new"), PEERS: PEER}[path] if method == "POST" else None
    assert status_as(api_server.token_user("reader"), method, path, body) == status


@pytest.mark.parametrize(
    ("user", "nodes", "peers"),
    [
        ("admin", http.HTTPStatus.OK, http.HTTPStatus.OK),
        ("nodes-only", http.HTTPStatus.OK, http.HTTPStatus.FORBIDDEN),
        ("nobody", http.HTTPStatus.FORBIDDEN, http.HTTPStatus.FORBIDDEN),
    ],
)
def test_token_users_may_read_what_their_name_says(
    api_server: ApiServer, user: str, nodes: int, peers: int
) -> None:
    kubeconfig = api_server.token_user(user)
    assert (status_as(kubeconfig, "GET", NODES), status_as(kubeconfig, "GET", PEERS)) == (
        nodes,
        peers,
    )


def test_a_certificate_user_may_do_what_its_rules_say(api_server: ApiServer) -> None:
    rules = [{"apiGroups": ["kilo.squat.ai"], "resources": ["peers"], "verbs": ["list"]}]
    kubeconfig = api_server.user("peers-by-certificate", rules)
    assert status_as(kubeconfig, "GET", PEERS) == http.HTTPStatus.OK
    assert status_as(kubeconfig, "GET", NODES) == http.HTTPStatus.FORBIDDEN


def test_an_expired_token_is_not_let_in(api_server: ApiServer) -> None:
    kubeconfig = api_server.expired_token_user()
    assert status_as(kubeconfig, "GET", NODES) == http.HTTPStatus.UNAUTHORIZED


def test_an_expired_certificate_is_not_let_in(api_server: ApiServer) -> None:
    kubeconfig = api_server.expired_certificate_user()
    assert status_as(kubeconfig, "GET", NODES) == http.HTTPStatus.UNAUTHORIZED


def test_without_the_resource_definition_peers_are_not_found(api_server: ApiServer) -> None:
    reader = api_server.token_user("reader")
    with api_server.without_peers_crd():
        assert status_as(reader, "GET", PEERS) == http.HTTPStatus.NOT_FOUND
    assert status_as(reader, "GET", PEERS) == http.HTTPStatus.OK


def test_stopped_it_refuses_connections_and_started_again_it_holds_the_same(
    api_server: ApiServer,
) -> None:
    api_server.clear()
    api_server.apply([PEER, node("n1")])
    url = api_server.url
    api_server.stop()
    try:
        with pytest.raises(ConnectionRefusedError):
            api_server.request("GET", NODES)
    finally:
        api_server.start()
    assert api_server.url == url
    assert (names(api_server, NODES), names(api_server, PEERS)) == (["n1"], ["phone"])
