"""An independent parser that accepts exactly the DOT that kgctl writes, line by line.

It represents Graphviz's parser: both read the same text as one name.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_QUOTED = r'"(?:[^"\\]|\\.)*"'  # as in Graphviz, a backslash escapes the next character
_ID = rf"(?:[A-Za-z_][A-Za-z0-9_]*|-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)|{_QUOTED})"
_EDGE = re.compile(rf"\t({_ID}) -> ({_ID}) \[dir=both(?: style=dashed)?\]")
_DRAWN = re.compile(rf"\t({_ID}) -> ({_ID}) \[label=({_ID})(?: [a-z]+=[a-z]+)+\]")
_NODE = re.compile(rf"\t\t({_ID}) \[label=({_ID})(?: rank=1)? shape=ellipse\]")
_SUBGRAPH = re.compile(rf"\tsubgraph ({_ID}) \{{")
_OTHERS = [
    re.compile(r"digraph kilo \{"),
    re.compile(r"\t?\}"),
    re.compile(r'\tlabel="[0-9a-f.:]+/[0-9]+" labelloc=t outputorder=nodesfirst overlap=false'),
    re.compile(rf'\t\tlabel={_ID} style="dashed,rounded"'),
]
_KEYWORDS = {"node", "edge", "graph", "digraph", "subgraph", "strict"}


class Shape(NamedTuple):
    """The names in a graph as written, and its number of edges."""

    nodes: list[str]
    clusters: list[str]
    edges: int


def shape_of(text: str) -> Shape:
    """Return the shape of a DOT text; raises AssertionError at an unexpected line."""
    shape = Shape([], [], 0)
    assert text.endswith("}\n")
    for line in text.removesuffix("\n").split("\n"):
        assert line.lstrip("\t").isprintable(), repr(line)
        if edge := _EDGE.fullmatch(line) or _DRAWN.fullmatch(line):
            _assert_names(*edge.groups())
            shape = shape._replace(edges=shape.edges + 1)
        elif node := _NODE.fullmatch(line):
            _assert_names(*node.groups())
            shape.nodes.append(node[1])
        elif cluster := _SUBGRAPH.fullmatch(line):
            shape.clusters.append(cluster[1])
        else:
            assert any(pattern.fullmatch(line) for pattern in _OTHERS), repr(line)
    return shape


def _assert_names(*names: str) -> None:
    assert not _KEYWORDS.intersection(name.lower() for name in names), names
