"""Texts as identifiers and labels of DOT, such that nothing in them acts.

Nearly all are plain, and are put into quotes as they are; the rest is left to the ``graphviz``
package, which is imported only then: that takes 15 ms.
"""

from __future__ import annotations

from functools import lru_cache

from kgctl.mesh.text import printable

_TEXT_LIMIT = 1000  # characters of a name, or of one line of a label
_NAMES_KEPT = 1 << 14


@lru_cache(_NAMES_KEPT)
def identifier(name: str) -> str:
    """Return a name as an identifier of DOT, in quotes, between which nothing of it acts."""
    return f'"{name}"' if _is_harmless(name) else _quoted(text(name))


def _is_harmless(line: str) -> bool:
    """Tell whether nothing in a text is more than itself between the quotes of DOT."""
    active = '"' in line or "\\" in line or "&" in line
    return not active and len(line) <= _TEXT_LIMIT and line.isprintable()


def label(*lines: str) -> str:
    """Return lines as a label of DOT."""
    if _is_harmless("".join(lines)):
        return '"' + "\\n".join(lines) + '"'
    return _quoted(text(*map(without_entities, lines)))


def _quoted(joined: str) -> str:
    """Quote what is not plain as the ``graphviz`` package does."""
    from graphviz.quoting import quote

    return str(quote(joined))


def without_entities(line: str) -> str:
    """Return the text of a label such that Graphviz draws ``&lt;`` or ``&#10;`` as it stands."""
    return printable(line, _TEXT_LIMIT).replace("&", "&amp;")


def text(*lines: str) -> str:
    """Return lines as one text in which neither a backslash nor an HTML-like ``<`` acts."""
    import graphviz

    joined: str = graphviz.nohtml("\\n".join(map(_line, lines)))
    return joined  # of a type that quote() knows: str(joined) would not be


def _line(line: str) -> str:
    return printable(line, _TEXT_LIMIT).replace("\\", "\\\\")
