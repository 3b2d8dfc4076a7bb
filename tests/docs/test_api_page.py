"""The examples of docs/api.md run unchanged."""

from __future__ import annotations

import contextlib
import doctest
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.docs.console import ROOT, blocks
from tests.support.several import east, west, write

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "api.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_what_is_typed_into_python_is_answered_as_shown(tmp_path: Path) -> None:
    session = "\n".join(block.text for block in blocks(TEXT, "pycon"))
    examples = doctest.DocTestParser().get_doctest(session, {}, PAGE.name, str(PAGE), 0)
    assert len(examples.examples) > 5
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    said: list[str] = []
    write(tmp_path / "west.yaml", west())
    write(tmp_path / "east.yaml", east())
    with contextlib.chdir(tmp_path):
        runner.run(examples, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def test_the_whole_program_runs() -> None:
    (program,), (shown,) = blocks(TEXT, "python"), blocks(TEXT, "text")
    done = subprocess.run(
        [sys.executable, "-c", program.text], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (shown.text, "", 0)


def test_the_whole_program_says_what_is_wrong() -> None:
    (program,) = blocks(TEXT, "python")
    done = subprocess.run(
        [sys.executable, "-c", program.text, "missing.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "cannot read missing.yaml: No such file or directory\n"
