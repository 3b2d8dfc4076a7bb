"""Users and proxies beyond a token or a certificate, over both transports, on a real API server."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from kgctl.errors import ClusterError, CredentialsError, UnreachableError
from kgctl.kube.access.kubeconfig import Access, load_access
from kgctl.kube.access.proxy import proxy_for
from kgctl.kube.fast.lean import LeanTransport
from kgctl.kube.http.package import PackageTransport
from kgctl.kube.http.transport import open_transport
from kgctl.state.api_server import ApiServer as Source
from tests.apiserver.process import free_ports
from tests.support.faults import FaultyProxy, Request, saying
from tests.support.tunnel import TunnelProxy
from tests.support.ways import WAYS, Way

if TYPE_CHECKING:
    from tests.apiserver.server import ApiServer


def reader(server: ApiServer, **user: Any) -> Access:
    named = user or server.users.with_token("reader")
    return load_access(str(server.write_kubeconfig("package", named)))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("login", ["", "me:p%40ss@"])
def test_a_proxy_of_the_kubeconfig_is_gone_through(
    api_server: ApiServer, login: str, way: Way
) -> None:
    access = reader(api_server)
    with TunnelProxy() as proxy:
        url = f"http://{login}{proxy.address}"
        proxied = access._replace(cluster={**access.cluster, "proxy-url": url})
        source = Source(access=proxied, transport=way(proxied))
        objects = source.read()
        source.close()
    assert set(proxy.asked) == {access.server.removeprefix("https://")}
    shown = base64.b64encode(b"me:p@ss").decode() if login else None
    assert set(proxy.logins) == {f"Basic {shown}" if shown else None}
    with Source(access=access) as direct:
        assert direct.read() == objects


@pytest.mark.fast_lane(reason="the slow lane takes the package for all")
def test_a_proxy_of_the_environment_never_leads_to_this_machine(api_server: ApiServer) -> None:
    access = reader(api_server)
    assert proxy_for(access, {"HTTPS_PROXY": "http://proxy:3128"}) is None
    assert isinstance(open_transport(access), LeanTransport)


def test_a_proxy_of_no_kind_says_so(api_server: ApiServer) -> None:
    access = reader(api_server)
    access = access._replace(cluster={**access.cluster, "proxy-url": "gopher://127.0.0.1:1"})
    with pytest.raises(ClusterError, match=r"gopher://127\.0\.0\.1:1"):
        Source(access=access).read()


@pytest.mark.parametrize("way", WAYS)
def test_acting_as_another_is_allowed_to_who_may(api_server: ApiServer, way: Way) -> None:
    admin = api_server.users.with_token("admin")
    acting = {"as": "someone", "as-groups": ["others", "kgctl-readers"]}
    access = reader(api_server, **admin, **acting)
    with Source(access=access, transport=way(access)) as source:
        source.names("nodes")
    access = reader(api_server, **admin, **{"as": "someone"})
    with (
        Source(access=access, transport=way(access)) as source,
        pytest.raises(ClusterError, match='User "someone" cannot list resource "nodes"'),
    ):
        source.names("nodes")


def test_both_transports_say_the_same_word_for_word(api_server: ApiServer) -> None:
    good = reader(api_server)
    for access in (
        reader(api_server, token="wrong"),
        load_access(str(api_server.token_user("nodes-only"))),
        good._replace(server=f"https://127.0.0.1:{free_ports(1)[0]}"),
        good._replace(server="https://cluster.invalid"),
        good._replace(server=api_server.url.replace("https", "http", 1)),
        good._replace(cluster={}),
        good._replace(cluster={"certificate-authority-data": "bm8gUEVN"}),
    ):
        said = set()
        for way in WAYS:
            with pytest.raises(ClusterError) as caught:
                Source(access=access, transport=way(access)).read()
            said.add((type(caught.value), str(caught.value)))
        assert len(said) == 1, said


@pytest.mark.parametrize("way", WAYS)
def test_a_proxy_that_makes_no_tunnel_is_named(api_server: ApiServer, way: Way) -> None:
    with TunnelProxy(status=407) as proxy:
        said = refused(reader(api_server), way, f"http://me:secret@{proxy.address}")
    assert f"through the proxy http://{proxy.address}: " in said
    assert "407" in said
    assert "secret" not in said


def test_a_proxy_that_speaks_for_the_server_is_refused(api_server: ApiServer) -> None:
    with TunnelProxy(early=b"HTTP/1.1 200 OK\r\n\r\n") as proxy:
        said = refused(reader(api_server), LeanTransport, f"http://{proxy.address}")
    assert "it sent data before the server did" in said


def refused(access: Access, way: Way, proxy: str) -> str:
    access = access._replace(cluster={**access.cluster, "proxy-url": proxy})
    with pytest.raises(UnreachableError) as caught:
        Source(access=access, transport=way(access)).read()
    return str(caught.value)


def sent(server: ApiServer, way: Way, **user: Any) -> list[str | None]:
    """The Authorization header of each request that such a user makes."""
    headers: list[str | None] = []

    def note(request: Request) -> None:
        headers.append(request.headers["Authorization"])
        saying(401)(request)

    with FaultyProxy(server.url, server.ca) as proxy:
        proxy.faults += [note] * 3
        access = load_access(str(server.write_kubeconfig("noted", user, url=proxy.url)))
        with Source(access=access, transport=way(access)) as source, pytest.raises(ClusterError):
            source.names("nodes")
    return headers


def test_a_password_is_sent(api_server: ApiServer) -> None:
    basic = base64.b64encode(b"me:secret").decode()
    assert sent(api_server, PackageTransport, username="me", password="secret") == [
        f"Basic {basic}"
    ]


def id_token(expires: float) -> str:
    parts = ({"alg": "none"}, {"exp": int(expires)})
    encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*encoded, "c2ln"])


def oidc(token: str) -> dict[str, Any]:
    config = {
        "id-token": token,
        "refresh-token": "refresh-secret",
        "client-id": "kubernetes",
        "client-secret": "client-secret",
        "idp-issuer-url": "http://127.0.0.1:1",
    }
    return {"auth-provider": {"name": "oidc", "config": config}}


@pytest.mark.parametrize("way", WAYS)
def test_a_token_of_oidc_is_sent(api_server: ApiServer, way: Way) -> None:
    token = id_token(time.time() + 3600)
    assert sent(api_server, way, **oidc(token)) == [f"Bearer {token}"]


@pytest.mark.parametrize(
    ("user", "says"),
    [
        (oidc(id_token(0)), "cannot log in with the user of context"),
        (oidc("no token"), "the auth-provider oidc of context"),
        ({"auth-provider": {"name": "azure", "config": {}}}, "the auth-provider azure of context"),
    ],
)
def test_a_provider_that_gives_no_token_says_so(
    api_server: ApiServer, user: dict[str, Any], says: str
) -> None:
    with pytest.raises(CredentialsError) as caught:
        Source(access=reader(api_server, **user)).read()
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
