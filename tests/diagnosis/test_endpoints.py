"""Reachability of endpoints: check, path, pictures, link and metrics agree."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.recorded import kgctl

HERE = Path(__file__).parent / "endpoints"
NEVER = ("loopback", "unspecified")
CASES = sorted(path.stem.removeprefix("endpoint-") for path in HERE.glob("*.yaml"))


def of(kind: str) -> tuple[str, ...]:
    return ("-f", str(HERE / f"endpoint-{kind}.yaml"), "--at", "newest")


@pytest.mark.parametrize("kind", CASES)
def test_check_names_it(kind: str) -> None:
    answer = kgctl(*of(kind), "check", "-o", "json", "--offline")
    findings = json.loads(answer.stdout)["findings"]
    assert {one["code"] for one in findings} == ({"KG309"} if kind in NEVER else {"KG303"})
    assert answer.code == (1 if kind in NEVER else 0)


@pytest.mark.parametrize("kind", CASES)
def test_a_packet_does_not_get_there(kind: str) -> None:
    answer = kgctl(*of(kind), "path", "a-1", "b-1")
    assert answer.code == 1
    assert "a-1 cannot call b-1" in answer.stdout
    assert "at any time" not in answer.stdout


@pytest.mark.parametrize("kind", CASES)
def test_the_picture_has_it_behind_a_nat(kind: str) -> None:
    graph = json.loads(kgctl(*of(kind), "graph", "-o", "json").stdout)
    hidden = [one for one in graph["nodes"] if one["behindNAT"]]
    assert [one["name"] for one in hidden] == ["b-1"]


@pytest.mark.parametrize("kind", CASES)
def test_two_clusters_that_nobody_can_dial_are_not_linked(kind: str, tmp_path: Path) -> None:
    sides = []
    for side, number in (("one", "7"), ("two", "8")):
        documents = (HERE / f"endpoint-{kind}.yaml").read_text().split("---\n")
        (text,) = (one for one in documents if "name: b-1" in one)
        for old, new in {
            "10.42.1.": f"10.{number}.1.",
            "10.8.0.3": f"10.8.0.{number}",
            "10.4.0.2": f"10.10{number}.0.1",
            "squat.ai/key: ": f"squat.ai/key: {number}",
        }.items():
            text = text.replace(old, new)
        path = tmp_path / f"{side}.yaml"
        path.write_text(re.sub(r"(key: .{43}).=", r"\1=", text))
        sides.append(f"{side}={path}")
    answer = kgctl("link", *sides, "--at", "newest", "--dry-run")
    assert answer.code == 1
    assert "no public endpoint" in answer.stderr + answer.stdout


def test_node_set_and_peer_set_warn_of_it() -> None:
    answer = kgctl(
        *of("cgnat"), "node", "set", "b-1", "--force-endpoint", "127.0.0.1:51820",
        "--dry-run=client",
    )  # fmt: skip
    assert "warning: the endpoint 127.0.0.1:51820, a loopback address: no other" in answer.stderr
