"""The commands in README and on the pages about commands print the output below them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.console import ROOT, Block, blocks, renewed, run_block, steps

if TYPE_CHECKING:
    from pathlib import Path

PAGES = (
    "README.md",
    "docs/agent.md",
    "docs/cluster.md",
    "docs/completion.md",
    "docs/diff.md",
    "docs/drift.md",
    "docs/folder.md",
    "docs/get.md",
    "docs/graph.md",
    "docs/import.md",
    "docs/keys.md",
    "docs/node.md",
    "docs/path.md",
    "docs/peer.md",
    "docs/relays.md",
    "docs/showconf.md",
    "docs/wg-quick.md",
)
COMMAND = re.compile(r"(?<![\w./-])kgctl(?: -[-\w]+)* (?P<name>[a-z]+)")


@pytest.mark.needs("bash", "jq")
@pytest.mark.parametrize("name", PAGES)
def test_commands_print_what_the_page_says(name: str, tmp_path: Path) -> None:
    page = (ROOT / name).read_text(encoding="utf-8")
    found = list(blocks(page, "console"))
    assert found
    for block in found:
        for step, printed in zip(steps(block), run_block(block, tmp_path), strict=True):
            assert printed == step.output, f"{name}, line {block.line}: {step.command}"


def test_every_command_is_shown_in_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = {
        match["name"]
        for block in blocks(readme, "console", "sh")
        for match in COMMAND.finditer(block.text)
    }
    assert {"get", "graph", "showconf"} <= shown


def test_a_block_is_taken_apart() -> None:
    block = Block("console", "$ cat <<END\n> one\n> END\none\n$ true\n$ echo a\na\n> b\n", 1)
    assert [(step.command, step.output) for step in steps(block)] == [
        ("cat <<END\none\nEND", "one\n"),
        ("true", ""),
        ("echo a", "a\n> b\n"),
    ]
    with pytest.raises(ValueError, match="line 7: a console block begins without a prompt"):
        steps(Block("console", "no prompt\n", 7))


@pytest.mark.needs("bash")
def test_a_page_is_renewed_with_what_commands_print(tmp_path: Path) -> None:
    page = "# A page\n\n```console\n$ echo one >&2; false\nold\n$ echo $?\n$ pwd -P\n```\n\nText.\n"
    assert renewed(page, tmp_path) == (
        "# A page\n\n```console\n$ echo one >&2; false\none\n$ echo $?\n1\n"
        f"$ pwd -P\n{tmp_path.resolve()}\n```\n\nText.\n"
    )
