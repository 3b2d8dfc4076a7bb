"""kgctl check and explain: options, settings, exit codes, and formats for programs."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.recorded import kgctl

CASES = Path(__file__).parents[1] / "diagnosis" / "cases"
STALE = ["-f", str(CASES / "KG005-trips.yaml"), "--at", "1000", "check"]

HOSTILE = """\
apiVersion: v1
kind: Node
metadata:
  name: "a|b<script>, %:@team"
  annotations:
    kilo.squat.ai/key: "::error::x\\n::warning::y | <b> [l](http://x) ]]> \\u0001"
"""


def test_the_exit_code_tells_what_weighs_enough() -> None:
    assert kgctl(*STALE).code == 1
    assert kgctl(*STALE, "--ignore", "KG005").code == 0
    warning = ["-f", str(CASES / "KG402-trips.yaml"), "--at", "1000", "check"]
    assert kgctl(*warning).code == 0
    assert kgctl(*warning, "--fail-on", "warning").code == 1


def test_nothing_to_look_at_is_not_taken_for_nothing_wrong(tmp_path: Path) -> None:
    """A pipe that broke, or a glob that matched nothing, must not pass for a clean cluster."""
    empty = tmp_path / "empty.yaml"
    empty.touch()
    answer = kgctl("-f", str(empty), "check")
    assert (answer.code, answer.stdout) == (2, "")
    nothing = f"nothing to check: there is no Node and no Peer in {empty}\n"
    assert answer.stderr == nothing
    several = kgctl("check", "--cluster", f"a={empty}", "--cluster", f"b={empty}")
    assert (several.code, several.stdout, several.stderr) == (2, "", f"a: {nothing}")


def test_what_could_not_be_looked_at_has_a_code_of_its_own() -> None:
    assert kgctl("-f", "/nowhere", "check").code == 2
    answer = kgctl("--example", "check", "--select", "KG0011")
    assert (answer.code, answer.stdout) == (2, "")
    assert 'there is no rule "KG0011"; did you mean "KG001"?' in answer.stderr


def test_settings_of_a_file_count(tmp_path: Path) -> None:
    settings = tmp_path / "kgctl.toml"
    settings.write_text('[check]\nignore = ["KG005"]\n')
    assert kgctl(*STALE, "--config", str(settings)).code == 0
    settings.write_text('[check]\nservice-cidrs = ["10.42.2.0/24"]\nselect = ["KG2"]\n')
    assert "KG203" in kgctl(*STALE, "--config", str(settings)).stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[check]\nignor = ["KG005"]\n', 'unknown key "ignor" in [check]; did you mean "ignore"?'),
        ("[check]\nignore = 5\n", "check.ignore is not a list of texts"),
        ('[check]\nfail-on = "never"\n', "check.fail-on is not one of"),
        ("[chek]\n", 'unknown key "chek"; did you mean "check"?'),
        ("[", "is not TOML"),
    ],
)
def test_a_wrong_settings_file_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    settings = tmp_path / "kgctl.toml"
    settings.write_text(text)
    answer = kgctl(*STALE, "--config", str(settings))
    assert answer.code == 2
    assert message in answer.stderr


def test_an_object_can_be_passed_over_and_is_counted(tmp_path: Path) -> None:
    text = (CASES / "KG005-trips.yaml").read_text(encoding="utf-8")
    path = tmp_path / "c.yaml"
    annotation = "annotations:\n    kilo.squat.ai/kgctl-ignore: kg001, kg005"
    path.write_text(text.replace("annotations:", annotation, 1))
    answer = kgctl("-f", str(path), "--at", "1000", "check")
    assert answer.code == 0
    assert answer.stdout == "no findings; 1 ignored by annotation\n"
    answer = kgctl("-f", str(path), "--at", "1000", "check", "-o", "json")
    assert [one["code"] for one in json.loads(answer.stdout)["ignored"]] == ["KG005"]


@pytest.fixture
def hostile(tmp_path: Path) -> list[str]:
    path = tmp_path / "hostile.yaml"
    path.write_text(HOSTILE)
    return ["-f", str(path), "--at", "1000", "check", "-o"]


def test_sarif_refers_to_its_rules(hostile: list[str]) -> None:
    log = json.loads(kgctl(*hostile, "sarif").stdout)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert run["results"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]


def test_junit_is_xml_with_a_case_a_rule(hostile: list[str]) -> None:
    suite = ElementTree.fromstring(kgctl(*hostile, "junit").stdout)
    failures = suite.findall("testcase/failure")
    assert int(suite.get("failures", "")) == len(failures) > 0
    assert int(suite.get("tests", "")) == len(suite.findall("testcase")) > 40


def test_github_gets_one_command_a_finding(hostile: list[str]) -> None:
    findings = json.loads(kgctl(*hostile, "json").stdout)["findings"]
    lines = kgctl(*hostile, "github").stdout.splitlines()
    assert len(lines) == len(findings)
    assert all(line.startswith(("::error file=", "::warning file=")) for line in lines)
    for line in lines:
        title = line.split("title=", 1)[1].split("::", 1)[0]
        assert ":" not in title
        assert "," not in title
        assert "%25" in title or "node/" not in title


def test_markdown_shows_what_was_written_and_obeys_none_of_it(hostile: list[str]) -> None:
    text = kgctl(*hostile, "markdown").stdout
    rows = [line for line in text.splitlines() if line.startswith("| KG")]
    assert rows
    for row in rows:
        assert row.replace("\\|", "").count("|") == 6
        assert "@team" not in row
        assert "http://" not in row
        assert "<script>" not in row.replace("\\<", "")


def test_explain_prints_a_page_and_knows_names() -> None:
    page = kgctl("explain", "kg007")
    assert page.code == 0
    assert page.stdout.startswith("# KG007: node-without-kilo\n")
    assert kgctl("explain", "node-without-kilo").stdout == page.stdout
    assert kgctl("explain", "KG077").code == 1
    assert len(kgctl("explain").stdout.splitlines()) > 40
