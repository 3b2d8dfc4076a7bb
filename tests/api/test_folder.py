"""Peers of a network in a folder, applied to a real API server."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.foreign import WIREGUARD_UI
from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.apiserver.server import ApiServer

PEERS = "/apis/kilo.squat.ai/v1alpha1/peers"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An imported network, with a machine that has settings of kgctl's."""
    (tmp_path / "wg0.conf").write_text(WIREGUARD_UI)
    with contextlib.chdir(tmp_path):
        for command in (
            ("import", "wg0.conf", "--into", "net", "--endpoint", "192.0.2.1"),
            ("peer", "add", "desk", "--platform", "networkd", "--relay", "--ssh", "me@desk:22",
             "--endpoint", "desk.example.com:51820", "-f", "net"),
        ):  # fmt: skip
            done = kgctl(*command)
            assert done.code == 0, done.stderr
        yield tmp_path / "net"


def test_its_manifests_are_what_a_cluster_takes(api_server: ApiServer, folder: Path) -> None:
    manifests: list[dict[str, Any]] = [
        yaml.safe_load(path.read_text())
        for path in sorted(folder.glob("*.yaml"))
        if path.name != "network.yaml"
    ]
    assert [one["metadata"]["name"] for one in manifests] == ["ana", "bea", "desk", "server"]
    api_server.clear()
    with contextlib.ExitStack() as stack:
        stack.callback(api_server.clear)
        for one in manifests:
            api_server.request("POST", f"{PEERS}?fieldValidation=Strict", one)
        for one in manifests:
            done = kgctl(
                "get", "peer", one["metadata"]["name"], "-o", "json",
                "--kubeconfig", str(api_server.kubeconfig),
            )  # fmt: skip
            assert done.code == 0, done.stderr
            found = json.loads(done.stdout)
            assert found["allowedIPs"] == one["spec"]["allowedIPs"]
            assert found["publicKey"] == one["spec"]["publicKey"]
            stored = api_server.request("GET", f"{PEERS}/{one['metadata']['name']}")
            assert stored["spec"] == one["spec"]
            annotations = one["metadata"].get("annotations", {})
            assert stored["metadata"].get("annotations", {}).items() >= annotations.items()
        valid = kgctl("peer", "validate", "--kubeconfig", str(api_server.kubeconfig))
        assert valid.code == 0, valid.stderr
