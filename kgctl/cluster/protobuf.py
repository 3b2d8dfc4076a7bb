"""Kubernetes' protobuf, read just far enough: nodes without their status, and a Status.

The field numbers are those of ``generated.proto`` in k8s.io/api/core/v1 and
k8s.io/apimachinery/pkg/apis/meta/v1; the envelope is that of k8s.io/apimachinery/pkg/runtime:
four magic bytes, then an ``Unknown``.

A list is read as it arrives: a node's 10 kB, most of it status, is gone when the next one comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.cluster.interface import NodeObject
from kgctl.cluster.wire import CUT, TOO_LONG, MalformedError, Stream, fields, span

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
MAX_OBJECTS = 1_000_000
"""Objects in one answer; Kubernetes is made for clusters of 5,000 nodes."""

_ENTRIES_KEPT = 4096
_PREFIX = "kilo.squat.ai/"
_KILO = _PREFIX.encode()

# tags: the number of a field, times eight, plus two for strings, bytes and messages
_METADATA, _SPEC = 0x0A, 0x12
_NAME, _LABEL, _ANNOTATION = 0x0A, 0x5A, 0x62
_KEY, _VALUE = 0x0A, 0x12
_POD_CIDR = 0x0A


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
    stream = Stream(read)
    nodes: list[NodeObject] = []
    meta: dict[int, bytes | int] = {}
    entries = Entries()
    for number, content in stream.members(_enter(stream)):
        if number == 2:
            nodes.append(parse_node(content, entries))
            if len(nodes) > MAX_OBJECTS:
                raise MalformedError(f"it lists more than {MAX_OBJECTS:,} objects")
        elif number == 1:
            meta = dict(fields(content))
    stream.finish()
    return NodePage(nodes, _text(meta.get(2)), _text(meta.get(3)))


def _enter(stream: Stream) -> int:
    """Step into the envelope, past the magic bytes and the type; return the size of the list."""
    if stream.take(len(MAGIC)) != MAGIC:
        raise MalformedError("it does not begin as Kubernetes' protobuf does")
    while True:
        tag = stream.varint()
        if tag & 7 != 2:
            raise MalformedError("its envelope is not Kubernetes'")
        size = stream.varint()
        if tag >> 3 == 2:
            return size
        stream.take(size)


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
            tag, begin, size = span(data, pos)
            pos = begin + size
            if tag == _METADATA:
                name = _metadata(data, begin, pos, labels, annotations, entries) or name
            elif tag == _SPEC:
                pod_cidr = _pod_cidr(data, begin, pos) or pod_cidr
    except IndexError as error:
        raise MalformedError(CUT) from error
    if pos != stop:
        raise MalformedError(TOO_LONG)
    return NodeObject(name, pod_cidr, labels, annotations)


def _pod_cidr(data: bytes, pos: int, stop: int) -> str:
    cidr = ""
    while pos < stop:
        tag, begin, size = span(data, pos)
        pos = begin + size
        if tag == _POD_CIDR:
            cidr = data[begin:pos].decode("utf-8", "replace")
    if pos != stop:
        raise MalformedError(TOO_LONG)
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
    byte and a length of one or two, so those are read in line; the rest is left to ``span``.
    """
    name = ""
    seen = entries.seen
    while pos < stop:
        tag = data[pos]
        size = data[pos + 1]
        begin = pos + 2
        if size > 0x7F or tag & 0x87 != 2:
            tag, begin, size = span(data, pos)
        pos = begin + size
        if pos > stop:
            raise MalformedError(TOO_LONG)
        if tag == _ANNOTATION:
            # the key stands first and is short, as in Kubernetes; any other entry is looked into
            usual = size > 1 and data[begin] == _KEY and data[begin + 1] <= 0x7F
            if not usual or data.startswith(_KILO, begin + 2):
                entry = data[begin:pos]
                pair = seen.get(entry) or entries.decode(entry)
                if usual or pair[0].startswith(_PREFIX):
                    annotations[pair[0]] = pair[1]
        elif tag == _LABEL:
            entry = data[begin:pos]
            pair = seen.get(entry) or entries.decode(entry)
            labels[pair[0]] = pair[1]
        elif tag == _NAME:
            name = data[begin:pos].decode("utf-8", "replace")
    return name


class Entries:
    """The entries of maps of strings: those that many nodes have are decoded and held once.

    ``seen`` holds them by their bytes.
    """

    def __init__(self) -> None:
        self.seen: dict[bytes, tuple[str, str]] = {}
        self._keys: dict[bytes, str] = {}

    def decode(self, entry: bytes) -> tuple[str, str]:
        """Decode an entry that was not ``seen``."""
        pair = self._pair(entry)
        if len(self.seen) < _ENTRIES_KEPT:
            self.seen[entry] = pair
        return pair

    def _pair(self, entry: bytes) -> tuple[str, str]:
        key, value = _usual_entry(entry) or _any_entry(entry)
        text = self._keys.get(key)
        if text is None:
            text = self._keys[key] = key.decode("utf-8", "replace")
        return text, value.decode("utf-8", "replace")


def _usual_entry(entry: bytes) -> tuple[bytes, bytes] | None:
    """Return key and value, if they stand in this order and are short; None otherwise."""
    size = len(entry)
    if size < 4 or entry[0] != _KEY or entry[1] > 0x7F:
        return None
    at = entry[1] + 2  # the value's tag
    if at + 2 > size or entry[at] != _VALUE or entry[at + 1] > 0x7F:
        return None
    return (entry[2:at], entry[at + 2 :]) if entry[at + 1] == size - at - 2 else None


def _any_entry(entry: bytes) -> tuple[bytes, bytes]:
    found = dict(fields(entry))
    key, value = found.get(1, b""), found.get(2, b"")
    if isinstance(key, bytes) and isinstance(value, bytes):
        return key, value
    raise MalformedError("an entry of a map is none of strings")


def _text(value: bytes | int | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
