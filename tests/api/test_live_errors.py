"""Errors of reading a real cluster: one line each, with a remedy.

Both transports give the same one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from kgctl.cli.core.hints import message
from kgctl.errors import (
    AnswerError,
    ClusterError,
    ConnectionLostError,
    ForbiddenError,
    NotFoundError,
    OverloadedError,
    RequestTimeoutError,
    TlsError,
    UnauthorizedError,
    UnreachableError,
)
from kgctl.kube.access.kubeconfig import load_access
from kgctl.kube.fast.lean import LeanTransport
from kgctl.kube.http.client import Backoff
from kgctl.kube.http.transport import open_transport
from kgctl.state.api_server import ApiServer as Source
from kgctl.state.interface import PeersNotServedError
from tests.apiserver.process import free_ports
from tests.support.certificates import self_signed
from tests.support.faults import (
    Fault,
    FaultyProxy,
    Request,
    cut_short,
    dripping,
    saying,
    silent,
)
from tests.support.ways import WAYS, Way, source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.apiserver.server import ApiServer

QUICK = Backoff(first=0.01, total=2.0)

pytestmark = pytest.mark.parametrize("way", WAYS)


def failure(source: Source) -> ClusterError:
    """What reading raises; one line, whatever it is."""
    with pytest.raises(ClusterError) as caught:
        source.read()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 800
    return caught.value


def elsewhere(server: ApiServer, url: str, ca: Path | None = None) -> Path:
    """The kubeconfig of reader at another address."""
    user = server.users.with_token("reader")
    return server.write_kubeconfig("elsewhere", user, url=url, ca=ca)


@pytest.fixture
def proxy(api_server: ApiServer) -> Iterator[FaultyProxy]:
    with FaultyProxy(api_server.url, api_server.ca) as proxy:
        yield proxy


# --- who asks ---


def test_a_wrong_token(api_server: ApiServer, way: Way) -> None:
    kubeconfig = api_server.write_kubeconfig("wrong", {"token": "wrong-token"})
    error = failure(source(way, kubeconfig))
    assert isinstance(error, UnauthorizedError)
    assert "have expired or are refused; get a new kubeconfig or token" in str(error)
    assert "wrong-token" not in str(error)


def test_an_expired_token(api_server: ApiServer, way: Way) -> None:
    error = failure(source(way, api_server.expired_token_user()))
    assert isinstance(error, UnauthorizedError)


def test_an_expired_certificate(api_server: ApiServer, way: Way) -> None:
    error = failure(source(way, api_server.expired_certificate_user()))
    assert isinstance(error, UnauthorizedError)


def test_nobody(api_server: ApiServer, way: Way) -> None:
    error = failure(source(way, api_server.write_kubeconfig("anonymous", {})))
    assert isinstance(error, ForbiddenError)
    assert 'not allowed to list nodes: nodes is forbidden: User "system:anonymous"' in str(error)


def test_a_user_who_may_list_nodes_but_not_peers(api_server: ApiServer, way: Way) -> None:
    error = failure(source(way, api_server.token_user("nodes-only")))
    assert isinstance(error, ForbiddenError)
    assert 'User "nodes-only" cannot list resource "peers"' in str(error)
    assert (error.verb, error.resource, error.group) == ("list", "peers", "kilo.squat.ai")
    assert "it needs the verb list on peers.kilo.squat.ai (" in str(error)
    assert message(error).endswith("): kgctl help rbac read prints a role that grants it")


def test_a_user_who_may_do_nothing(api_server: ApiServer, way: Way) -> None:
    error = failure(source(way, api_server.token_user("nobody")))
    assert isinstance(error, ForbiddenError)
    assert 'User "nobody" cannot list resource "nodes"' in str(error)


# --- what is there ---


def test_a_cluster_without_the_resource_definition(api_server: ApiServer, way: Way) -> None:
    with api_server.without_peers_crd():
        error = failure(source(way, api_server.token_user("reader")))
    assert isinstance(error, PeersNotServedError)
    assert "peers.kilo.squat.ai is not installed; install Kilo there" in str(error)


def test_a_path_that_is_no_api(api_server: ApiServer, way: Way) -> None:
    access = load_access(str(api_server.kubeconfig))
    access = access._replace(server=f"{access.server}/k8s/clusters/c-1")
    error = failure(Source(access=access, transport=way(access)))
    assert isinstance(error, NotFoundError)
    assert "is the path in its URL right?" in str(error)


# --- how it is reached ---


def test_a_server_that_is_stopped(api_server: ApiServer, way: Way) -> None:
    reader = source(way, api_server.token_user("reader"))
    api_server.stop()
    try:
        error = failure(reader)
    finally:
        api_server.start()
    assert isinstance(error, UnreachableError)
    assert "refused the connection: is the cluster running" in str(error)
    assert api_server.url in str(error)
    assert 'context "reader" of ' in str(error)


def test_a_host_that_is_unknown(api_server: ApiServer, way: Way) -> None:
    error = failure(source(way, elsewhere(api_server, "https://cluster.invalid:6443")))
    assert isinstance(error, UnreachableError)
    assert "cannot find the host of the API server https://cluster.invalid:6443" in str(error)


@pytest.mark.parametrize(
    ("name", "starts", "ends", "trusted", "says"),
    [
        ("127.0.0.1", -1, 30, False, "is signed by an unknown authority"),
        ("other.example.com", -1, 30, True, "is for another name"),
        ("10.0.0.1", -1, 30, True, "is for another name"),
        ("127.0.0.1", -9, -1, True, "has expired"),
        ("127.0.0.1", 1, 30, True, "is not valid yet"),
    ],
)
def test_certificates_that_are_wrong(
    api_server: ApiServer,
    tmp_path: Path,
    way: Way,
    name: str,
    starts: int,
    ends: int,
    trusted: bool,
    says: str,
) -> None:
    certificate = self_signed(tmp_path / "c.pem", name, starts=starts, ends=ends)
    with FaultyProxy(api_server.url, api_server.ca, certificate) as proxy:
        ca = certificate if trusted else api_server.ca
        error = failure(source(way, elsewhere(api_server, proxy.url, ca)))
    assert isinstance(error, TlsError)
    assert says in str(error)
    assert proxy.asked == []


def test_no_authority_at_all_is_the_systems(api_server: ApiServer, way: Way) -> None:
    access = load_access(str(api_server.token_user("reader")))._replace(cluster={})
    error = failure(Source(access=access, transport=way(access)))
    assert isinstance(error, TlsError)
    assert "set certificate-authority-data to the cluster's CA" in str(error)


def test_tls_where_there_is_none(api_server: ApiServer, way: Way) -> None:
    with FaultyProxy(api_server.url, api_server.ca, tls=False) as plain:
        error = failure(source(way, elsewhere(api_server, plain.url)))
    assert isinstance(error, TlsError)
    assert "does not speak TLS: should its URL start with http://?" in str(error)


def test_no_tls_where_there_is_some(api_server: ApiServer, way: Way) -> None:
    error = failure(source(way, elsewhere(api_server, api_server.url.replace("https", "http", 1))))
    assert isinstance(error, AnswerError)
    assert "Client sent an HTTP request to an HTTPS server" in str(error)


# --- a bad day ---


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([saying(429, "slow down", Retry_After="0")], id="429"),
        pytest.param([saying(500, "oops"), saying(503, "wait")], id="500 and 503"),
        pytest.param([saying(502, "<html>bad gateway")], id="502"),
        pytest.param([cut_short], id="a body cut short"),
        pytest.param([Request.hang_up], id="a connection closed"),
        pytest.param([Request.reset], id="a connection reset"),
    ],
)
def test_what_passes_is_passed_over(
    api_server: ApiServer, proxy: FaultyProxy, way: Way, faults: list[Fault]
) -> None:
    kubeconfig = elsewhere(api_server, proxy.url)
    undisturbed = source(way, kubeconfig).read()
    proxy.faults += faults
    proxy.asked.clear()
    assert source(way, kubeconfig, backoff=QUICK).read() == undisturbed
    assert len(proxy.asked) == 2 + len(faults)


def test_the_wait_that_the_server_asks_for_is_kept(
    api_server: ApiServer, proxy: FaultyProxy, way: Way
) -> None:
    proxy.faults.append(saying(429, Retry_After="1"))
    start = time.monotonic()
    source(way, elsewhere(api_server, proxy.url), backoff=QUICK).names("nodes")
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize("times", [1, 2])
def test_a_write_that_is_turned_away_is_made_again(
    api_server: ApiServer, proxy: FaultyProxy, way: Way, times: int
) -> None:
    api_server.clear()
    user = api_server.users.with_token("admin")
    kubeconfig = api_server.write_kubeconfig("writer", user, url=proxy.url)
    spec = {"allowedIPs": ["10.5.0.9/32"], "publicKey": "key"}
    peer = {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": "laptop"},
        "spec": spec,
    }
    with source(way, kubeconfig, backoff=QUICK) as admin:
        peers = admin.peers()
        proxy.faults += [saying(429, "storage is (re)initializing", Retry_After="0")] * times
        created = peers.create(peer)
        proxy.faults += [saying(429, "slow down", Retry_After="0")] * times
        peers.delete("laptop", uid=created["metadata"]["uid"])
        with pytest.raises(NotFoundError):
            peers.get("laptop")
    assert len(proxy.asked) == 2 * (times + 1) + 1


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (saying(429, "slow down"), OverloadedError, "now (429: slow down); try again later"),
        (saying(503, "no leader"), OverloadedError, "now (503: no leader); try again later"),
        (saying(504, Retry_After="60"), OverloadedError, "try again in 60 s"),
        (cut_short, ConnectionLostError, "closed the connection before its answer was complete"),
        (Request.hang_up, ConnectionLostError, "closed the connection before its answer"),
        (Request.reset, ConnectionLostError, "closed the connection before its answer"),
        (Request.babble, AnswerError, "does not speak HTTP: check its URL"),
        (saying(200, "<html>Please log in"), AnswerError, 'begin with "<html>Please log in"'),
        (saying(200, '{"items": [', "application/json"), AnswerError, "no valid JSON"),
        (saying(200, "k8s\0\n\7nonsense", "application/vnd.kubernetes.protobuf"), AnswerError,
         "cannot read the API server's protobuf answer"),
        (saying(302, Location="https://login.example.com"), AnswerError, "redirects to https://lo"),
        (saying(403, "<html>blocked by policy"), ForbiddenError, "<html>blocked by policy"),
    ],
)  # fmt: skip
def test_what_stays_gets_one_line(
    api_server: ApiServer,
    proxy: FaultyProxy,
    way: Way,
    fault: Fault,
    kind: type[ClusterError],
    says: str,
) -> None:
    proxy.faults += [fault] * 12
    error = failure(source(way, elsewhere(api_server, proxy.url), backoff=QUICK))
    assert isinstance(error, kind)
    assert says in str(error)
    assert len(proxy.asked) <= 2 * QUICK.attempts


@pytest.mark.parametrize("fault", [silent, dripping])
def test_a_server_that_is_too_slow(
    api_server: ApiServer, proxy: FaultyProxy, way: Way, fault: Fault
) -> None:
    api_server.apply([{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}])
    proxy.faults += [fault, fault]
    start = time.monotonic()
    error = failure(source(way, elsewhere(api_server, proxy.url), timeout=0.5))
    assert isinstance(error, RequestTimeoutError)
    assert "did not answer in time: is it up and reachable?" in str(error)
    assert time.monotonic() - start < 20  # not for ever, on however busy a machine


def test_a_server_that_takes_no_connection_in_time(api_server: ApiServer, way: Way) -> None:
    import socket

    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address):  # the queue is full: the next SYN is dropped
            url = f"http://127.0.0.1:{address[1]}"
            error = failure(source(way, elsewhere(api_server, url), timeout=0.5))
    assert isinstance(error, RequestTimeoutError)


@pytest.mark.fast_lane(reason="the slow lane takes the package for all")
def test_the_plain_cases_take_the_lean_way(api_server: ApiServer, way: Way) -> None:
    for kubeconfig in (api_server.token_user("reader"), api_server.user("someone")):
        assert isinstance(open_transport(load_access(str(kubeconfig))), LeanTransport)


def test_a_proxy_that_is_not_there(api_server: ApiServer, way: Way) -> None:
    access = load_access(str(api_server.token_user("reader")))
    url = f"http://me:hidden-word@127.0.0.1:{free_ports(1)[0]}"
    error = failure(Source(access=access._replace(cluster={**access.cluster, "proxy-url": url})))
    assert isinstance(error, UnreachableError)
    assert "through the proxy http://127.0.0.1:" in str(error)
    assert "hidden-word" not in str(error)
