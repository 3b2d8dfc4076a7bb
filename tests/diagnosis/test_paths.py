"""Where ``path`` says that a packet stops, it names the rule with which ``check`` finds it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kgctl.diagnosis.check import BY_CODE
from kgctl.mesh.path.reason import RULES
from tests.recorded import kgctl

CASES = Path(__file__).parent / "cases"


def test_the_rules_that_path_names_are_there() -> None:
    assert set(RULES.values()) <= set(BY_CODE)


@pytest.mark.parametrize(
    ("code", "start", "target"),
    [("KG302", "a", "b"), ("KG303", "b", "a"), ("KG411", "a", "laptop")],
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
