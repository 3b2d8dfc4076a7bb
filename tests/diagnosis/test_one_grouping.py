"""Segments are computed only in ``kgctl/mesh/topology.py``; ``check`` uses that."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kgctl
from kgctl.diagnosis.facts import Facts, Settings, Subject
from kgctl.mesh.claims import Use
from kgctl.mesh.state import GRANULARITIES
from tests.support.recorded import CLUSTERS

RULE = "alone = granularity == FULL or node.internal_ip is None"
OTHER_RULE = "alone = True"


def node(number: int) -> dict[str, object]:
    """Return a ready node of the one location, and of a Kilo subnet for three segments."""
    annotations = {
        "endpoint": f"198.51.100.{number}:51820",
        "internal-ip": f"192.168.0.{number}/24",
        "key": f"{number:042d}8=",
        "last-seen": "1700000000",
        "wireguard-ip": "10.4.0.1/30",
        "granularity": "location",
        "location": "one",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": f"n{number}",
            "annotations": {f"kilo.squat.ai/{name}": text for name, text in annotations.items()},
        },
        "spec": {"podCIDR": f"10.42.{number}.0/24"},
    }


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Return a file with six nodes of one location."""
    path = tmp_path / "cluster.json"
    items = [node(number) for number in range(1, 7)]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the kgctl whose package stands in ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "kgctl", *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_another_grouping_changes_what_graph_and_check_say(tmp_path: Path, manifest: Path) -> None:
    source = ("-f", str(manifest), "--at", "newest")
    shutil.copytree(
        Path(kgctl.__file__).parent,
        tmp_path / "kgctl",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    assert run(tmp_path, "graph", *source).returncode == 0
    assert run(tmp_path, "check", *source, "--select", "KG204,KG205").returncode == 0
    topology = tmp_path / "kgctl" / "mesh" / "topology.py"
    text = topology.read_text()
    assert text.count(RULE) == 1
    topology.write_text(text.replace(RULE, OTHER_RULE))
    graph = run(tmp_path, "graph", *source)
    assert (graph.returncode, "6 segments need" in graph.stderr) == (1, True)
    check = run(tmp_path, "check", *source, "--select", "KG204,KG205")
    assert (check.returncode, "6 segments need" in check.stdout) == (1, True)


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("cluster", CLUSTERS[::3], ids=lambda path: path.stem)
def test_check_counts_and_places_as_the_network_does(
    tmp_path: Path, cluster: Path, granularity: str
) -> None:
    manifest = tmp_path / "cluster.json"
    manifest.write_text(json.dumps(json.loads(cluster.read_text())["cluster"]))
    state, now = kgctl.load_files(manifest, at="newest")
    facts = Facts(Subject(state=state), Settings(now=now, granularity=granularity))
    if facts.topology is None:
        return
    assert facts.wireguard_addresses[0] == len(facts.segments)
    segments = {node.name: one.name for one in facts.segments for node in one.nodes}
    for overlaps in facts.overlaps.values():
        for one in overlaps:
            for claim in (one.inner, one.outer):
                if claim.use is Use.INTERNAL_IP:
                    assert claim.place == segments[claim.name]
