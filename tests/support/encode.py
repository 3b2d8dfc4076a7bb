"""A protobuf encoder, written from the specification and independent of the reader under test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def member(number: int, content: bytes | str) -> bytes:
    """Return a field of wire type 2: a string, bytes or a message."""
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(data)) + data


def scalar(number: int, value: int) -> bytes:
    """Return a field of wire type 0."""
    return varint(number << 3) + varint(value)


def string_map(number: int, entries: Mapping[str, str]) -> bytes:
    return b"".join(member(number, member(1, key) + member(2, entries[key])) for key in entries)


def node(
    name: str,
    pod_cidr: str = "",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    status: bytes = b"",
) -> bytes:
    """Return a Node as Kubernetes writes it, with other fields around the wanted ones."""
    metadata = (
        member(1, name)
        + member(2, "")
        + member(6, "4711")
        + scalar(7, 300)
        + member(8, scalar(1, 1_800_000_000))
        + string_map(11, labels or {})
        + string_map(12, annotations or {})
        + member(17, member(1, "kubelet") + member(7, b"{}" * 100))
    )
    spec = member(1, pod_cidr) + scalar(4, 1) + member(7, pod_cidr)
    return member(1, metadata) + member(2, spec) + member(3, status)


def node_list(nodes: Sequence[bytes], version: str = "1", token: str = "") -> bytes:
    meta = member(1, "") + member(2, version) + member(3, token)
    return envelope("NodeList", member(1, meta) + b"".join(member(2, one) for one in nodes))


def envelope(kind: str, content: bytes) -> bytes:
    return (
        b"k8s\0"
        + member(1, member(1, "v1") + member(2, kind))
        + member(2, content)
        + member(3, "")
        + member(4, "")
    )


def status(message: str, reason: str, code: int) -> bytes:
    return envelope(
        "Status",
        member(1, b"")
        + member(2, "Failure")
        + member(3, message)
        + member(4, reason)
        + scalar(6, code),
    )
