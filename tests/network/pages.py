"""Commands of a documentation page, to run on the machines that the page names.

They are in blocks of the language ``shellsession``; those in ``console`` blocks (tests/docs) need
neither a cluster nor another machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.docs.console import ROOT, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMPT = re.compile(r"(?P<machine>[a-z0-9-]+#|\$) (?P<command>.+)")
ANYTHING = "…"


@dataclass(frozen=True)
class Step:
    """One command of a page."""

    machine: str
    """Where it is run: ``laptop`` for the prompt ``laptop#``; "" for ``$``, where kgctl is."""
    command: str
    output: str
    """What the page shows of it, with ``…`` for what differs; "" = the page does not say."""

    def shows(self, output: str) -> bool:
        """Tell whether the page's output is that; blanks at the ends of lines do not count.

        Lines that the page does not show may stand before, between and after.
        """
        lines = iter(output.splitlines())
        return all(any(map(_pattern(line).fullmatch, lines)) for line in self.output.splitlines())


def steps(page: str) -> Iterator[Step]:
    """Yield the commands of a page under docs/, in their order."""
    sessions = list(blocks((ROOT / "docs" / page).read_text(), "shellsession"))
    assert sessions, f"{page}: no command"
    for block in sessions:
        prompt, shown = None, list[str]()
        for line in block.text.splitlines():
            if (found := PROMPT.fullmatch(line)) is None:
                shown.append(line)
                continue
            if prompt is not None:
                yield _step(prompt, shown)
            prompt, shown = found, []
        assert prompt is not None, f"{page}: line {block.line}: no prompt"
        yield _step(prompt, shown)


def _step(prompt: re.Match[str], shown: list[str]) -> Step:
    return Step(prompt["machine"].rstrip("#$"), prompt["command"], "\n".join(shown))


def _pattern(line: str) -> re.Pattern[str]:
    words = (re.escape(part.strip()) for part in line.split(ANYTHING))
    return re.compile(r"\s*" + ".*".join(words) + r"\s*")
