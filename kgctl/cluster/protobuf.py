"""Kubernetes' protobuf, read just far enough: nodes without their status, and a Status.

The encoding is that of https://protobuf.dev/programming-guides/encoding/; the field numbers are
those of ``generated.proto`` in k8s.io/api/core/v1 and k8s.io/apimachinery/pkg/apis/meta/v1; the
envelope is that of k8s.io/apimachinery/pkg/runtime: four magic bytes, then an ``Unknown``.

A list is read as it arrives: a node's 10 kB, most of it status, is gone when the next one comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.cluster.errors import AnswerError
from kgctl.cluster.interface import NodeObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
MAX_OBJECT = 16 << 20
"""Bytes that one object may have; etcd takes objects of a tenth of this."""
MAX_OBJECTS = 1_000_000
"""Objects in one answer; Kubernetes is made for clusters of 5,000 nodes."""

_CHUNK = 1 << 18
_TAIL = 1 << 16  # what may follow the list in its envelope: two short strings
_ENTRIES_KEPT = 4096
_KILO = b"kilo.squat.ai/"

# tags: the number of a field, times eight, plus two for strings, bytes and messages
_METADATA, _SPEC = 0x0A, 0x12
_NAME, _LABEL, _ANNOTATION = 0x0A, 0x5A, 0x62
_KEY, _VALUE = 0x0A, 0x12
_POD_CIDR = 0x0A

_CUT = "a number is cut short"
_TOO_LONG = "a field is longer than what holds it"


class MalformedError(AnswerError):
    """The bytes are no protobuf of the kind asked for."""

    def __init__(self, what: str) -> None:
        super().__init__(f"cannot read the API server's protobuf answer: {what}")


class NodePage(NamedTuple):
    """One page of a list; ``next_page`` is the token that asks for the one after it, or empty."""

    nodes: list[NodeObject]
    resource_version: str
    next_page: str


class StatusMessage(NamedTuple):
    """What a Kubernetes Status object says."""

    message: str
    reason: str
    code: int


def read_node_list(read: Callable[[int], bytes]) -> NodePage:
    """Read a NodeList, or a list of any objects' metadata, from ``read`` until it gives ``b""``.

    Raises:
        MalformedError: it is none, is cut short, or is larger than any true answer.
    """
    stream = _Stream(read)
    nodes: list[NodeObject] = []
    meta: dict[int, bytes | int] = {}
    entries = Entries()
    for number, content in stream.members(stream.envelope()):
        if number == 2:
            nodes.append(parse_node(content, entries))
            if len(nodes) > MAX_OBJECTS:
                raise MalformedError(f"it lists more than {MAX_OBJECTS:,} objects")
        elif number == 1:
            meta = dict(fields(content))
    stream.finish()
    return NodePage(nodes, _text(meta.get(2)), _text(meta.get(3)))


def read_status(body: bytes) -> StatusMessage:
    """Read a Status.

    Raises:
        MalformedError: it is none.
    """
    if not body.startswith(MAGIC):
        raise MalformedError("it does not begin as Kubernetes' protobuf does")
    raw = dict(fields(body[len(MAGIC) :])).get(2)
    status = dict(fields(raw if isinstance(raw, bytes) else b""))
    code = status.get(6)
    return StatusMessage(
        _text(status.get(3)), _text(status.get(4)), code if isinstance(code, int) else 0
    )


def parse_node(data: bytes, entries: Entries) -> NodeObject:
    """Parse one Node; of its annotations only Kilo's are kept.

    ``entries`` is shared by the nodes of a list, so that what they have alike is held once.

    Raises:
        MalformedError: it is no protobuf message.
    """
    name = pod_cidr = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    pos, stop = 0, len(data)
    try:
        while pos < stop:
            tag, begin, size = _span(data, pos)
            pos = begin + size
            if tag == _METADATA:
                name = _metadata(data, begin, pos, labels, annotations, entries) or name
            elif tag == _SPEC:
                pod_cidr = _pod_cidr(data, begin, pos) or pod_cidr
    except IndexError as error:
        raise MalformedError(_CUT) from error
    if pos != stop:
        raise MalformedError(_TOO_LONG)
    return NodeObject(name, pod_cidr, labels, annotations)


def _pod_cidr(data: bytes, pos: int, stop: int) -> str:
    cidr = ""
    while pos < stop:
        tag, begin, size = _span(data, pos)
        pos = begin + size
        if tag == _POD_CIDR:
            cidr = data[begin:pos].decode("utf-8", "replace")
    if pos != stop:
        raise MalformedError(_TOO_LONG)
    return cidr


def _metadata(
    data: bytes,
    pos: int,
    stop: int,
    labels: dict[str, str],
    annotations: dict[str, str],
    entries: Entries,
) -> str:
    """Fill in what ObjectMeta says, and return its name.

    This is where reading a cluster spends its time. Nearly every field here has a tag of one
    byte and a length of one or two, so those are read in line; the rest is left to ``_span``.
    """
    name = ""
    while pos < stop:
        tag = data[pos]
        size = data[pos + 1]
        begin = pos + 2
        if tag > 0x7F or tag & 7 != 2 or size > 0x7F:
            tag, begin, size = _span(data, pos)
        pos = begin + size
        if pos > stop:
            raise MalformedError(_TOO_LONG)
        if tag == _ANNOTATION:
            # the key stands first, as Kubernetes writes it; any other entry is looked into
            if data.startswith(_KILO, begin + 2) or size == 0 or data[begin] != _KEY:
                entries.add(data[begin:pos], annotations)
        elif tag == _LABEL:
            entries.add(data[begin:pos], labels)
        elif tag == _NAME:
            name = data[begin:pos].decode("utf-8", "replace")
    return name


class Entries:
    """The entries of maps of strings: those that many nodes have are decoded and held once."""

    def __init__(self) -> None:
        self._seen: dict[bytes, tuple[str, str]] = {}
        self._keys: dict[bytes, str] = {}

    def add(self, entry: bytes, into: dict[str, str]) -> None:
        """Decode one entry into ``into``."""
        pair = self._seen.get(entry)
        if pair is None:
            pair = self._pair(entry)
            if len(self._seen) < _ENTRIES_KEPT:
                self._seen[entry] = pair
        into[pair[0]] = pair[1]

    def _pair(self, entry: bytes) -> tuple[str, str]:
        key = value = b""
        pos, stop = 0, len(entry)
        while pos < stop:
            tag = entry[pos]
            size = entry[pos + 1]
            begin = pos + 2
            if tag & 7 != 2 or size > 0x7F:
                tag, begin, size = _span(entry, pos)
            pos = begin + size
            if tag == _KEY:
                key = entry[begin:pos]
            elif tag == _VALUE:
                value = entry[begin:pos]
        if pos != stop:
            raise MalformedError(_TOO_LONG)
        text = self._keys.get(key)
        if text is None:
            text = self._keys[key] = key.decode("utf-8", "replace")
        return text, value.decode("utf-8", "replace")


def _span(data: bytes, pos: int) -> tuple[int, int, int]:
    """Return the tag of any field, and the start and size of its content."""
    tag, pos = _varint(data, pos)
    if tag & 7 == 2:
        size, pos = _varint(data, pos)
        return tag, pos, size
    _, end = _scalar(data, pos, tag & 7)
    return tag, pos, end - pos


def fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield the number and value of each field of a message.

    Raises:
        MalformedError: ``data`` is no message.
    """
    pos, stop = 0, len(data)
    try:
        while pos < stop:
            tag, pos = _varint(data, pos)
            if tag & 7 == 2:
                size, pos = _varint(data, pos)
                if pos + size > stop:
                    raise MalformedError(_TOO_LONG)
                yield tag >> 3, data[pos : pos + size]
                pos += size
            else:
                value, pos = _scalar(data, pos, tag & 7)
                if pos > stop:
                    raise MalformedError(_CUT)
                yield tag >> 3, value
    except IndexError as error:
        raise MalformedError(_CUT) from error


def _varint(data: bytes, pos: int) -> tuple[int, int]:
    """Return the number at ``pos`` and the position after it; IndexError where it is cut short."""
    value = shift = 0
    while True:
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, pos
        shift += 7
        if shift > 63:
            raise MalformedError("a number has more than 64 bits")


def _scalar(data: bytes, pos: int, wire_type: int) -> tuple[int, int]:
    """Return the number of that wire type at ``pos`` and the position after it."""
    if wire_type == 0:
        return _varint(data, pos)
    width = {1: 8, 5: 4}.get(wire_type)
    if width is None:
        raise MalformedError(f"there is no wire type {wire_type}")
    return int.from_bytes(data[pos : pos + width], "little"), pos + width


def _text(value: bytes | int | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


class _Stream:
    """A message that is still arriving: never more of it is held than one object and one read."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._data = b""
        self._at = 0
        self._total = 0

    def envelope(self) -> int:
        """Step into the list: past the magic bytes and the type, and return the list's length."""
        if self._take(len(MAGIC)) != MAGIC:
            raise MalformedError("it does not begin as Kubernetes' protobuf does")
        while True:
            tag = self._varint()
            if tag & 7 != 2:
                raise MalformedError("its envelope is not Kubernetes'")
            size = self._varint()
            if tag >> 3 == 2:
                return size
            self._take(size)

    def members(self, size: int) -> Iterator[tuple[int, bytes]]:
        """Yield the number and content of each string or message field of ``size`` bytes."""
        while size > 0:
            before = self._consumed()
            tag = self._varint()
            if tag & 7 == 2:
                content = self._take(self._varint())
                yield tag >> 3, content
            elif tag & 7 == 0:
                self._varint()
            else:
                raise MalformedError(f"a list has no field of wire type {tag & 7}")
            size -= self._consumed() - before
        if size:
            raise MalformedError("an object is longer than the list")

    def finish(self) -> None:
        """Read what is left to the end, so that the connection can be used again."""
        left = len(self._data) - self._at
        while left <= _TAIL:
            data = self._read(_CHUNK)
            if not data:
                return
            left += len(data)
        raise MalformedError("too much follows the list")

    def _consumed(self) -> int:
        return self._total - len(self._data) + self._at

    def _take(self, size: int) -> bytes:
        if size > MAX_OBJECT:
            raise MalformedError(f"an object has {size:,} bytes")
        start = self._at
        stop = start + size
        if stop > len(self._data):
            self._fill(size)
            start, stop = 0, size
        self._at = stop
        return self._data[start:stop]

    def _fill(self, size: int) -> None:
        pieces = [self._data[self._at :]]
        have = len(pieces[0])
        while have < size:
            piece = self._read(_CHUNK)
            if not piece:
                raise MalformedError("it is cut short")
            pieces.append(piece)
            have += len(piece)
            self._total += len(piece)
        self._data = b"".join(pieces)
        self._at = 0

    def _varint(self) -> int:
        value = shift = 0
        while True:
            if self._at == len(self._data):
                self._fill(1)
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise MalformedError("a number has more than 64 bits")
