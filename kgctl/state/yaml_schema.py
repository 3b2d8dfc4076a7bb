"""Conversion of a YAML file by the classes that are its format, and messages with a position.

The format is a class of msgspec; its schema finds what was meant by an unknown key or value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from kgctl.mesh.text import nearest, printable
from kgctl.state.marked_yaml import PlacedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kgctl.state.marked_yaml import MarkedYaml, ValuePath

Format = TypeVar("Format")

_MESSAGE = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_ENUM = re.compile(r"Invalid enum value '(.*)'", re.DOTALL)
_FORM = re.compile(r"Expected `str` matching regex ('.*'|\".*\")", re.DOTALL)
_LENGTH = re.compile(r"Expected `(\w+)` of length (>= |<= )?(\d+)(?:, got \d+)?")
_BOUND = re.compile(r"Expected `int` (>=|<=) (\d+)")
_TYPE = re.compile(r"Expected `([^`]+)`(?:, got `([^`]+)`)?")
_TYPES = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a number",
    "null": "null",
    "object": "a mapping",
    "str": "text",
}


class SchemaError(PlacedError):
    """The schema does not allow a value; the message begins with FILE:LINE:COLUMN."""


def converted(
    document: MarkedYaml,
    format_: type[Format],
    schema: Callable[[], Mapping[str, Any]],
    forms: Mapping[str, str],
) -> Format:
    """Convert a document to a class of msgspec.

    ``schema`` returns the JSON Schema of the class, and ``forms`` describe its regular expressions.

    Raises:
        SchemaError: the schema does not allow the document.
    """
    import msgspec

    try:
        return msgspec.convert(document.value, format_, strict=True)
    except msgspec.ValidationError as error:
        fault = _fault_of(str(error), schema(), forms)
        place = document.place(fault.path, key=fault.at_key)
        raise SchemaError(f"{place}: {fault.text}") from None


def without_indentation(schema: Any) -> Any:
    """Return a schema with descriptions without the indentation of docstrings.

    Python before 3.13 keeps the indentation of the source in all lines but the first.
    """
    if isinstance(schema, list):
        return [without_indentation(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    cleaned = {key: without_indentation(value) for key, value in schema.items()}
    if isinstance(description := schema.get("description"), str):
        import inspect

        cleaned["description"] = inspect.cleandoc(description)
    return cleaned


class _Fault(NamedTuple):
    """An error and the path of its value, or of its key if ``at_key``."""

    path: ValuePath
    text: str
    at_key: bool = False


def _fault_of(message: str, schema: Mapping[str, Any], forms: Mapping[str, str]) -> _Fault:
    """Translate a message of msgspec about a document of this ``schema``."""
    match = _MESSAGE.fullmatch(message)
    assert match is not None
    path = tuple(
        int(number) if number else name for name, number in _STEP.findall(match["path"] or "")
    )
    what = match["what"]
    if unknown := _UNKNOWN.fullmatch(what):
        name = unknown[1]
        near = _hint(name, list(_keys(schema, path)))
        return _Fault((*path, name), f'there is no key "{printable(name, 60)}" here{near}', True)
    if missing := _MISSING.fullmatch(what):
        return _Fault(path, f'{_called(path)} lacks the key "{missing[1]}"')
    if enum := _ENUM.fullmatch(what):
        near = _hint(enum[1], list(_values(schema, path)))
        return _Fault(path, f'{_called(path)} cannot be "{printable(enum[1], 60)}"{near}')
    expected = _expected(what, forms)
    return _Fault(path, f"{_called(path)} must be {expected}" if expected else what)


def _expected(what: str, forms: Mapping[str, str]) -> str | None:
    form = _FORM.fullmatch(what)
    for pattern, words in forms.items():
        if form and form[1][1:-1].replace("\\\\", "\\") == pattern:
            return words
    if length := _LENGTH.fullmatch(what):
        least = {">= ": "at least ", "<= ": "at most "}.get(length[2], "")
        return "non-empty text" if length[1] == "str" else f"a list of {least}{length[3]}"
    if bound := _BOUND.fullmatch(what):
        return f"at {'least' if bound[1] == '>=' else 'most'} {bound[2]}"
    if kinds := _TYPE.fullmatch(what):
        wanted = " or ".join(_TYPES.get(one, one) for one in kinds[1].split(" | "))
        return f"{wanted}, not {_TYPES.get(kinds[2], kinds[2])}" if kinds[2] else wanted
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
    return f"; known: {', '.join(sorted(choices))}" if choices else ""


def _keys(schema: Mapping[str, Any], path: ValuePath) -> Iterator[str]:
    for one in _at(schema, path):
        yield from one.get("properties", {})


def _values(schema: Mapping[str, Any], path: ValuePath) -> Iterator[str]:
    """Yield the choices for a value."""
    for one in _at(schema, path):
        yield from map(str, one.get("enum", ()))
        if "properties" in one:
            yield f"a mapping with {' and '.join(one['required'] or one['properties'])}"


def _at(schema: Mapping[str, Any], path: ValuePath) -> list[Mapping[str, Any]]:
    """Return the schemas that apply to a value."""
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
