"""What once failed, and what the fuzzers begin with: neither may fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.language import bytes_of, cluster_of
from tests.fuzz.targets import TARGETS, seeds
from tests.recorded import CLUSTERS, load

REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*/*"))


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_that_failed_does_no_more(path: Path, tmp_path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes(), tmp_path)


@pytest.mark.parametrize("target", TARGETS)
def test_the_fuzzers_begin_with_what_means_something(target: str, tmp_path: Path) -> None:
    found = seeds(target)
    assert len(found) >= 9
    for seed in found:
        TARGETS[target](seed, tmp_path)


def test_a_cluster_can_be_said_in_the_language() -> None:
    cluster = load(CLUSTERS[5])[0]["items"]
    items = cluster[:4] + cluster[-3:]
    found = cluster_of(bytes_of(items))
    nodes = [item for item in items if item["kind"] == "Node"]
    peers = [item for item in items if item["kind"] == "Peer"]
    assert [node.name for node in found.nodes] == [item["metadata"]["name"] for item in nodes]
    pod_cidrs = [item["spec"].get("podCIDR", "") for item in nodes]
    assert [node.pod_cidr for node in found.nodes] == pod_cidrs
    for node, item in zip(found.nodes, nodes, strict=True):
        assert node.annotations.items() >= item["metadata"].get("annotations", {}).items()
    for peer, item in zip(found.peers, peers, strict=True):
        assert peer["spec"].items() >= item["spec"].items()
