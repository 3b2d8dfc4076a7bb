"""Reading files of sections and ``KEY=VALUE`` lines, as systemd and NetworkManager write them.

Syntax: systemd.syntax(7) and nm-settings-keyfile(5). A section may be there several times, and
so may a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.wireguard.parse import ConfigurationError, Line

if TYPE_CHECKING:
    from collections.abc import Iterator


class IniSection(NamedTuple):
    """A section: its name, the number of its line, from 1, and its lines."""

    name: str
    number: int
    lines: list[Line]

    def values(self, key: str) -> list[Line]:
        """Return the lines with that key; an empty value empties the list, as in systemd."""
        found: list[Line] = []
        for line in self.lines:
            if line.key == key:
                found = [*found, line] if line.value else []
        return found

    def last(self, key: str) -> Line | None:
        """Return the last line with that key, or None."""
        return next(reversed(self.values(key)), None)


def ini_sections(text: str, label: str) -> list[IniSection]:
    """Return the sections of a file; errors call it ``label``, and show nothing of a line.

    Raises:
        ConfigurationError: a line is neither a section, a comment nor ``KEY=VALUE``.
    """
    found: list[IniSection] = []
    for number, line in _joined(text):
        if line.startswith("[") and line.endswith("]"):
            found.append(IniSection(line[1:-1], number, []))
            continue
        key, equals, value = line.partition("=")
        if not found or not equals:
            raise ConfigurationError(
                f"{label}, line {number}: expected a section, as [NAME] is, or KEY=VALUE in one"
            )
        found[-1].lines.append(Line(number, key.strip(), value.strip()))
    return found


def section_names(text: str) -> set[str]:
    """Return the names of all sections of a text, whatever else is in it."""
    lines = (line.strip() for line in text.split("\n"))
    return {line[1:-1] for line in lines if line.startswith("[") and line.endswith("]")}


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line that is no comment, with its number; a backslash at the end continues it."""
    start, kept = 0, ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if line.startswith(("#", ";")):
            continue
        if not kept:
            start = number
        if line.endswith("\\"):
            kept += line[:-1] + " "
            continue
        if kept + line:
            yield start, (kept + line).strip()
        kept = ""
    if kept.strip():
        yield start, kept.strip()
