"""docs/link-watch.yaml on a real API server, and kgctl with its service account."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.api.test_link import Pair, wait_for
from tests.api.test_link_mirror import LINKED, SERVICES_ROLE, Shops
from tests.apiserver.client import RESOURCES, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apiserver.server import ApiServer

MANIFESTS = Path(__file__).parents[2] / "docs" / "link-watch.yaml"
LINK_ROLE = MANIFESTS.with_name("rbac-link.yaml")
PLACES = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/kgctl/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/kgctl/configmaps",
    "Deployment": "/apis/apps/v1/namespaces/kgctl/deployments",
    **RESOURCES,
}
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def manifests() -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in yaml.safe_load_all(MANIFESTS.read_text())}


@pytest.fixture
def installed(api_server: ApiServer, other_api_server: ApiServer) -> Iterator[Shops]:
    """The manifests on west, whose objects the API server takes as they are."""
    shops = Shops(api_server, other_api_server)
    for one in manifests().values():
        with contextlib.suppress(RefusedError):  # the namespace stays from run to run
            api_server.request("POST", PLACES[one["kind"]], one)
        name = one["metadata"]["name"]
        stored = api_server.request("GET", f"{PLACES[one['kind']]}/{name}")
        assert stored["metadata"]["name"] == name
    yield shops
    for kind in ("Deployment", "ConfigMap", "ClusterRoleBinding", "ClusterRole", "ServiceAccount"):
        one = manifests()[kind]
        api_server.request("DELETE", f"{PLACES[kind]}/{one['metadata']['name']}")
    api_server.clear()
    other_api_server.clear()


def test_the_role_is_what_the_pages_for_people_grant() -> None:
    pages = [yaml.safe_load(page.read_text())["rules"] for page in (LINK_ROLE, SERVICES_ROLE)]
    assert manifests()["ClusterRole"]["rules"] == [rule for rules in pages for rule in rules]


@pytest.mark.needs("root", "unshare")
def test_it_keeps_links_current_with_the_service_account_of_its_pod(
    installed: Shops, tmp_path: Path
) -> None:
    path = f"{PLACES['ServiceAccount']}/kgctl-link/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = installed.west.request("POST", path, request)["status"]["token"]
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text(token)
    (account / "ca.crt").write_bytes(installed.west.ca.read_bytes())
    with in_pod(installed, account, tmp_path) as process:
        wait_for(lambda: installed.mirrored() == LINKED)
        assert set(installed.specs()) == {
            "west/link-east.asia", "east/link-west.eu", "east/link-west.us", "east/laptop",
        }  # fmt: skip
        process.terminate()
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said.endswith("no longer watching; the links stay as they are\n")
    assert token not in said


@contextlib.contextmanager
def in_pod(pair: Pair, account: Path, place: Path) -> Iterator[subprocess.Popen[str]]:
    """Run what the Deployment runs, where a Pod has its service account and its files."""
    mesh = yaml.safe_load(manifests()["ConfigMap"]["data"]["mesh.yaml"])
    mesh["clusters"][1]["kubeconfig"] = str(pair.east_config)
    mesh["mirror"] = ["shop/web"]
    file = place / "mesh.yaml"
    file.write_text(yaml.safe_dump(mesh))
    container = manifests()["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    program, *arguments = container["command"]
    assert program == "kgctl"
    command = [str(file) if one.endswith("mesh.yaml") else one for one in arguments]
    mount = (
        f"mount -t tmpfs tmpfs /var/run && mkdir -p {ACCOUNT} && "
        f'mount --bind "$0" {ACCOUNT} && exec "$@"'
    )
    server = urlsplit(pair.west.url)
    environment = {
        **{name: value for name, value in os.environ.items() if name != "KUBECONFIG"},
        "KUBERNETES_SERVICE_HOST": server.hostname or "",
        "KUBERNETES_SERVICE_PORT": str(server.port),
    }
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", mount, str(account), sys.executable, "-m", "kgctl",
         *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
