"""Sound clusters, as Kilo's agents write them, have no findings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.diagnosis.cluster import findings, of
from tests.diagnosis.cluster import node as agents_node
from tests.diagnosis.test_rules import found
from tests.support.recorded import kgctl

SOUND = sorted((Path(__file__).parent / "sound").glob("*.json"))
AGENT_WRITES = {
    *("cni-compatibility-ip", "discovered-endpoints", "endpoint", "granularity"),
    *("internal-ip", "key", "last-seen", "wireguard-ip"),
}


def nodes(path: Path) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["items"]
    return [item for item in items if item["kind"] == "Node"]


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.stem)
def test_a_sound_cluster_has_no_findings(path: Path) -> None:
    answer = kgctl("-f", str(path), "--at", "newest", "check", "--fail-on", "info")
    assert (answer.code, answer.stdout, answer.stderr) == (0, "no findings\n", "")


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.stem)
def test_every_node_has_all_that_an_agent_writes(path: Path) -> None:
    for node in nodes(path):
        written = {name.removeprefix("kilo.squat.ai/") for name in node["metadata"]["annotations"]}
        assert written >= AGENT_WRITES


def test_every_role_and_every_way_to_say_nothing_is_there() -> None:
    texts = [node["metadata"]["annotations"] for path in SOUND for node in nodes(path)]
    for name in ("wireguard-ip", "internal-ip", "cni-compatibility-ip", "discovered-endpoints"):
        values = {annotations[f"kilo.squat.ai/{name}"] for annotations in texts}
        assert "" in values
        assert values - {"", "{}"}
    granularities = {annotations["kilo.squat.ai/granularity"] for annotations in texts}
    assert granularities == {"location", "full", "cross"}


EMPTY = {
    "force-endpoint": {"KG101"},
    "persistent-keepalive": {"KG101"},
    "allowed-location-ips": {"KG101"},
    "force-internal-ip": set[str](),  # it says: none
    "wireguard-ip": set[str](),
    "internal-ip": set[str](),
    "discovered-endpoints": set[str](),
    "cni-compatibility-ip": set[str](),
    "granularity": {"KG104"},
    "endpoint": {"KG001", "KG101"},
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_text_is_wrong_only_where_people_write_it(name: str, tmp_path: Path) -> None:
    (node,) = nodes(next(path for path in SOUND if path.stem.startswith("one-node")))
    node["metadata"]["annotations"][f"kilo.squat.ai/{name}"] = ""
    changed = tmp_path / "node.json"
    changed.write_text(json.dumps(node))
    arguments = ["-f", str(changed), "--at", "newest", "--mesh-granularity", "location"]
    assert {one["code"] for one in found(*arguments)} - {"KG501"} == EMPTY[name]


def test_nodes_of_one_location_need_not_meet_where_none_has_a_tunnel_to_another() -> None:
    """With the granularity cross; behind one NAT they have their LAN."""

    def of_cross(*locations: str) -> list[str]:
        nodes = [
            agents_node(f"n{number}", number, location=location, granularity="cross",
                 endpoint=f"10.{number}.0.1:51820", persistent_keepalive="25")
            for number, location in enumerate(locations, 1)
        ]  # fmt: skip
        return [one.name for one in of("KG302", findings(nodes))]

    assert of_cross("home", "home", "home") == []
    assert of_cross("home", "home", "lab") == ["node:n3"]
    assert of_cross("home", "lab", "home") == ["node:n2", "node:n3"]
