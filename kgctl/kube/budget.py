"""Limits for the memory and time that one list may take of this machine.

A compromised server, or a proxy in front of it, may send lists without end. The limits are for a
whole list, with its pages and attempts. Memory is counted as Python needs it for the decoded
objects, which may be fifty times the bytes on the wire.
"""

from __future__ import annotations

import time
from sys import getsizeof
from typing import TYPE_CHECKING

from kgctl.errors import AnswerError, ClusterError, RequestTimeoutError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from kgctl.kube.objects import NodeObject

MEMORY = 512 << 20
"""Bytes that a list may take: a hundred times those of 5,000 nodes and as many peers."""

SECONDS = 300.0
"""Seconds that a list may take with all pages and attempts; or ten requests, if that is more."""

OBJECT = 700
"""Bytes to charge for a kept object, besides its content."""

ENTRY = 160
"""Bytes to charge for a label, an annotation and such."""

NODE_PEAK = 25
"""The most bytes that a byte of JSON takes while it is decoded to nodes. Measured are 22, for
``{},`` in a list of taints, and 21, for empty nodes; the rest is for the system's overhead."""

_TEXT = 60  # bytes of overhead of a kept text

_TOKEN = 72  # bytes of a JSON element as a Python object, such as an empty list or dict
_UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "k": 10**3, "M": 10**6, "G": 10**9}


class Budget:
    """The memory, in bytes, and the time that a list has left. ``place`` names the server."""

    def __init__(self, place: str, memory: int = MEMORY, timeout: float | None = None) -> None:
        self._place = place
        self._memory = memory
        self.left = memory
        self._deadline = time.monotonic() + max(SECONDS, 10 * (timeout or 0.0))

    def charge(self, size: int) -> None:
        """Take ``size`` bytes.

        Raises:
            AnswerError: fewer are left.
        """
        self.left -= size
        if self.left < 0:
            raise too_much(f"one list of {self._place} takes", self._memory)

    def require(self, size: int) -> None:
        """Check that ``size`` bytes are left, without taking them.

        Raises:
            AnswerError: fewer are left.
        """
        self.charge(size)
        self.left += size

    def renew(self) -> None:
        """Restore all of the memory: what was read is not kept."""
        self.left = self._memory

    def charge_json(self, data: bytes | bytearray) -> None:
        """Take the bytes that a JSON text needs when it is decoded to Python objects."""
        self.charge(json_size(data))

    def seconds(self, limit: float | None) -> float:
        """Return the seconds for one request, which may take at most ``limit``; None is no limit.

        Raises:
            RequestTimeoutError: no time is left.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise RequestTimeoutError(
                f"one list of {self._place} took too long, with all its pages and attempts"
            )
        return left if limit is None else min(left, limit)


def too_much(what: str, memory: int) -> AnswerError:
    """Return the error of a server whose answers take more than ``memory`` bytes."""
    return AnswerError(
        f"{what} more than {memory >> 20} MiB of memory: is it the API server?",
        field="memory",
        value=memory,
    )


def json_size(data: bytes | bytearray) -> int:
    """Return the most bytes that a JSON text and its Python objects take.

    Python takes four bytes for each character of a text if one of them is outside the basic plane.
    """
    tokens = data.count(b",") + data.count(b":") + data.count(b"{") + data.count(b"[")
    wide = not data.isascii() or b"\\u" in data
    return len(data) * (4 if wide else 1) + _TOKEN * tokens


def node_size(node: NodeObject) -> int:
    """Return the most bytes that a kept node takes."""
    platform = node.platform
    texts = (
        *(node.name, node.pod_cidr, platform.provider_id),
        *(*platform.pod_cidrs, *platform.taints),
        *(*node.labels, *node.labels.values()),
        *(*node.annotations, *node.annotations.values()),
    )
    return OBJECT + _TEXT * len(texts) + sum(map(getsizeof, texts))


def parse_size(text: str) -> int:
    """Parse a size as Kubernetes writes quantities (``512Mi``, ``2G``), and return its bytes.

    Raises:
        ClusterError: it is not a size, or 0.
    """
    number = text.rstrip("KMGik")
    unit = _UNITS.get(text[len(number) :])
    if unit is None or not (number.isascii() and number.isdigit() and 0 < len(number) < 16):
        raise ClusterError(
            f'list size "{printable(text, 40)}" is not a size: give bytes, or 512Mi, 2Gi',
            field="list size",
            value=text,
        )
    if not int(number):
        raise ClusterError(
            "list size 0 is too small: give bytes, or 512Mi, 2Gi",
            field="list size",
            value=text,
        )
    return int(number) * unit
