"""Logins to a real API server, with every kind of user in a kubeconfig."""

from __future__ import annotations

import json
import os
import stat
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from kgctl.errors import TlsError
from kgctl.kube.access.kubeconfig import load_access
from kgctl.kube.fast.lean import LeanTransport
from kgctl.state.api_server import ApiServer as Source
from tests.support.certificates import self_signed
from tests.support.faults import FaultyProxy
from tests.support.ways import WAYS, Way, source

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apiserver.server import ApiServer

PEER = {
    "apiVersion": "kilo.squat.ai/v1alpha1",
    "kind": "Peer",
    "metadata": {"name": "p"},
    "spec": {"allowedIPs": ["10.5.0.9/32"], "publicKey": "nonsense"},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_client_certificate_is_shown(api_server: ApiServer, way: Way) -> None:
    rules = [
        {"apiGroups": ["", "kilo.squat.ai"], "resources": ["nodes", "peers"], "verbs": ["list"]}
    ]
    kubeconfig = api_server.user("by-certificate", rules)
    api_server.clear()
    api_server.apply([PEER])
    assert [p["metadata"]["name"] for p in source(way, kubeconfig).read().peers] == ["p"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_an_exec_plugin_logs_in(
    api_server: ApiServer, tmp_path: Path, way: Way, version: str
) -> None:
    kubeconfig = exec_user(api_server, tmp_path, f"client.authentication.k8s.io/{version}")
    assert source(way, kubeconfig).names("peers") == source(
        way, api_server.token_user("reader")
    ).names("peers")


@pytest.mark.parametrize("way", WAYS)
def test_a_token_that_ran_out_is_replaced_by_the_plugin(
    api_server: ApiServer, tmp_path: Path, way: Way
) -> None:
    kubeconfig = exec_user(api_server, tmp_path)
    (tmp_path / "wrong-once").write_text("")
    source(way, kubeconfig).names("nodes")
    assert (tmp_path / "calls").read_text() == "xx"


def exec_user(
    server: ApiServer, folder: Path, version: str = "client.authentication.k8s.io/v1"
) -> Path:
    """The kubeconfig of a user whose plugin knows reader's token; beside it, what it did."""
    token = server.users.with_token("reader")["token"]
    plugin = folder / "login"
    plugin.write_text(
        f"""#!{sys.executable}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write("x")
wrong = here / "wrong-once"
token = "wrong" if wrong.exists() else {token!r}
wrong.unlink(missing_ok=True)
print(json.dumps({{"apiVersion": sys.argv[1], "kind": "ExecCredential",
                  "status": {{"token": token}}}}))
"""
    )
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    user = {
        "exec": {
            "apiVersion": version,
            "command": str(plugin),
            "args": [version],
            "env": None,
            "interactiveMode": "Never",
        }
    }
    return server.write_kubeconfig("exec", user)


@pytest.mark.parametrize("way", WAYS)
def test_a_token_file_that_is_rotated_is_read_again(
    api_server: ApiServer, tmp_path: Path, way: Way
) -> None:
    (tmp_path / "token").write_text("old")
    kubeconfig = api_server.write_kubeconfig("rotated", {"tokenFile": str(tmp_path / "token")})
    reader = source(way, kubeconfig)
    reader.api()
    (tmp_path / "token").write_text(api_server.users.with_token("reader")["token"] + "\n")
    reader.names("nodes")


def test_several_files_lead_to_one_cluster(api_server: ApiServer, tmp_path: Path) -> None:
    whole = yaml.safe_load(api_server.token_user("reader").read_text())
    parts = {"clusters": "c", "users": "u", "contexts": "x"}
    for kind, name in parts.items():
        (tmp_path / name).write_text(yaml.safe_dump({kind: whole[kind]}))
    (tmp_path / "now").write_text(json.dumps({"current-context": "reader"}))
    listed = [tmp_path / "missing", *(tmp_path / n for n in ("now", "x", "u", "c"))]
    access = load_access(environment={"KUBECONFIG": os.pathsep.join(map(str, listed))})
    assert Source(access=access).names("nodes") == source(
        LeanTransport, api_server.kubeconfig
    ).names("nodes")


@pytest.mark.parametrize("way", WAYS)
def test_a_name_for_tls_stands_in_for_the_host(
    api_server: ApiServer, tmp_path: Path, way: Way
) -> None:
    certificate = self_signed(tmp_path / "c.pem", "kubernetes.example.com")
    with FaultyProxy(api_server.url, api_server.ca, certificate) as proxy:
        user = api_server.users.with_token("reader")
        path = api_server.write_kubeconfig("named", user, url=proxy.url, ca=certificate)
        access = load_access(str(path))
        with pytest.raises(TlsError, match="is for another name"):
            Source(access=access, transport=way(access)).names("nodes")
        named = {**access.cluster, "tls-server-name": "kubernetes.example.com"}
        access = access._replace(cluster=named)
        assert isinstance(Source(access=access, transport=way(access)).names("nodes"), list)


@pytest.mark.parametrize("way", WAYS)
def test_verification_can_be_switched_off(api_server: ApiServer, way: Way) -> None:
    access = load_access(str(api_server.token_user("reader")))
    access = access._replace(cluster={"insecure-skip-tls-verify": True})
    assert isinstance(Source(access=access, transport=way(access)).names("nodes"), list)
