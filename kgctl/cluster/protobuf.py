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
_KILO = b"kilo.squat.ai/"

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
    while pos < stop:
        tag = data[pos]
        size = data[pos + 1]
        begin = pos + 2
        if tag > 0x7F or tag & 7 != 2 or size > 0x7F:
            tag, begin, size = span(data, pos)
        pos = begin + size
        if pos > stop:
            raise MalformedError(TOO_LONG)
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
                tag, begin, size = span(entry, pos)
            pos = begin + size
            if tag == _KEY:
                key = entry[begin:pos]
            elif tag == _VALUE:
                value = entry[begin:pos]
        if pos != stop:
            raise MalformedError(TOO_LONG)
        text = self._keys.get(key)
        if text is None:
            text = self._keys[key] = key.decode("utf-8", "replace")
        return text, value.decode("utf-8", "replace")


def _text(value: bytes | int | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
