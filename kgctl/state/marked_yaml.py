"""Reader of YAML that people write for kgctl: plain values, each with its line and column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.errors import ClusterError
from kgctl.mesh.text import NotTextError, decoded, printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ValuePath = tuple[str | int, ...]
"""The path to a value: keys of mappings, and positions in lists."""

_TAG = "tag:yaml.org,2002:"
_KINDS = frozenset(("bool", "float", "int", "map", "merge", "null", "seq", "str", "timestamp"))
_TRUE, _FALSE = frozenset(("true", "True", "TRUE")), frozenset(("false", "False", "FALSE"))
_MOST_DIGITS = 18


class PlacedError(ClusterError):
    """A file that a person wrote has an error; the message begins with FILE:LINE:COLUMN."""


def read_bounded(path: Path, most: int, error: type[ClusterError]) -> bytes:
    """Return the content of a file that a person wrote, of at most ``most`` bytes.

    Raises:
        error: it cannot be read, or is longer.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as failure:
        raise error(f"cannot read {printable(str(path))}: {failure.strerror}") from None
    if len(content) > most:
        raise error(f"{printable(str(path))} has more than {most:,} bytes")
    return content


class MarkedYaml(NamedTuple):
    """A document: its value, and the line and column of each value and key, from 1."""

    label: str
    value: object
    values: Mapping[ValuePath, tuple[int, int]]
    keys: Mapping[ValuePath, tuple[int, int]]

    def place(self, path: ValuePath, *, key: bool = False) -> str:
        """Return FILE:LINE:COLUMN of a value, or of the key that leads to it."""
        line, column = (self.keys if key else self.values)[path]
        return f"{self.label}:{line}:{column}"


def read_marked_yaml(label: str, content: bytes) -> MarkedYaml:
    """Read the only document of a file that errors call ``label``.

    An unquoted value is ``true``, ``false``, ``null``, a decimal number, or text. So ``no`` and
    ``0x1F``, which Kubernetes reads differently, are text, as in editors.

    Raises:
        PlacedError: it is not YAML, or has more than one document, a duplicate key, a key that is
            not text, an unknown tag, or an alias.
    """
    import yaml

    from kgctl.kube.codec.yaml_loader import BoundedLoader

    label = printable(label)
    try:
        loader = BoundedLoader(decoded(content))
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = printable(str(error.problem or error.context))
        raise PlacedError(f"{label}{where}: invalid YAML: {problem}") from None
    except NotTextError as error:
        raise PlacedError(f"{label}:1:1: {error}") from None
    except yaml.YAMLError as error:
        problem = printable(" ".join(str(error).split()))
        raise PlacedError(f"{label}:1:1: invalid YAML: {problem}") from None
    reader = _Reader(label)
    value = None if node is None else reader.value(node, ())
    reader.values.setdefault((), (1, 1))
    return MarkedYaml(label, value, reader.values, reader.keys)


class _Reader:
    """Converts YAML nodes to values, and records their positions."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._seen: set[int] = set()
        self.values: dict[ValuePath, tuple[int, int]] = {}
        self.keys: dict[ValuePath, tuple[int, int]] = {}

    def value(self, node: Any, path: ValuePath) -> object:
        self.values[path] = _mark(node)
        if id(node) in self._seen:  # aliases may contain themselves, or expand to any size
            raise self._fault(node, "an alias (*) refers to this value: repeat the value instead")
        self._seen.add(id(node))
        if node.tag.removeprefix(_TAG) not in _KINDS:
            raise self._fault(node, f"the tag {printable(node.tag, 60)} is not supported")
        if node.id == "mapping":
            return self._mapping(node, path)
        if node.id == "sequence":
            return [self.value(one, (*path, at)) for at, one in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: Any, path: ValuePath) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in node.value:
            if key.id != "scalar":
                raise self._fault(key, "a key must be text, not a list or a mapping")
            name = str(key.value)
            if name in found:
                line, _ = self.keys[*path, name]
                raise self._fault(key, f'"{printable(name, 60)}" is already set in line {line}')
            self.keys[*path, name] = _mark(key)
            found[name] = self.value(value, (*path, name))
        return found

    def _scalar(self, node: Any) -> object:
        text = str(node.value)
        kind = node.tag.removeprefix(_TAG)
        if kind == "bool" and text in _TRUE | _FALSE:
            return text in _TRUE
        if kind == "null":
            return None
        digits = text.removeprefix("-")
        plain = digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS
        if kind == "int" and plain and str(int(text)) == text:
            return int(text)
        return text

    def _fault(self, node: Any, problem: str) -> PlacedError:
        line, column = _mark(node)
        return PlacedError(f"{self._label}:{line}:{column}: {problem}")


def _mark(node: Any) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
