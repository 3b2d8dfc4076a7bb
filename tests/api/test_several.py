"""Two real API servers as two contexts of one kubeconfig, read concurrently."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.several import east, key, west, with_links

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.apiserver.server import ApiServer

NEVER_STALE = "4102444800"


def one_kubeconfig(path: Path, servers: dict[str, ApiServer]) -> Path:
    """Write a kubeconfig with a context for each server, named as it."""
    found: dict[str, list[object]] = {"clusters": [], "users": [], "contexts": []}
    for name, server in servers.items():
        config = yaml.safe_load(server.kubeconfig.read_text())
        found["clusters"].append({"name": name, "cluster": config["clusters"][0]["cluster"]})
        found["users"].append({"name": name, "user": config["users"][0]["user"]})
        found["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **found}))
    return path


@pytest.fixture
def config(tmp_path: Path, api_server: ApiServer, other_api_server: ApiServer) -> Iterator[Path]:
    servers = {"west": api_server, "east": other_api_server}
    for name, objects in with_links({"west": west(), "east": east()}).items():
        servers[name].clear()
        for one in objects:
            if one["kind"] == "Node":
                one["metadata"]["annotations"]["kilo.squat.ai/last-seen"] = NEVER_STALE
        servers[name].apply(objects)
        nodes = sum(one["kind"] == "Node" for one in objects)
        while len(servers[name].request("GET", "/api/v1/nodes?resourceVersion=0")["items"]) < nodes:
            time.sleep(0.05)
    yield one_kubeconfig(tmp_path / "config", servers)
    for server in servers.values():
        server.clear()


def kgctl(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kgctl", "--kubeconfig", str(config), *arguments],
        capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


BOTH = ("--context", "west", "--context", "east")


def test_every_command_looks_at_both(config: Path) -> None:
    names = kgctl(config, *BOTH, "get", "nodes", "-o", "name")
    assert names.stdout.split() == [
        "west/node/w1", "west/node/w2", "west/node/w3", "east/node/e1", "east/node/e2",
    ], names.stderr  # fmt: skip
    graph = json.loads(kgctl(config, *BOTH, "graph", "-o", "json").stdout)
    assert [link["state"] for link in graph["links"]] == ["linked", "linked"]
    assert kgctl(config, *BOTH, "path", "w2", "e2").returncode == 0
    file = kgctl(config, *BOTH, "showconf", "peer", "laptop", "-o", "wg-quick").stdout
    assert all(file.count(key(owner)) == 1 for owner in ("1 w1", "1 w3", "2 e1"))
    check = kgctl(config, *BOTH, "check", "--select", "KG6", "-o", "json")
    assert (check.returncode, json.loads(check.stdout)["findings"]) == (0, [])


def test_before_and_after_the_command_are_one_list(config: Path) -> None:
    split = kgctl(config, "--context", "west", "get", "nodes", "--context", "east")
    assert split.stdout == kgctl(config, *BOTH, "get", "nodes").stdout
    twice = kgctl(config, "--context", "west", "get", "nodes", "--context", "west", "-o", "name")
    assert twice.stdout.split() == ["node/w1", "node/w2", "node/w3"]


def test_a_link_that_goes_is_found(config: Path, other_api_server: ApiServer) -> None:
    peers = "/apis/kilo.squat.ai/v1alpha1/peers"
    other_api_server.request("DELETE", f"{peers}/link-west.us")
    check = kgctl(config, *BOTH, "check", "--select", "KG6", "-o", "json")
    assert check.returncode == 1
    assert [one["code"] for one in json.loads(check.stdout)["findings"]] == ["KG601"]
    assert kgctl(config, *BOTH, "path", "w3", "e2").returncode == 1


def test_a_context_that_is_not_there_is_named(config: Path) -> None:
    for command in (["get", "nodes"], ["graph"], ["check"], ["path", "w1", "e1"]):
        run = kgctl(config, *BOTH, "--context", "north", *command)
        assert (run.stdout, run.stderr.split(":")[0]) == ("", "north")


def test_a_server_that_refuses_is_named(config: Path) -> None:
    content = yaml.safe_load(config.read_text())
    content["users"][1]["user"] = {"token": "wrong"}
    config.write_text(yaml.safe_dump(content))
    run = kgctl(config, *BOTH, "get", "nodes")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("east: ")
