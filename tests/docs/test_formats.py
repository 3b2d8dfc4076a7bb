"""Lists of formats on the pages: the same as in the program's tables."""

from __future__ import annotations

import re

from kgctl.render.findings.formats import FINDINGS_FORMATS
from kgctl.render.graph import mermaid, richdot
from kgctl.render.graph.formats import GRAPH_FORMATS
from kgctl.render.lists.formats import LIST_FORMATS
from kgctl.wireguard.formats import MACHINE_FORMATS, WHOLE_FILES
from tests.docs.console import ROOT

CODE = re.compile(r"`([^`]+)`")


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the table of a page that begins with a heading."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    _, _, after = text.partition(f"\n{heading}\n")
    lines = after.split("\n\n", 1)[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_graph() -> None:
    found = {}
    for names, endings, *_ in rows("graph.md", "| `-o` | ending of `-O FILE` | |"):
        for name in CODE.findall(names):
            found[name] = set(CODE.findall(endings))
    svg, png, pdf = (one for one in GRAPH_FORMATS if one.drawn)
    together = {*svg.endings, *png.endings, *pdf.endings}
    assert found == {one.name: together if one.drawn else {*one.endings} for one in GRAPH_FORMATS}


def test_showconf() -> None:
    found = [CODE.findall(row[0]) for row in rows("wg-quick.md", "| format | for |")]
    assert found == [[one.name] for one in WHOLE_FILES]
    text = (ROOT / "docs" / "several-clusters.md").read_text(encoding="utf-8")
    *names, last = (f"`{one.name}`" for one in MACHINE_FORMATS)
    assert f"All formats work: {', '.join(names)} and {last}." in text


def test_check() -> None:
    text = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
    names = "\\|".join(one.name for one in FINDINGS_FORMATS)
    assert f"| `-o {names}` |" in text


def test_get() -> None:
    found = [name for row in rows("get.md", "| `-o` | |") for name in CODE.findall(row[0])]
    assert found == [one.name for one in LIST_FORMATS if one.name]


def test_how_many_tunnels_are_drawn_one_by_one() -> None:
    text = (ROOT / "docs" / "several-clusters.md").read_text(encoding="utf-8")
    assert f"a line for each tunnel, up to {richdot.ROOM.bridges}; of more" in text
    assert f"the same, up to {mermaid.ROOM.bridges} |" in text
