"""Problems that users of Kilo reported, as clusters: kgctl finds each cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.diagnosis.test_rules import found

REPORTS = sorted((Path(__file__).parent / "reports").glob("*.yaml"))


def test_there_are_reports() -> None:
    assert len(REPORTS) == 7


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_the_finding_tells_what_was_wrong(path: Path) -> None:
    second = path.read_text(encoding="utf-8").splitlines()[1]
    expected = set(second.removeprefix("# what tells it: ").split())
    assert expected
    assert expected <= {one["code"] for one in found("-f", str(path), "--at", "1000")}
