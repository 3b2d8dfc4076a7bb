r"""Console blocks of a page: run the commands, and compare their output.

A block is fenced by three backticks and the word ``console``. A line that begins with ``$ `` is
a command, lines that begin with ``> `` continue it; the lines below are its output to stdout and
stderr. The commands of a page run in bash, in one directory; those of a block in one shell.

After an intended change of output, this writes the new one into the pages; review it before you
commit it::

    python -m tests.docs.console README.md docs/*.md
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(?P<language>[a-z]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_END = "\0"
_PROMPT, _MORE = "$ ", "> "


class Block(NamedTuple):
    """A fenced block: its language, its text, and the line of the page that it begins on."""

    language: str
    text: str
    line: int


class Step(NamedTuple):
    """A command as it is typed, and the output that the page shows below it."""

    typed: str
    output: str

    @property
    def command(self) -> str:
        """The command without its prompts."""
        return "\n".join(line[len(_PROMPT) :] for line in self.typed.splitlines())


def blocks(page: str, *languages: str) -> Iterator[Block]:
    """Yield the blocks of a page that are in one of the languages; of all where none is given."""
    for found in _BLOCK.finditer(page):
        if not languages or found["language"] in languages:
            yield Block(found["language"], found["text"], page[: found.start()].count("\n") + 1)


def steps(block: Block) -> list[Step]:
    """Return the commands of a console block."""
    found: list[Step] = []
    for line in block.text.splitlines(keepends=True):
        if line.startswith(_PROMPT):
            found.append(Step(line, ""))
        elif not found:
            raise ValueError(f"line {block.line}: a console block begins without a prompt")
        elif line.startswith(_MORE) and not found[-1].output:
            found[-1] = Step(found[-1].typed + line, "")
        else:
            found[-1] = Step(found[-1].typed, found[-1].output + line)
    return found


def run_block(block: Block, directory: Path) -> list[str]:
    """Run the commands of a console block, and return what each printed."""
    script = "".join(
        f"{{ {step.command}\n}} 2>&1; _code=$?; printf '\\0'; (exit $_code)\n"
        for step in steps(block)
    )
    return bash(script, directory).stdout.split(_END)[:-1]


def bash(script: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a script as it would run on a machine without a cluster, with kgctl on its PATH."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env={"PATH": programs, "HOME": str(directory), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def renewed(page: str, directory: Path) -> str:
    """Return the page with the output of each command as it is now."""
    for block in blocks(page, "console"):
        printed = run_block(block, directory)
        text = "".join(
            step.typed + output for step, output in zip(steps(block), printed, strict=True)
        )
        page = page.replace(f"```console\n{block.text}```", f"```console\n{text}```")
    return page


def main(names: Sequence[str]) -> None:
    """Renew the pages of those names."""
    for path in map(Path, names):
        with tempfile.TemporaryDirectory() as directory:
            path.write_text(renewed(path.read_text(encoding="utf-8"), Path(directory)), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
