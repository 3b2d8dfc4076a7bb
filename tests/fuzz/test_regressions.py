"""Inputs that once failed, and the seeds of the fuzzers: none may fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.__main__ import FIXED_RUNS, SHARES, _report, _without_atheris
from tests.fuzz.language import bytes_of, cluster_of
from tests.fuzz.targets import TARGETS, seeds
from tests.support.recorded import CLUSTERS, load

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


def test_what_the_fuzzer_found_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    output = (
        "...\nTraceback: IndexError\n"
        + "#600\tNEW    cov: 1907 ft: 6786\n" * 99
        + "Test unit written to .fuzz/objects-crash-1\nstat::number_of_executed_units: 1234\n"
    )
    assert not _report("objects", 77, output)
    told = capsys.readouterr().out
    assert "Test unit written to .fuzz/objects-crash-1" in told
    assert "Traceback: IndexError" in told
    assert "failed after 1,234 inputs" in told
    assert _report("objects", 0, output)
    assert capsys.readouterr().out == "fuzz: objects: 1,234 inputs tried, none failed\n"
    assert not _report("objects", 0, "it never began")


def test_without_the_fuzzer_it_says_so_and_ci_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for ci, code in (("true", 1), ("", 0)):
        monkeypatch.setenv("CI", ci)
        assert _without_atheris() == code
        assert "there is no atheris here" in capsys.readouterr().out


def test_every_target_has_its_share_of_the_time() -> None:
    assert SHARES.keys() == TARGETS.keys() == FIXED_RUNS.keys()
    assert round(sum(SHARES.values()), 6) == 1
