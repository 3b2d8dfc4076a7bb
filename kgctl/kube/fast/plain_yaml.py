"""Reader without PyYAML for the simple YAML that programs write to kubeconfigs.

Importing PyYAML takes 13 ms, a tenth of the time to read a small cluster. This module reads the
output of kubectl, kind, k3s and the clouds: block mappings and sequences of plain or simply quoted
words, one per line. It gives up on anything else, and PyYAML reads the file.
"""

from __future__ import annotations

from typing import Any

from kgctl.kube.codec.yaml_scalars import is_text

_MAX_DEPTH = 20
# no regular expressions: compiling four takes longer than reading a file; is_text uses some for
# words that begin with a digit, which are rare
_DIGITS = "0123456789"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY = frozenset(_LETTERS + _DIGITS + "_./-")
_WORD = _KEY | frozenset(":@=+")
_CONSTANTS: dict[str, object] = {"true": True, "false": False, "null": None}
_EMPTY: dict[str, type[dict[str, Any]] | type[list[Any]]] = {"{}": dict, "[]": list}


class NotPlainError(Exception):
    """The text is not simple YAML; PyYAML must read it."""


def read_plain(text: str) -> object:
    """Return the same value as ``kgctl.kube.codec.yaml_loader.BoundedLoader``.

    Raises:
        NotPlainError: the text is not simple YAML.
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
    """Reads lines, each an indentation and the text after it."""

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
            entry = _entry(self._lines[self._at][1])
            if entry is None or not is_text(entry[0]):
                raise NotPlainError
            self._at += 1
            found[entry[0]] = self._value(entry[1], indent, depth)
        return found

    def _sequence(self, indent: int, depth: int) -> list[object]:
        found: list[object] = []
        while self._goes_on(indent) and self._lines[self._at][1].startswith("- "):
            content = self._lines[self._at][1][2:].lstrip(" ")
            if _entry(content):
                inner = indent + len(self._lines[self._at][1]) - len(content)
                self._lines[self._at] = (inner, content)
                found.append(self.block(inner, depth + 1))
            else:
                self._at += 1
                found.append(_scalar(content))
        return found

    def _value(self, text: str, indent: int, depth: int) -> object:
        if text:
            return _scalar(text)
        if not self.rest():
            return None
        inner, content = self._lines[self._at]
        if inner > indent or (inner == indent and content.startswith("- ")):
            return self.block(inner, depth + 1)
        return None

    def _goes_on(self, indent: int) -> bool:
        """Return whether the next line belongs to the block at ``indent``."""
        if not self.rest():
            return False
        next_indent = self._lines[self._at][0]
        if next_indent > indent:
            raise NotPlainError  # the last value continues on a second line
        return next_indent == indent


def _entry(content: str) -> tuple[str, str] | None:
    """Return key and value of a mapping's entry; the value is empty if it is on the next lines."""
    key, colon, value = content.partition(":")
    if not colon or (value and value[0] != " "):
        return None
    if not key or key[0] not in _LETTERS or not _KEY.issuperset(key):
        return None
    return key, value.strip(" ")


def _scalar(text: str) -> object:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text in _EMPTY:
        return _EMPTY[text]()
    if text[0] in "\"'":
        return _quoted(text)
    if not _is_word(text) and not _is_hexadecimal(text):
        raise NotPlainError
    return text


def _quoted(text: str) -> str:
    inner = text[1:-1]
    if len(text) < 2 or text[-1] != text[0] or text[0] in inner or "\\" in inner:
        raise NotPlainError
    return inner


def _is_word(text: str) -> bool:
    """Return whether the text can only be a string: a name, a URL, base64, an option."""
    word = text.removeprefix("-").removeprefix("-")
    if not word or word[0] not in _LETTERS + "/" or not _WORD.issuperset(word):
        return False
    return not text.endswith(":") and is_text(text)


def _is_hexadecimal(text: str) -> bool:
    """Return whether the text begins with a digit, as tokens may, and is not a number."""
    return text[0] in _DIGITS and text.isalnum() and is_text(text)
