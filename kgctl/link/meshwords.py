"""What msgspec finds wrong with a document, in words for who wrote it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.mesh.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kgctl.state.marked_yaml import ValuePath

_MESSAGE = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_ENUM = re.compile(r"Invalid enum value '(.*)'", re.DOTALL)
_FORM = re.compile(r"Expected `str` matching regex ('.*'|\".*\")", re.DOTALL)
_LENGTH = re.compile(r"Expected `(\w+)` of length (>= )?(\d+)(?:, got \d+)?")
_TYPE = re.compile(r"Expected `([^`]+)`(?:, got `([^`]+)`)?")
_TYPES = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a number",
    "null": "nothing",
    "object": "a mapping",
    "str": "text",
}


class Fault(NamedTuple):
    """What is wrong, and with which value; or with the key that leads to it."""

    path: ValuePath
    text: str
    at_key: bool = False


class Words:
    """Says what is wrong; ``forms`` are the words for what matches each regular expression."""

    def __init__(self, forms: Mapping[str, str]) -> None:
        self._forms = forms

    def form(self, pattern: str) -> str:
        """Return what matches a regular expression, in words."""
        return self._forms[pattern]

    def fault(self, message: str, schema: Mapping[str, Any]) -> Fault:
        """Return what a message of msgspec says of a document that is to be as ``schema`` says."""
        match = _MESSAGE.fullmatch(message)
        assert match is not None
        path = tuple(
            int(number) if number else name for name, number in _STEP.findall(match["path"] or "")
        )
        what = match["what"]
        if unknown := _UNKNOWN.fullmatch(what):
            name = unknown[1]
            near = _hint(name, list(_keys(schema, path)))
            return Fault((*path, name), f'there is no key "{printable(name, 60)}" here{near}', True)
        if missing := _MISSING.fullmatch(what):
            return Fault(path, f'{_called(path)} lacks the key "{missing[1]}"')
        if enum := _ENUM.fullmatch(what):
            near = _hint(enum[1], list(_values(schema, path)))
            return Fault(path, f'{_called(path)} cannot be "{printable(enum[1], 60)}"{near}')
        expected = self._expected(what)
        return Fault(path, f"{_called(path)} is not {expected}" if expected else what)

    def _expected(self, what: str) -> str | None:
        form = _FORM.fullmatch(what)
        for pattern, words in self._forms.items():
            if form and form[1][1:-1].replace("\\\\", "\\") == pattern:
                return words
        if length := _LENGTH.fullmatch(what):
            least = "at least " if length[2] else ""
            return (
                "text, but empty" if length[1] == "str" else f"a list with {least}{length[3]} in it"
            )
        if kinds := _TYPE.fullmatch(what):
            wanted = " or ".join(_TYPES.get(one, one) for one in kinds[1].split(" | "))
            return f"{wanted}, but {_TYPES.get(kinds[2], kinds[2])}" if kinds[2] else wanted
        return None


def _called(path: ValuePath) -> str:
    if not path:
        return "the file"
    if isinstance(path[-1], int):
        return f"this entry of {next((one for one in reversed(path) if isinstance(one, str)), '')}"
    return path[-1]


def _hint(name: str, choices: list[str]) -> str:
    near = nearest(name, choices)
    if near:
        return f'; did you mean "{near}"?'
    return f"; there are {', '.join(sorted(choices))}" if choices else ""


def _keys(schema: Mapping[str, Any], path: ValuePath) -> Iterator[str]:
    for one in _at(schema, path):
        yield from one.get("properties", {})


def _values(schema: Mapping[str, Any], path: ValuePath) -> Iterator[str]:
    """Yield what a value may be."""
    for one in _at(schema, path):
        yield from map(str, one.get("enum", ()))
        if "properties" in one:
            yield f"a mapping with {' and '.join(one['required'] or one['properties'])}"


def _at(schema: Mapping[str, Any], path: ValuePath) -> list[Mapping[str, Any]]:
    """Return the schemas that a value may be of."""
    found = _alternatives(schema, schema)
    for step in path:
        inner = [
            one.get("items") if isinstance(step, int) else one.get("properties", {}).get(step)
            for one in found
        ]
        found = [one for each in inner if each for one in _alternatives(schema, each)]
    return found


def _alternatives(schema: Mapping[str, Any], one: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "$ref" in one:
        name = str(one["$ref"]).rpartition("/")[2]
        return [schema["$defs"][name]]
    if "anyOf" in one:
        return [each for other in one["anyOf"] for each in _alternatives(schema, other)]
    return [one]
