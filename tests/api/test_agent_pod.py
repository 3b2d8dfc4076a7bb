"""``kgctl agent`` in a Pod of its manifests: by its service account, on a real API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

import kgctl.state.example
from kgctl.cli.commands.agent_manifests import installation
from kgctl.mesh.agent_plan import Compatibility
from kgctl.render.agent_manifests import Distribution, agent_objects
from tests.apiserver.client import RESOURCES, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apiserver.server import ApiServer

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
PLACES = {**RESOURCES, "ServiceAccount": "/api/v1/namespaces/kube-system/serviceaccounts"}
CREATED = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")
EXAMPLE = Path(kgctl.state.example.__file__).with_name("cluster.json")


@pytest.fixture
def token(api_server: ApiServer) -> Iterator[str]:
    """A token of the agent's service account, with the role of the manifests."""
    given = installation(Distribution.GENERIC, "x", Compatibility.NONE, userspace=False)
    objects = [one for one in agent_objects(given) if one["kind"] in CREATED]
    for one in objects:
        with suppress(RefusedError):
            api_server.request("POST", PLACES[one["kind"]], one)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"{PLACES['ServiceAccount']}/kilo/token"
    api_server.clear()
    api_server.apply([json.loads(EXAMPLE.read_text())])
    yield api_server.request("POST", path, request)["status"]["token"]
    for one in objects:
        api_server.request("DELETE", f"{PLACES[one['kind']]}/{one['metadata']['name']}")
    api_server.clear()


@pytest.mark.needs("root", "unshare")
def test_without_flags_it_uses_the_service_account_of_its_pod(
    api_server: ApiServer, token: str, tmp_path: Path
) -> None:
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text(token)
    (account / "ca.crt").write_bytes(api_server.ca.read_bytes())
    home = tmp_path / ".kube"
    home.mkdir()
    (home / "config").write_text("no kubeconfig")  # a Pod's home may have anything
    mount = (
        f"mount -t tmpfs tmpfs /var/run && mkdir -p {ACCOUNT} && "
        f'mount --bind "$0" {ACCOUNT} && exec "$@"'
    )
    server = urlsplit(api_server.url)
    environment = {
        **{name: value for name, value in os.environ.items() if name != "KUBECONFIG"},
        "HOME": str(tmp_path),
        "KUBERNETES_SERVICE_HOST": server.hostname or "",
        "KUBERNETES_SERVICE_PORT": str(server.port),
    }
    command = [
        sys.executable, "-m", "kgctl", "agent", "--hostname=aws-1", "--at=newest", "--dry-run",
        "--output=json",
    ]  # fmt: skip
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, str(account), *command],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["leader"]
    assert found["wireguard-address"] == "10.4.0.1/16"
