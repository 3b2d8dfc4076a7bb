"""SARIF logs satisfy the published schema and GitHub's code scanning."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kgctl.diagnosis.check import RULES
from tests.support.recorded import kgctl

CASES = Path(__file__).parents[1] / "diagnosis" / "cases"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "kgctl", "sarif")
VALIDATOR = CACHE / "node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool"
HOSTILE = """\
apiVersion: v1
kind: Node
metadata:
  name: "a|b<script>, %:@team/../é"
  annotations:
    kilo.squat.ai/key: "::error::x\\n::warning::y | <b> [l](http://x) ]]> \\u0001 {0} {1}"
"""


def complaints(log: Path) -> list[str]:
    """Return what the validator finds wrong with a log, by the rules of code scanning as well."""
    supported = sys.platform == "linux" and platform.machine() == "x86_64"
    if not supported or not (CACHE / "installed-lock.json").exists():
        reason = "needs the SARIF validator, for Linux on x86-64: run `make sarif`"
        if supported and os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    VALIDATOR.chmod(0o755)  # npm does that in a script, which is not run
    found = []
    for kind in ("Sarif", "Ghas"):
        levels = ["--level", "Error", "Warning"]
        run = subprocess.run(
            [VALIDATOR, "validate", log, "--rule-kind", kind, *levels],
            env={**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert "Analysis completed successfully" in run.stdout, run.stdout + run.stderr
        found += [
            line for line in run.stdout.splitlines() if ": error " in line or ": warn" in line
        ]
    return found


def log_of(tmp_path: Path, *arguments: str) -> tuple[Path, dict[str, Any]]:
    answer = kgctl(*arguments, "check", "-o", "sarif")
    assert answer.code in (0, 1), answer.stderr
    path = tmp_path / "log.sarif"
    path.write_text(answer.stdout)
    return path, json.loads(answer.stdout)["runs"][0]


def test_the_validator_refuses_what_is_wrong(tmp_path: Path) -> None:
    path, run = log_of(tmp_path, "--example")
    del run["results"][0]["locations"]
    path.write_text(json.dumps({"version": "2.1.0", "runs": [run]}))
    assert any("GH1001" in one or "location" in one for one in complaints(path))


def test_a_live_cluster_has_valid_results_with_stand_ins(tmp_path: Path) -> None:
    path, run = log_of(tmp_path, "--example")
    assert complaints(path) == []
    uris = {
        one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in run["results"]
    }
    assert "live-cluster/peer/tablet" in uris
    assert all(uri.startswith("live-cluster/") for uri in uris)


def test_files_have_valid_results_at_their_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CASES.parent)
    path, run = log_of(tmp_path, "-f", "cases", "--at", "1000")
    assert complaints(path) == []
    assert len(run["results"]) > 5
    assert len(run["tool"]["driver"]["rules"]) == len(RULES)
    for result in run["results"]:
        place = result["locations"][0]["physicalLocation"]
        text = (CASES.parent / place["artifactLocation"]["uri"]).read_text()
        name = result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"]
        kind, _, own = name.partition("/")
        if kind in ("node", "peer"):
            assert own in text.splitlines()[place["region"]["startLine"] - 1]


def test_a_hostile_cluster_has_valid_results(tmp_path: Path) -> None:
    file = tmp_path / "hostile #1 %41.yaml"
    file.write_text(HOSTILE)
    path, run = log_of(tmp_path, "-f", str(file), "--at", "1000")
    assert complaints(path) == []
    assert run["results"]


def test_a_finding_keeps_its_fingerprint_when_its_line_moves(tmp_path: Path) -> None:
    text = (CASES / "KG411-trips.yaml").read_text()
    (tmp_path / "p.yaml").write_text(text)
    _, before = log_of(tmp_path, "-f", str(tmp_path / "p.yaml"), "--at", "1000")
    (tmp_path / "p.yaml").write_text("# a comment\n\n" + text)
    _, after = log_of(tmp_path, "-f", str(tmp_path / "p.yaml"), "--at", "1000")

    def prints(run: dict[str, Any]) -> list[str]:
        return [one["partialFingerprints"]["primaryLocationLineHash"] for one in run["results"]]

    assert prints(before) == prints(after)
    assert before["results"] != after["results"]


def test_every_rule_is_described(tmp_path: Path) -> None:
    _, run = log_of(tmp_path, "--example")
    for rule in run["tool"]["driver"]["rules"]:
        assert rule["fullDescription"]["text"]
        assert rule["help"]["markdown"].startswith(f"# {rule['id']}: ")
        assert "#" not in rule["fullDescription"]["text"].splitlines()[0]
