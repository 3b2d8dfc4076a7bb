"""``kgctl serve`` on a real API server, with the role of docs/serve.yaml and no other rights."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.apiserver.fleet import fleet
from tests.cli.test_serve import numbers
from tests.support.served import fetch, served

if TYPE_CHECKING:
    from tests.apiserver.server import ApiServer

MANIFESTS = Path(__file__).parents[2] / "docs" / "serve.yaml"
PATIENCE = 60.0  # seconds


def rules() -> list[dict[str, list[str]]]:
    """Return the rules of the role, which is the only one of the manifests."""
    (role,) = (
        one for one in yaml.safe_load_all(MANIFESTS.read_text()) if one["kind"] == "ClusterRole"
    )
    found: list[dict[str, list[str]]] = role["rules"]
    return found


def test_a_change_is_served_by_watching(api_server: ApiServer) -> None:
    api_server.clear()
    api_server.apply(fleet(3))
    config = api_server.user("serve", rules())
    options = ("--kubeconfig", str(config), "--mesh-granularity", "location")
    with served(*options, "serve", "--interval", "3600") as url:
        assert numbers(fetch(f"{url}metrics")[1])["kilo_nodes_ready", ""] == 3
        version = json.loads(fetch(f"{url}data")[1])["version"]
        api_server.apply(fleet(5))
        start = time.monotonic()
        while numbers(fetch(f"{url}metrics")[1])["kilo_nodes_ready", ""] != 5:
            assert time.monotonic() - start < PATIENCE
            time.sleep(0.1)
        status, text = fetch(f"{url}data?since={version}")
        while status == 204 or '"beats"' in text:  # the page as it was, but for ages
            assert time.monotonic() - start < PATIENCE
            time.sleep(0.1)
            status, text = fetch(f"{url}data?since={version}")
        assert "node-00004" in text
