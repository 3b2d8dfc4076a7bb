"""The graph as Graphviz draws it: texts from nodes are drawn verbatim."""

from __future__ import annotations

import subprocess
from xml.etree import ElementTree

import graphviz
import pytest
from graphviz.quoting import quote
from hypothesis import given
from hypothesis import strategies as st

from kgctl.render.graph.dot import identifier, label, to_dot
from kgctl.state.objects import state_of
from tests.fuzz.language import cluster_of
from tests.support.harmless import network

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.needs("dot")
@pytest.mark.parametrize(
    ("location", "drawn"),
    [
        ("eu-west-1", "eu-west-1"),
        ("<b>bold</b>", "<b>bold</b>"),
        ("<<table><tr><td>x</td></tr></table>>", "<<table><tr><td>x</td></tr></table>>"),
        ("R&D", "R&D"),
        ("&lt;&#10;&amp;", "&lt;&#10;&amp;"),
        ("\\N\\G\\L\\E\\l\\r", "\\N\\G\\L\\E\\l\\r"),
        ('"]; x -> y [label="', '"]; x -> y [label="'),
        ("a\nb\r\t\x1b[2J", "a\\nb\\r\\t\\x1b[2J"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("ends in \\", "ends in \\"),
        ("北京 ☃", "北京 ☃"),
    ],
)
def test_a_location_is_drawn_as_it_is_written(location: str, drawn: str) -> None:
    cluster = cluster_of(b"Nx\xffl" + location.encode())
    topology = network(state_of(cluster))
    assert topology is not None
    run = subprocess.run(
        ["dot", "-Tsvg"], input=to_dot(topology).encode(), capture_output=True, check=True
    )
    assert run.stderr == b""
    picture = ElementTree.fromstring(run.stdout)
    texts = [(text.text or "").replace("\xa0", " ") for text in picture.iter(f"{SVG}text")]
    assert sorted(texts) == sorted(
        ["10.4.0.0/16", f"location:{drawn}", f"location:{drawn}", "x", "10.42.1.0/24", "10.1.0.1",
         "10.4.0.1", "198.51.100.1:51820"]
    )  # fmt: skip


def quoted(drawn: str) -> str:
    """Return what the graphviz package makes of a text that has been escaped already."""
    text = str(quote(graphviz.nohtml(drawn)))
    return text if text.startswith('"') else f'"{text}"'  # with quotes it means the same


harmless = st.text(alphabet='ab-0_.:/<> é☃"&', max_size=12)


@given(harmless)
def test_a_name_is_quoted_as_graphviz_quotes_it(name: str) -> None:
    assert identifier(name).strip('"') == quoted(name).strip('"')
    assert identifier(name).startswith('"') or identifier(name).isidentifier()


@given(st.lists(harmless, min_size=1, max_size=4))
def test_a_label_is_quoted_as_graphviz_quotes_it(lines: list[str]) -> None:
    drawn = "\\n".join(line.replace("&", "&amp;") for line in lines)
    assert label(*lines).strip('"') == quoted(drawn).strip('"')
