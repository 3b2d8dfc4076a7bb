"""Passwords in URLs (of a server, a proxy, an identity provider): never in any output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.recorded import kgctl
from tests.support.several import key

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s3cr3t-w0rd"
LOGIN = f"admin:{SECRET}"

SERVERS = [
    f"https://{LOGIN}@127.0.0.1:1",
    f"https://{LOGIN}@[::1:6443",
    f"https://{LOGIN}@127.0.0.1:port",
    f"https://{LOGIN}@127.0.0.1:99999",
    f"https://{LOGIN}@",
    f"https://{LOGIN}@host name:6443",
    f"https://{LOGIN}@host\u00e9.invalid",
    f"https://user:{SECRET}@x@127.0.0.1:1",
    f"{LOGIN}@127.0.0.1:1",
    f"ftp://{LOGIN}@127.0.0.1:1",
    f"HTTPS://{LOGIN}@127.0.0.1:1",
    f"https://{LOGIN}@127.0.0.1:1/path?token={SECRET}",
    f"https://admin:pa/{SECRET}@127.0.0.1:1",
    f"https://admin:/{SECRET}@127.0.0.1:1",
    f"https://admin:{SECRET}#x@127.0.0.1:1",
    f"https://admin:{SECRET}?x@127.0.0.1:1",
    f"https://admin:1\\{SECRET}@127.0.0.1:1",
    f"https://ad/min:{SECRET}@127.0.0.1:1",
]
PROXIES = [
    f"http://{LOGIN}@127.0.0.1:1",
    f"https://{LOGIN}@127.0.0.1:1",
    f"socks5://{LOGIN}@127.0.0.1:1",
    f"socks4://{LOGIN}@127.0.0.1:1",
    f"http://{LOGIN}@[::1",
    f"http://{LOGIN}@127.0.0.1:port",
    f"http://{LOGIN}@127.0.0.1:99999",
    f"http://{LOGIN}@host name:1",
    f"http://user:{SECRET}@x@127.0.0.1:1",
    f"{LOGIN}@127.0.0.1:1",
    f"//{LOGIN}@127.0.0.1:1",
    f"http://admin:pa/{SECRET}@127.0.0.1:1",
    f"http://admin:{SECRET}#x@127.0.0.1:1",
    f"http://admin:{SECRET}?x@127.0.0.1:1",
    f"socks5://admin:{SECRET}/x@127.0.0.1:1",
]


def _config(directory: Path, cluster: dict[str, Any], user: dict[str, Any] | None = None) -> str:
    path = directory / "config"
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": cluster}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": user or {}}],
    }))  # fmt: skip
    return str(path)


COMMANDS = (
    ("get", "peers"),
    ("graph",),
    ("peer", "add", "x", "--allowed-ips", "10.5.0.1/32", "--public-key", key("x")),
)


def _assert_silent(config: str) -> None:
    for more in ((), ("--debug",)):
        for command in COMMANDS:
            done = kgctl("--kubeconfig", config, "--request-timeout", "2s", *more, *command)
            assert done.code != 0
            assert SECRET not in done.stdout + done.stderr, done.stderr
            assert done.stderr.strip(), "it has to say what is wrong"


@pytest.mark.parametrize("url", SERVERS)
def test_of_a_server(url: str, tmp_path: Path) -> None:
    _assert_silent(_config(tmp_path, {"server": url}))


@pytest.mark.parametrize("url", PROXIES)
def test_of_a_proxy_in_the_kubeconfig(url: str, tmp_path: Path) -> None:
    _assert_silent(_config(tmp_path, {"server": "https://cluster.invalid:6443", "proxy-url": url}))


@pytest.mark.parametrize("url", PROXIES)
def test_of_a_proxy_in_the_environment(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, url)
    _assert_silent(_config(tmp_path, {"server": "https://cluster.invalid:6443"}))


@pytest.mark.parametrize("url", [f"https://{LOGIN}@127.0.0.1:1", f"https://{LOGIN}@[::1"])
def test_of_an_identity_provider(url: str, tmp_path: Path) -> None:
    provider = {"name": "oidc", "config": {
        "idp-issuer-url": url, "client-id": "kgctl", "refresh-token": SECRET,
        "id-token": "e30.eyJleHAiOjF9.e30"}}  # fmt: skip
    _assert_silent(
        _config(tmp_path, {"server": "https://127.0.0.1:1"}, {"auth-provider": provider})
    )
