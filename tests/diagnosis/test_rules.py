"""Rules: one cluster triggers each, and a similar cluster does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kgctl.diagnosis.check import ALL_RULES, RULES, index, page_of
from tests.diagnosis.options import CHECKED_WITH
from tests.support.recorded import CLUSTERS, kgctl, load

CASES = Path(__file__).parent / "cases"
RECORDED = Path(__file__).parent / "recorded-findings.txt"
DOCS = Path(__file__).parents[2] / "docs"
FROM_A_SERVER_ALONE = {"KG010", "KG502"}
"""Files do not tell what is not there: tests/api/test_live_check.py has these."""

CODES = [rule.code for rule in RULES if rule.code not in FROM_A_SERVER_ALONE]


def found(
    *arguments: str, offline: bool = False, options: tuple[str, ...] = ()
) -> list[dict[str, str]]:
    more = ["--offline"] if offline else []
    answer = kgctl(*arguments, "check", "-o", "json", *more, *options)
    assert answer.code in (0, 1), answer.stderr
    findings: list[dict[str, str]] = json.loads(answer.stdout)["findings"]
    return findings


def codes_in(case: str) -> set[str]:
    options = CHECKED_WITH.get(case[:5], ())
    return {one["code"] for one in found("-f", str(CASES / case), "--at", "1000", options=options)}


@pytest.mark.parametrize("code", CODES)
def test_a_cluster_trips_the_rule(code: str) -> None:
    assert code in codes_in(f"{code}-trips.yaml")


@pytest.mark.parametrize("code", CODES)
def test_a_near_miss_does_not(code: str) -> None:
    assert code not in codes_in(f"{code}-near-miss.yaml")


def test_every_case_belongs_to_a_rule() -> None:
    kinds = ("trips", "near-miss")
    assert {path.name for path in CASES.iterdir()} == {
        f"{code}-{kind}.yaml" for code in CODES for kind in kinds
    }


def test_codes_and_names_are_unique_and_in_order() -> None:
    codes = [rule.code for rule in ALL_RULES]
    assert codes == sorted(set(codes))
    assert len({rule.name for rule in ALL_RULES}) == len(codes)


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.code)
def test_every_rule_has_a_page(rule: object) -> None:
    (one,) = (candidate for candidate in ALL_RULES if candidate is rule)
    page = page_of(one)
    assert page.startswith(f"# {one.code}: {one.name}\n\n{one.summary} Severity: {one.severity}.")
    assert all(f"\n## {title}\n" in page for title in ("What it means", "What to do"))


def test_there_is_no_page_without_a_rule() -> None:
    import kgctl.diagnosis

    pages = Path(kgctl.diagnosis.__file__).parent / "pages"
    assert {path.stem for path in pages.iterdir()} == {rule.code for rule in ALL_RULES}


def test_the_index_of_pages_is_up_to_date() -> None:
    assert (DOCS / "rules.md").read_text(encoding="utf-8").endswith("\n\n" + index())


def recorded_findings(directory: Path) -> str:
    """Return what the recorded clusters give, each as of its newest heartbeat."""
    lines = []
    for path in CLUSTERS:
        manifest = directory / path.name
        manifest.write_text(json.dumps(load(path)[0]))
        lines.append(f"{path.stem}\n")
        for one in found("-f", str(manifest), "--at", "newest", offline=True):
            name = f"{one['kind']}/{one['name']}" if one["name"] else one["kind"]
            lines.append(f"  {one['code']} {one['severity']} {name}: {one['sentence']}\n")
    return "".join(lines)


def test_the_recorded_clusters_give_these_findings(tmp_path: Path) -> None:
    """The file was read line by line against Kilo's rules; so is each change of it to be."""
    assert recorded_findings(tmp_path) == RECORDED.read_text(encoding="utf-8")
