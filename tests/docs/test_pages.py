"""Consistency of the pages: valid links, a current picture, real errors."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

import kgctl
from kgctl.cli.core.hints import HINTS
from kgctl.cli.roles import remedy
from kgctl.errors import ForbiddenError
from tests.docs.console import ROOT, blocks
from tests.support.dotgraph import parsed_graph

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"!?\[[^]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
SVG = "{http://www.w3.org/2000/svg}"


def anchors(page: str) -> set[str]:
    """Return the anchors that a page's headings make, as GitHub names them."""
    prose = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose))
    return {word.replace(" ", "-") for word in words}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for match in LINK.finditer(path.read_text(encoding="utf-8")):
        target, _, anchor = match["target"].partition("#")
        if target.startswith(("http://", "https://")):
            continue
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), match[0]
        assert not anchor or anchor in anchors(there.read_text(encoding="utf-8")), match[0]


def test_the_picture_is_that_of_the_example() -> None:
    picture = ElementTree.parse(ROOT / "docs" / "images" / "example.svg").getroot()
    drawn = {
        (group.get("class"), re.sub(r"\s*->\s*", "->", group.findtext(f"{SVG}title") or ""))
        for group in picture.iter(f"{SVG}g")
    }
    graph = parsed_graph(kgctl.to_dot(kgctl.load_example().topology()))
    edges = {f"{start}->{end}" for start, end, _ in graph.edges}
    assert {title for kind, title in drawn if kind == "edge"} == edges
    labels = {line for _, attributes in graph.nodes.values() for line in attributes["label"]}
    assert labels <= {text.text for text in picture.iter(f"{SVG}text")}


@cache
def messages() -> list[tuple[re.Pattern[str], int]]:
    """Return a pattern for each text that the program fills in, and how many letters are fixed."""
    found = []
    for path in sorted((ROOT / "kgctl").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    str(part.value) if isinstance(part, ast.Constant) else None
                    for part in node.values
                ]
                pattern = "".join(".+" if part is None else re.escape(part) for part in parts)
                found.append((re.compile(pattern), sum(len(part or "") for part in parts)))
    return found


def test_the_errors_of_a_server_are_ones_that_are_printed() -> None:
    """Each is a text of the program's, filled in, and a hint: as a whole, and in its long part."""
    (shown,) = blocks((ROOT / "docs" / "cluster.md").read_text(encoding="utf-8"), "text")
    lines = shown.text.splitlines()
    assert len(lines) > 8
    for line in map(without_hint, lines):
        assert any(one.fullmatch(line) for one, fixed in messages() if fixed > 15), line
        assert any(one.search(line) for one, fixed in messages() if fixed > 30), line


def without_hint(line: str) -> str:
    """Return the message of an error without what the command line adds to it."""
    role = f": {remedy(ForbiddenError('', verb='list', resource='peers'))}"
    hint = next(filter(line.endswith, [*HINTS.values(), role]), "")
    return line.removesuffix(hint)


def test_reasons_are_ones_that_are_given() -> None:
    page = (ROOT / "docs" / "get.md").read_text(encoding="utf-8")
    rows = page.partition("| reason |")[2].partition("\n\n")[0].splitlines()[2:]
    shown = {reason for row in rows for reason in re.findall(r"`([^`]+)`", row.split("|")[1])}
    unreadable = {"endpoint": "…", "key": "…"}
    nodes = [
        kgctl.Node(name="new"),
        kgctl.Node(name="odd", last_seen=1, unreadable=unreadable),
    ]
    given = {reason for node in nodes for reason in kgctl.why_not_ready(node, 3 * 3600 + 1)}
    assert len(shown) > 5
    assert shown <= given
