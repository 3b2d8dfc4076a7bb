"""The little YAML that programs write kubeconfigs in, read without PyYAML.

Importing PyYAML takes 13 ms, a tenth of what reading a small cluster takes in all. This reads
what kubectl, kind, k3s and the clouds write: block mappings and sequences of plain or simply
quoted words on lines of their own. On anything else it gives up, and PyYAML reads it.
"""

from __future__ import annotations

import re
from typing import Any

_MAX_DEPTH = 20
_ENTRY = re.compile(r"([A-Za-z][A-Za-z0-9_./-]*):(?: +(\S.*))?")
_QUOTED = re.compile(r'"([^"\\]*)"|' r"'([^']*)'")
_WORD = re.compile(r"-{0,2}[A-Za-z/][A-Za-z0-9_./:@=+-]*")
_DIGITS_FIRST = re.compile(r"(?!0[xXbBoO])[0-9]+[A-Za-z][A-Za-z0-9]*")  # no number, no date
_CONSTANTS: dict[str, object] = {"true": True, "false": False, "null": None}
_EMPTY: dict[str, type[dict[str, Any]] | type[list[Any]]] = {"{}": dict, "[]": list}
_NO_STRINGS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


class NotPlainError(Exception):
    """The text may well be YAML, but of a kind that is left to PyYAML."""


def read_plain(text: str) -> object:
    """Return what PyYAML's safe loader would.

    Raises:
        NotPlainError: the text is not of the plain kind.
    """
    if not text.isascii() or not text.replace("\n", "").isprintable():
        raise NotPlainError
    lines = []
    for line in text.removeprefix("---\n").split("\n"):
        content = line.strip(" ")
        if content and not content.startswith("#"):
            lines.append((len(line) - len(line.lstrip(" ")), content))
    if not lines or lines[0][0]:
        raise NotPlainError
    reader = _Reader(lines)
    found = reader.block(0, 0)
    if reader.rest():
        raise NotPlainError
    return found


class _Reader:
    """Reads line by line: each is an indentation and what stands behind it."""

    def __init__(self, lines: list[tuple[int, str]]) -> None:
        self._lines = lines
        self._at = 0

    def rest(self) -> bool:
        return self._at < len(self._lines)

    def block(self, indent: int, depth: int) -> object:
        """Read the mapping or sequence whose lines begin at ``indent``."""
        if depth > _MAX_DEPTH:
            raise NotPlainError
        if self._lines[self._at][1].startswith("- "):
            return self._sequence(indent, depth)
        found: dict[str, object] = {}
        while self._goes_on(indent) and not self._lines[self._at][1].startswith("- "):
            entry = _ENTRY.fullmatch(self._lines[self._at][1])
            if entry is None or entry[1].lower() in _NO_STRINGS:
                raise NotPlainError
            self._at += 1
            found[entry[1]] = self._value(entry[2], indent, depth)
        return found

    def _sequence(self, indent: int, depth: int) -> list[object]:
        found: list[object] = []
        while self._goes_on(indent) and self._lines[self._at][1].startswith("- "):
            content = self._lines[self._at][1][2:].lstrip(" ")
            if _ENTRY.fullmatch(content):
                inner = indent + len(self._lines[self._at][1]) - len(content)
                self._lines[self._at] = (inner, content)
                found.append(self.block(inner, depth + 1))
            else:
                self._at += 1
                found.append(_scalar(content))
        return found

    def _value(self, text: str | None, indent: int, depth: int) -> object:
        if text is not None:
            return _scalar(text)
        if not self.rest():
            return None
        inner, content = self._lines[self._at]
        if inner > indent or (inner == indent and content.startswith("- ")):
            return self.block(inner, depth + 1)
        return None

    def _goes_on(self, indent: int) -> bool:
        """Tell whether the next line belongs to the block at ``indent``."""
        if not self.rest():
            return False
        next_indent = self._lines[self._at][0]
        if next_indent > indent:
            raise NotPlainError  # the last value goes on, on a second line
        return next_indent == indent


def _scalar(text: str) -> object:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text in _EMPTY:
        return _EMPTY[text]()
    quoted = _QUOTED.fullmatch(text)
    if quoted:
        return quoted[2] if quoted[1] is None else quoted[1]
    if _DIGITS_FIRST.fullmatch(text):
        return text
    if not _WORD.fullmatch(text) or text.endswith(":") or text.lower() in _NO_STRINGS:
        raise NotPlainError
    return text
