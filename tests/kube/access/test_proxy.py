"""Proxies apply to the same servers as with kubectl."""

from __future__ import annotations

import pytest

from kgctl.kube.access.kubeconfig import Access
from kgctl.kube.access.proxy import http_proxy, proxy_for
from kgctl.kube.http.transport import beyond_lean

PROXY = "http://proxy:3128"
BY_PACKAGE = "a proxy that is not reached by plain HTTP, or a server that is"


def access(server: str, **cluster: str) -> Access:
    return Access(server, cluster, {}, "", "", ())


@pytest.mark.parametrize(
    ("server", "environment", "expected"),
    [
        ("https://api.example.com:6443", {}, None),
        ("https://api.example.com:6443", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://api.example.com:6443", {"https_proxy": PROXY}, PROXY),
        ("https://api.example.com:6443", {"https_proxy": "proxy:3128"}, PROXY),
        ("https://api.example.com:6443", {"HTTP_PROXY": PROXY}, None),
        ("http://api.example.com:8080", {"HTTP_PROXY": PROXY}, PROXY),
        ("https://localhost:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://127.0.0.2:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://[::1]:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://api.example.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, None),
        ("https://api.example.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": "example.com"}, None),
        ("https://api.example.com", {"HTTPS_PROXY": PROXY, "no_proxy": "x, .EXAMPLE.com"}, None),
        ("https://example.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": ".example.com"}, PROXY),
        ("https://notexample.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": "example.com"}, PROXY),
        ("https://10.1.2.3", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, None),
        ("https://11.1.2.3", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, PROXY),
        ("https://[fd00::1]", {"HTTPS_PROXY": PROXY, "NO_PROXY": "fd00::/8"}, None),
        ("https://a.b", {"HTTPS_PROXY": PROXY, "NO_PROXY": "a.b:443"}, None),
        ("https://a.b", {"HTTPS_PROXY": PROXY, "NO_PROXY": "a.b:6443"}, PROXY),
        ("https://a.b", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8,,"}, PROXY),
    ],
)
def test_the_environment_applies(
    server: str, environment: dict[str, str], expected: str | None
) -> None:
    assert proxy_for(access(server), environment) == expected


def test_the_kubeconfig_goes_before_the_environment() -> None:
    configured = access("https://127.0.0.1", **{"proxy-url": "socks5://p:1080"})
    assert proxy_for(configured, {"HTTPS_PROXY": PROXY}) == "socks5://p:1080"


@pytest.mark.fast_lane(reason="in the slow lane everything is left to the package")
@pytest.mark.parametrize(
    ("cluster", "user", "beyond"),
    [
        ({"certificate-authority-data": "x", "tls-server-name": "n"}, {"token": "t"}, None),
        ({}, {"exec": {"command": "aws"}, "username": "", "as-groups": []}, None),
        ({"proxy-url": "http://u:p@p:3128"}, {}, None),
        ({"proxy-url": "https://p"}, {}, BY_PACKAGE),
        ({"proxy-url": "socks5://p"}, {}, BY_PACKAGE),
        ({"proxy-url": "http://p:70000"}, {}, BY_PACKAGE),
        ({"proxy-url": "http://p/path"}, {}, BY_PACKAGE),
        ({"proxy-url": "http://u:p/@p"}, {}, BY_PACKAGE),
        ({"next-year": True}, {}, "cluster setting next-year"),
        ({}, {"auth-provider": {"name": "oidc"}}, None),
        ({}, {"username": "u", "password": "p"}, "user setting username"),
        ({}, {"as": "someone", "as-groups": ["g"]}, None),
    ],
)
def test_what_is_not_plain_is_left_to_the_package(
    cluster: dict[str, str], user: dict[str, object], beyond: str | None
) -> None:
    assert beyond_lean(Access("https://127.0.0.1", cluster, user, "", "", ())) == beyond


@pytest.mark.fast_lane(reason="in the slow lane everything is left to the package")
def test_a_login_in_the_url_is_left_to_the_package() -> None:
    assert beyond_lean(access("https://u:p@127.0.0.1")) == "a user name in the server's URL"


@pytest.mark.fast_lane(reason="in the slow lane everything is left to the package")
def test_a_server_on_plain_http_behind_a_proxy_is_left_to_the_package() -> None:
    assert beyond_lean(access("http://a.b", **{"proxy-url": "http://p"})) == BY_PACKAGE


def test_a_proxy_keeps_its_login_to_itself() -> None:
    proxy = http_proxy("http://me:p%40ss@[fd00::1]:3128/")
    assert proxy is not None
    assert (proxy.host, proxy.port, proxy.login) == ("fd00::1", 3128, "Basic bWU6cEBzcw==")
    assert repr(proxy) == "HttpProxy(http://[fd00::1]:3128/)"
