"""The positions of Nodes and Peers in manifest files, for findings that point to them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kgctl.diagnosis.finding import NODE, PEER, Place
from kgctl.state.manifest_files import STDIN, manifest_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_KINDS = {"Node": NODE, "Peer": PEER}
_LISTS = {"NodeList": "Node", "PeerList": "Peer"}
_OBJECT, _METADATA, _ITEMS, _OTHER = "object", "metadata", "items", "other"


def object_places(names: Sequence[str]) -> dict[tuple[str, str], Place]:
    """Return the file and line of each object by its kind (``node``, ``peer``) and name.

    The line, from 1, is that of ``metadata.name``. Of two objects with the same name the later one
    counts, as in reading the files. Standard input and pipes, which cannot be read a second time,
    and invalid YAML have no places.
    """
    places: dict[tuple[str, str], Place] = {}
    for name in names:
        for file in manifest_files(name) if name != STDIN else ():
            if file.path.is_file():  # not a pipe: its content is gone
                places.update(
                    ((kind, object_name), Place(str(file.path), line))
                    for kind, object_name, line in _objects(file.read())
                )
    return places


def _objects(content: bytes) -> Iterator[tuple[str, str, int]]:
    """Yield kind, name and line of each Node and Peer, up to the first YAML error."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    walk = _Walk()
    with suppress(yaml.YAMLError, UnicodeDecodeError):  # the reader of the file reported these
        for event in yaml.parse(content, Loader=loader):
            walk.take(event)
    for one in walk.objects:
        # a list's own kind may come after its items, as kubectl sorts keys
        kind = one.kind or (_LISTS.get(one.within.kind, "") if one.within else "")
        if kind in _KINDS and one.name:
            yield _KINDS[kind], one.name, one.line


class _Frame:
    """A mapping or sequence that is being read; ``fields`` are those of its object."""

    def __init__(self, role: str, fields: _Fields | None, *, mapping: bool) -> None:
        self.role = role
        self.fields = fields
        self.mapping = mapping
        self.key: str | None = None


class _Fields:
    """The known facts of an object: its kind, its name, the name's line, the list around it."""

    def __init__(self, within: _Fields | None) -> None:
        self.within = within
        self.kind = ""
        self.name = ""
        self.line = 0


class _Walk:
    """Follows the events of a YAML stream, without building values: files may be large."""

    def __init__(self) -> None:
        self.objects: list[_Fields] = []
        self._stack: list[_Frame] = []

    def take(self, event: Any) -> None:
        """Process the next event."""
        name = type(event).__name__
        if name == "MappingStartEvent":
            self._open(mapping=True)
        elif name == "SequenceStartEvent":
            self._open(mapping=False)
        elif name in ("MappingEndEvent", "SequenceEndEvent"):
            self._close()
        elif name in ("ScalarEvent", "AliasEvent"):
            self._scalar(event)

    def _open(self, *, mapping: bool) -> None:
        role, fields = self._role(mapping=mapping)
        self._stack.append(_Frame(role, fields, mapping=mapping))

    def _role(self, *, mapping: bool) -> tuple[str, _Fields | None]:
        above = self._stack[-1] if self._stack else None
        if above is None or above.role == _ITEMS:
            return (
                (_OBJECT, _Fields(above.fields if above else None)) if mapping else (_OTHER, None)
            )
        if above.role == _OBJECT and above.key == "metadata" and mapping:
            return _METADATA, above.fields
        if above.role == _OBJECT and above.key == "items" and not mapping:
            return _ITEMS, above.fields
        return _OTHER, None

    def _close(self) -> None:
        frame = self._stack.pop()
        if frame.role == _OBJECT and frame.fields is not None:
            self.objects.append(frame.fields)
        if self._stack:
            self._stack[-1].key = None

    def _scalar(self, event: Any) -> None:
        frame = self._stack[-1] if self._stack else None
        if frame is None or not frame.mapping:
            return
        value = getattr(event, "value", "")  # an alias has none
        if frame.key is None:
            frame.key = value
            return
        if frame.fields is not None:
            if frame.role == _OBJECT and frame.key == "kind":
                frame.fields.kind = value
            elif frame.role == _METADATA and frame.key == "name":
                frame.fields.name, frame.fields.line = value, event.start_mark.line + 1
        frame.key = None
