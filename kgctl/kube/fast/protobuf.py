"""Kubernetes' protobuf, read just far enough: nodes without their status, and a Status.

The field numbers are those of ``generated.proto`` in k8s.io/api/core/v1 and
k8s.io/apimachinery/pkg/apis/meta/v1; the envelope is that of k8s.io/apimachinery/pkg/runtime:
four magic bytes, then an ``Unknown``.

A list is read as it arrives: a node's 10 kB, most of it status, is gone when the next one comes.
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
"""Objects in one answer; Kubernetes is made for clusters of 5,000 nodes."""

# tags: the number of a field, times eight, plus two for strings, bytes and messages
_METADATA, _SPEC = 0x0A, 0x12
_NAME, _LABEL, _ANNOTATION = 0x0A, 0x5A, 0x62
_KEY, _VALUE = 0x0A, 0x12
_POD_CIDR, _PROVIDER_ID, _TAINT, _POD_CIDRS = 0x0A, 0x1A, 0x2A, 0x3A


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


def read_node_list(
    read: Callable[[int], bytes],
    label: str = "",
    *,
    annotation: str = "",
    platform: bool = False,
    charge: Callable[[int], None] = lambda _size: None,
) -> NodePage:
    """Read a NodeList, or a list of any objects' metadata, from ``read`` until it gives ``b""``.

    Of the labels only those are kept whose name begins with ``label``, of the annotations those
    whose name begins with ``annotation``; what the nodes run on is read where ``platform`` asks
    for it. ``charge`` is told what memory each takes, in bytes, and
    may raise.

    Raises:
        MalformedError: it is none, is cut short, or is larger than any true answer.
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


def parse_node(data: bytes, pos: int, stop: int, kept: Kept) -> NodeObject:
    """Parse the Node that stands in ``data`` from ``pos`` to ``stop``.

    What is not ``kept`` of it is not even copied.

    Raises:
        MalformedError: it is no protobuf message.
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
    """What has been found of a node so far."""

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
    """Return what a NodeSpec says of the machine, for a diagnosis."""
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
    """Fill in what ObjectMeta says.

    This is where reading a cluster spends its time. Nearly every field here has a tag of one
    byte and a length of one or two, so those are read in line; the rest is left to ``span``.
    Likewise an entry of a map has its key first, which is short: any other is read as a whole.
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
    """What is kept of the nodes of a list: labels and annotations whose name begins so.

    ``keys`` holds the names of labels and annotations once for all nodes, by their bytes.
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
