"""Strict reader of mesh files, which list the clusters to link and the settings for it.

``kgctl.link.mesh_format`` has the schema. This module also checks what a schema cannot express,
such as that names refer to clusters, and turns msgspec's errors into messages with a position.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from kgctl.link.mesh_format import ACCEPTED, CIDR, FORMS, Cluster, MeshFile, mesh_schema
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.text import nearest, printable
from kgctl.state.marked_yaml import MarkedYaml, PlacedError, ValuePath, read_marked_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LARGEST = 1 << 20  # bytes
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
    "null": "null",
    "object": "a mapping",
    "str": "text",
}


class MeshFileError(PlacedError):
    """A mesh file has an invalid value; the message begins with FILE:LINE:COLUMN."""


def read_mesh_file(path: Path) -> MeshFile:
    """Read a mesh file.

    Raises:
        kgctl.state.marked_yaml.PlacedError: it cannot be read, is not YAML, or has an invalid
            value.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise PlacedError(f"cannot read {printable(str(path))}: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise PlacedError(f"{printable(str(path))} has more than {_LARGEST:,} bytes")
    return parse_mesh(str(path), content)


def parse_mesh(label: str, content: bytes) -> MeshFile:
    """Parse the ``content`` of a mesh file; errors call the file ``label``.

    Raises:
        kgctl.state.marked_yaml.PlacedError: it is not YAML, or has an invalid value.
    """
    document = read_marked_yaml(label, content)
    mesh = decoded(document)
    _References(document, mesh).check()
    return mesh


def decoded(document: MarkedYaml) -> MeshFile:
    """Convert a document by the schema.

    Raises:
        MeshFileError: the schema does not allow it.
    """
    try:
        return msgspec.convert(document.value, MeshFile, strict=True)
    except msgspec.ValidationError as error:
        fault = _fault_of(str(error), mesh_schema())
        place = document.place(fault.path, key=fault.at_key)
        raise MeshFileError(f"{place}: {fault.text}") from None


class _References:
    """Checks the references between the parts of a file."""

    def __init__(self, document: MarkedYaml, mesh: MeshFile) -> None:
        self._document = document
        self._mesh = mesh
        self._names = [one.name for one in mesh.clusters]

    def check(self) -> None:
        """Check all references.

        Raises:
            MeshFileError: a name or a network is invalid, or is listed twice.
        """
        for at, cluster in enumerate(self._mesh.clusters):
            self._cluster(("clusters", at), cluster)
        for at, hub in enumerate(self._mesh.hubs):
            self._known(("topology", "hubs", at), hub)
        self._once(self._mesh.hubs, ("topology", "hubs"))
        for at, service in enumerate(self._mesh.mirror):
            name, equals, _ = service.partition("=")
            if equals:
                self._known(("mirror", at), name)
        self._pairs()

    def _cluster(self, path: ValuePath, cluster: Cluster) -> None:
        if path[1] and cluster.name in self._names[: int(path[1])]:
            raise self._fault((*path, "name"), f'a cluster above is also called "{cluster.name}"')
        for at, text in enumerate(cluster.service_cidrs or ()):
            self._cidr((*path, "serviceCIDRs", at), text)
        for at, text in enumerate(cluster.share.cidrs):
            self._cidr((*path, "share", "cidrs", at), text)
        limits = cluster.limits
        for at, text in enumerate(limits.only_networks):
            self._cidr((*path, "limits", "onlyNetworks", at), text)
        for at, text in enumerate(limits.deny):
            self._cidr((*path, "limits", "deny", at), text)
        for at, text in enumerate(limits.accept):
            self._cidr((*path, "limits", "accept", at), text.rpartition("=")[2], ACCEPTED)

    def _pairs(self) -> None:
        path: ValuePath = ("presharedKeys", "pairs")
        seen: set[frozenset[str]] = set()
        for at, pair in enumerate(self._mesh.keys.pairs):
            for which, name in enumerate(pair.clusters):
                self._known((*path, at, "clusters", which), name)
            self._once(pair.clusters, (*path, at, "clusters"))
            names = frozenset(pair.clusters)
            if names in seen:
                raise self._fault((*path, at), "this pair of clusters is already listed above")
            if self._mesh.hubs and not names & set(self._mesh.hubs):
                raise self._fault((*path, at), "neither of the two is a hub: they are not linked")
            seen.add(names)

    def _known(self, path: ValuePath, name: str) -> None:
        if name not in self._names:
            near = nearest(name, self._names)
            hint = f'did you mean "{near}"?' if near else f"known: {', '.join(self._names)}"
            raise self._fault(path, f'there is no cluster "{name}"; {hint}')

    def _once(self, names: tuple[str, ...], path: ValuePath) -> None:
        for at, name in enumerate(names):
            if name in names[:at]:
                raise self._fault((*path, at), f'"{name}" is listed twice')

    def _cidr(self, path: ValuePath, text: str, form: str = CIDR) -> None:
        if parse_cidr(text) is None:
            raise self._fault(path, f'"{printable(text, 60)}" is not {FORMS[form]}')

    def _fault(self, path: ValuePath, text: str) -> MeshFileError:
        return MeshFileError(f"{self._document.place(path)}: {text}")


def located(mesh_file: Path, path: str) -> Path:
    """Resolve a path of the file: relative to the directory of the file."""
    return mesh_file.parent / re.sub(r"^~(?=/|$)", lambda _: str(Path.home()), path)


# --- messages for msgspec's errors ---


class _Fault(NamedTuple):
    """An error and the path of its value, or of its key if ``at_key``."""

    path: ValuePath
    text: str
    at_key: bool = False


def _fault_of(message: str, schema: Mapping[str, Any]) -> _Fault:
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
    expected = _expected(what)
    return _Fault(path, f"{_called(path)} must be {expected}" if expected else what)


def _expected(what: str) -> str | None:
    form = _FORM.fullmatch(what)
    for pattern, words in FORMS.items():
        if form and form[1][1:-1].replace("\\\\", "\\") == pattern:
            return words
    if length := _LENGTH.fullmatch(what):
        least = "at least " if length[2] else ""
        return "non-empty text" if length[1] == "str" else f"a list of {least}{length[3]}"
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
