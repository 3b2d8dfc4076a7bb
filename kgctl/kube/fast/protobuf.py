"""Decoder of Kubernetes' protobuf for lists of nodes, without their status, and for a Status.

The field numbers are those of ``generated.proto`` in k8s.io/api/core/v1 and
k8s.io/apimachinery/pkg/apis/meta/v1. The envelope is that of k8s.io/apimachinery/pkg/runtime: four
magic bytes, then an ``Unknown``.

A list is decoded as it arrives: the 10 kB of a node, most of it status, are freed before the next
one is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.kube.budget import ENTRY, OBJECT
from kgctl.kube.fast.wire import CUT, TOO_LONG, MalformedError, Stream, fields, span
from kgctl.kube.objects import NodeObject
from kgctl.mesh.node import NO_PLATFORM, Platform

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
MAX_OBJECTS = 1_000_000
"""The most objects in one answer; Kubernetes supports clusters of 5,000 nodes."""

# tags: the number of a field, times eight, plus two for strings, bytes and messages
_METADATA, _SPEC = 0x0A, 0x12
_NAME, _LABEL, _ANNOTATION = 0x0A, 0x5A, 0x62
_KEY, _VALUE = 0x0A, 0x12
_POD_CIDR, _PROVIDER_ID, _TAINT, _POD_CIDRS = 0x0A, 0x1A, 0x2A, 0x3A


class NodePage(NamedTuple):
    """One page of a list; ``next_page`` is the token for the page after it, or empty."""

    nodes: list[NodeObject]
    resource_version: str
    next_page: str


class StatusMessage(NamedTuple):
    """The content of a Kubernetes Status object."""

    message: str
    reason: str
    code: int


def read_node_list(
    read: Callable[[int], bytes],
    label: str = "",
    *,
    annotation: str = "",
    platform: bool = False,
    charge: Callable[[int], None] = lambda _size: None,
) -> NodePage:
    """Decode a NodeList, or a list of any objects' metadata; ``read`` returns ``b""`` at its end.

    Only labels whose name begins with ``label``, and annotations whose name begins with
    ``annotation``, are kept. The platform of nodes is read only with ``platform``. ``charge`` gets
    the memory of each node, in bytes, and may raise.

    Raises:
        MalformedError: it is malformed, truncated, or too large.
    """
    stream = Stream(read)
    nodes: list[NodeObject] = []
    meta: dict[int, bytes | int] = {}
    kept = Kept(_bytes(label), _bytes(annotation), {}, platform)
    for number, data, begin, stop in stream.members(_enter(stream)):
        if number == 2:
            node = parse_node(data, begin, stop, kept)
            nodes.append(node)
            entries = len(node.labels) + len(node.annotations)
            if platform:
                entries += len(node.platform.pod_cidrs) + len(node.platform.taints)
            charge(OBJECT + ENTRY * entries)
            if len(nodes) > MAX_OBJECTS:
                raise MalformedError(f"it lists more than {MAX_OBJECTS:,} objects")
        elif number == 1:
            meta = dict(fields(data[begin:stop]))
    stream.finish()
    return NodePage(nodes, _text(meta.get(2)), _text(meta.get(3)))


def _enter(stream: Stream) -> int:
    """Skip the magic bytes and the type in the envelope; return the size of the list."""
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
    """Decode a Status.

    Raises:
        MalformedError: it is malformed.
    """
    if not body.startswith(MAGIC):
        raise MalformedError("it does not begin as Kubernetes' protobuf does")
    raw = dict(fields(body[len(MAGIC) :])).get(2)
    status = dict(fields(raw if isinstance(raw, bytes) else b""))
    code = status.get(6)
    return StatusMessage(
        _text(status.get(3)), _text(status.get(4)), code if isinstance(code, int) else 0
    )


def parse_node(data: bytes, pos: int, stop: int, kept: Kept) -> NodeObject:
    """Parse the Node in ``data`` from ``pos`` to ``stop``.

    Only the parts that ``kept`` selects are copied.

    Raises:
        MalformedError: it is not a protobuf message.
    """
    node = _Found()
    try:
        while pos < stop:
            tag, begin, size = span(data, pos)
            pos = begin + size
            if tag == _METADATA:
                _metadata(data, begin, pos, node, kept)
            elif tag == _SPEC:
                node.pod_cidr = _pod_cidr(data, begin, pos) or node.pod_cidr
                if kept.platform:
                    node.platform = _platform(data[begin:pos])
    except IndexError as error:
        raise MalformedError(CUT) from error
    if pos != stop:
        raise MalformedError(TOO_LONG)
    return NodeObject(node.name, node.pod_cidr, node.labels, node.annotations, node.platform)


class _Found:
    """The parts of a node found so far."""

    __slots__ = ("annotations", "labels", "name", "platform", "pod_cidr")

    def __init__(self) -> None:
        self.name = self.pod_cidr = ""
        self.labels: dict[str, str] = {}
        self.annotations: dict[str, str] = {}
        self.platform = NO_PLATFORM


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


def _platform(spec: bytes) -> Platform:
    """Return the platform in a NodeSpec, for a diagnosis."""
    pod_cidrs, taints, provider_id, pos = [], [], "", 0
    while pos < len(spec):
        tag, begin, size = span(spec, pos)
        pos = begin + size
        value = spec[begin:pos]
        if tag == _POD_CIDRS:
            pod_cidrs.append(_text(value))
        elif tag == _PROVIDER_ID:
            provider_id = _text(value)
        elif tag == _TAINT:
            taints.append(_text(dict(fields(value)).get(1)))
    return Platform(tuple(pod_cidrs), provider_id, tuple(taints))


def _metadata(data: bytes, pos: int, stop: int, node: _Found, kept: Kept) -> None:
    """Read an ObjectMeta into ``node``.

    Reading a cluster spends most of its time here. Nearly every field has a tag of one byte and a
    length of one or two, so a length of one byte is read inline, and ``span`` reads the rest.
    Likewise, an entry of a map usually begins with its short key; other entries are read as a
    whole.
    """
    begins, label, annotation, keys = data.startswith, kept.label, kept.annotation, kept.keys
    annotations, labels = node.annotations, node.labels
    while pos < stop:
        tag, size = data[pos], data[pos + 1]
        if size > 0x7F or tag & 0x87 != 2:
            tag, begin, size = span(data, pos)
        else:
            begin = pos + 2
        pos = begin + size
        if tag == _ANNOTATION:
            into, wanted = annotations, annotation
        elif tag == _LABEL:
            into, wanted = labels, label
        else:
            if tag == _NAME:
                node.name = _text(data[begin:pos])
            continue
        at = begin + 2
        if not begins(wanted, at) and data[begin] == _KEY and data[begin + 1] <= 0x7F:
            continue
        at += data[begin + 1]
        if (
            data[begin] == _KEY
            and at + 1 < pos
            and data[at] == _VALUE
            and at + 2 + data[at + 1] == pos
        ):
            raw_key = data[begin + 2 : at]
            key = keys.get(raw_key) or keys.setdefault(raw_key, _text(raw_key))
            into[key] = data[at + 2 : pos].decode("utf-8", "replace")
            continue
        raw_key, raw_value = _any_entry(data[begin:pos])
        if raw_key.startswith(wanted):
            into[_text(raw_key)] = _text(raw_value)
    if pos != stop:
        raise MalformedError(TOO_LONG)


class Kept(NamedTuple):
    """The parts of nodes to keep: the prefixes of names of labels and annotations.

    ``keys`` has the names of labels and annotations, by their bytes, shared by all nodes.
    """

    label: bytes
    annotation: bytes
    keys: dict[bytes, str]
    platform: bool = False


def _any_entry(entry: bytes) -> tuple[bytes, bytes]:
    found = dict(fields(entry))
    key, value = found.get(1, b""), found.get(2, b"")
    if isinstance(key, bytes) and isinstance(value, bytes):
        return key, value
    raise MalformedError("an entry of a map is none of strings")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(value: bytes | int | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
