"""The scripts of docs/scripting.md run unchanged, and do what the page describes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.console import ROOT, Block, bash, blocks

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs" / "scripting.md").read_text(encoding="utf-8")
BLOCKS = list(blocks(PAGE, "bash", "text"))
SCRIPTS = [
    (script, shown.text)
    for script, shown in zip(BLOCKS, [*BLOCKS[1:], BLOCKS[0]], strict=True)
    if script.language == "bash"
]


@pytest.mark.needs("bash", "dot", "jq")
@pytest.mark.parametrize(
    ("script", "shown"), [pytest.param(*both, id=f"line {both[0].line}") for both in SCRIPTS]
)
def test_a_script_does_what_the_page_says(script: Block, shown: str, tmp_path: Path) -> None:
    done = bash(script.text, tmp_path)
    code = f"exit code {done.returncode}\n" if done.returncode else ""
    # diff says there what it compared, which goes into the log of CI
    assert [line for line in done.stderr.splitlines() if not line.startswith("compared: ")] == []
    assert done.stdout + code == shown


def test_every_script_is_strict_and_followed_by_what_it_prints() -> None:
    assert len(SCRIPTS) > 5
    assert [block.language for block in BLOCKS] == ["bash", "text"] * len(SCRIPTS)
    assert all(script.text.startswith("set -euo pipefail\n") for script, _ in SCRIPTS)


@pytest.mark.needs("bash", "jq")
def test_a_strict_script_notices_that_the_cluster_cannot_be_read(tmp_path: Path) -> None:
    check = next(script.text for script, _ in SCRIPTS if "absent=" in script.text)
    done = bash(check.replace("--example", "--kubeconfig missing"), tmp_path)
    assert done.returncode == 1
    assert not done.stdout
    assert done.stderr == "there is no kubeconfig file missing\n"
