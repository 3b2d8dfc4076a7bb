"""Failures of ``path`` name the rule by which ``check`` reports the cause."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kgctl.diagnosis.check import BY_CODE
from kgctl.diagnosis.paths import RULES
from tests.support.recorded import kgctl

CASES = Path(__file__).parent / "cases"


def test_the_rules_that_path_names_are_there() -> None:
    assert set(RULES.values()) <= set(BY_CODE)


@pytest.mark.parametrize(
    ("code", "start", "target"),
    [
        ("KG302", "a", "b"),
        ("KG303", "b", "a"),
        ("KG411", "a", "laptop"),
        ("KG412", "gamma", "delta"),
        ("KG412", "delta", "gamma"),
    ],
)
def test_the_rule_that_path_names_finds_it(code: str, start: str, target: str) -> None:
    source = ("-f", str(CASES / f"{code}-trips.yaml"), "--at", "newest")
    path = kgctl("path", start, target, "-o", "json", *source)
    assert path.code == 1
    assert json.loads(path.stdout)["there"]["failure"]["rule"] == code
    found = json.loads(kgctl("check", "-o", "json", *source).stdout)
    assert code in {one["code"] for one in found["findings"]}
    near = ("-f", str(CASES / f"{code}-near-miss.yaml"), "--at", "newest")
    assert kgctl("path", start, target, *near).code == 0


@pytest.mark.parametrize("code", ["KG301", "KG303"])
@pytest.mark.parametrize("ends", [("a", "laptop"), ("laptop", "a")])
def test_of_a_node_and_a_peer_behind_nat_the_node_is_at_fault(
    tmp_path: Path, code: str, ends: tuple[str, str]
) -> None:
    laptop = (CASES / "KG412-trips.yaml").read_text().rpartition("---\n")[2]
    both = tmp_path / "cluster.yaml"
    both.write_text((CASES / f"{code}-trips.yaml").read_text() + "---\n" + laptop)
    source = ("-f", str(both), "--at", "newest")
    names = [one.replace("laptop", "delta") for one in ends]
    found = json.loads(kgctl("path", *names, "-o", "json", *source).stdout)
    assert found["there"]["failure"]["rule"] == code
    assert code in {
        one["code"] for one in json.loads(kgctl("check", "-o", "json", *source).stdout)["findings"]
    }


def test_two_segments_of_two_clusters_behind_nat_are_a_link_without_endpoints() -> None:
    pair = Path(__file__).parent / "pairs" / "KG605-trips"
    clusters = [
        part for one in ("west", "east") for part in ("--cluster", str(pair / f"{one}.yaml"))
    ]
    path = kgctl(*clusters, "--at", "newest", "path", "w1", "e1", "-o", "json")
    assert json.loads(path.stdout)["there"]["failure"]["rule"] == "KG605"
