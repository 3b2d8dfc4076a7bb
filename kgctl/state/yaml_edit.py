"""Changes of values in YAML text that leave every other character as it is.

So comments, order, quotes and indentation of a file that a person wrote survive, and a change is
as small in git as it is. The positions are those that PyYAML reports for each value.
"""

from __future__ import annotations

import json
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class _Cut(NamedTuple):
    """A part of the text, and what replaces it."""

    start: int
    end: int
    text: str


def edited(text: str, node: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return ``text`` with the mapping ``before``, which PyYAML's ``node`` is, become ``after``.

    Values that another place refers to (anchors, ``<<``) may change there too, or not at all: the
    caller reads the result.
    """
    editor = _Editor(text)
    editor.mapping(node, before, after)
    for cut in sorted(editor.cuts, reverse=True):
        text = text[: cut.start] + cut.text + text[cut.end :]
    return text


class _Editor:
    """Collects the cuts of one edit; they do not overlap."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._break = "\r\n" if "\r\n" in text else "\n"
        self.cuts: list[_Cut] = []

    def mapping(self, node: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Cut what turns one mapping into the other."""
        if node.flow_style or not after or not before:
            self._replace(node.start_mark.index, _end(node), _flow(after))
            return
        pairs = {str(key.value): (key, value) for key, value in node.value}
        for name in before:
            key, value = pairs[name]
            if name not in after:
                self._remove(key.start_mark.index, value)
            elif before[name] != after[name]:
                self._value(key, value, before[name], after[name])
        added = {name: value for name, value in after.items() if name not in before}
        if added:
            self._insert(self._line_end(node), _block(added), node.start_mark.column)

    def _value(self, key: Any, node: Any, before: Any, after: Any) -> None:
        """Cut what changes the value of a key."""
        if isinstance(before, dict) and isinstance(after, dict) and before and after:
            self.mapping(node, before, after)
        elif isinstance(before, list) and isinstance(after, list) and before and after:
            self._sequence(node, before, after)
        elif isinstance(before, (dict, list)) or isinstance(after, (dict, list)):
            start = self._text.index(":", key.end_mark.index) + 1
            if after and isinstance(after, (dict, list)):
                lines = self._indented(_block(after), key.start_mark.column + 2)
                self._replace(start, _end(node), self._break + lines.rstrip("\r\n"))
            else:
                self._replace(start, _end(node), f" {_flow(after)}")
        else:
            start, end = node.start_mark.index, _end(node)
            empty = start == end
            tail = self._break if not empty and self._text[end - 1] == "\n" else ""
            self._replace(start, end, f"{' ' if empty else ''}{_flow(after)}{tail}")

    def _sequence(self, node: Any, before: Sequence[Any], after: Sequence[Any]) -> None:
        if node.flow_style:
            self._replace(node.start_mark.index, _end(node), _flow(after))
            return
        matcher = SequenceMatcher(None, [*map(repr, before)], [*map(repr, after)], autojunk=False)
        column = node.start_mark.column
        for what, first, last, start, end in matcher.get_opcodes():
            if what in ("delete", "replace"):
                for item in node.value[first:last]:
                    self._remove(item.start_mark.index, item)
            if what in ("insert", "replace"):
                at = self._line_end(node)
                if first < len(node.value):
                    at = self._line_start(node.value[first].start_mark.index)
                self._insert(at, _block(list(after[start:end])), column)

    def _replace(self, start: int, end: int, text: str) -> None:
        self.cuts.append(_Cut(start, end, text))

    def _remove(self, start: int, node: Any) -> None:
        """Cut the lines from that of ``start`` to the last one of a node."""
        self._replace(self._line_start(start), self._line_end(node), "")

    def _insert(self, at: int, block: str, column: int) -> None:
        lines = self._indented(block, column)
        if at and self._text[at - 1] != "\n":
            lines = self._break + lines.rstrip("\r\n")
        self._replace(at, at, lines)

    def _indented(self, block: str, column: int) -> str:
        return "".join(f"{' ' * column}{line}{self._break}" for line in block.splitlines())

    def _line_start(self, at: int) -> int:
        return self._text.rfind("\n", 0, at) + 1

    def _line_end(self, node: Any) -> int:
        end = _end(node)
        if end and end > node.start_mark.index and self._text[end - 1] == "\n":
            return end  # a block of text ends with its line
        found = self._text.find("\n", end)
        return len(self._text) if found < 0 else found + 1


def _end(node: Any) -> int:
    """Return where a value ends; a block ends with its last value, not with comments after it."""
    if isinstance(node.value, list) and node.value and not node.flow_style:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _block(value: Any) -> str:
    from kgctl.kube.codec.structured import to_yaml

    return to_yaml(value)


def _flow(value: Any) -> str:
    """Return a value in one line."""
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    line = _block([value]).removeprefix("- ").rstrip("\n")
    return json.dumps(value) if "\n" in line else line
