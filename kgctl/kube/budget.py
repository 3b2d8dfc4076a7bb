"""How much memory and time one list may take of this machine, whatever a server sends.

A server that was taken over, or a proxy before it, may send lists without end. What counts is all
of a list together, its pages and attempts: memory as Python needs it for what was decoded, not the
bytes that came over the wire, which may be a fiftieth of that.
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
"""Bytes that a list may take: a hundred times what 5,000 nodes and as many peers do."""

SECONDS = 300.0
"""How long a list may take with all of its pages and attempts, or ten requests, if that is more."""

OBJECT = 700
"""Bytes that are charged for an object that is kept, besides what it holds."""

ENTRY = 160
"""Bytes that are charged for a label, an annotation and the like, besides its text."""

NODE_PEAK = 25
"""Bytes that a byte of JSON takes at most while it becomes nodes. Measured are 22, of ``{},`` in a
list of taints, and 21, of nodes that have nothing; the rest is for what the system adds."""

_TEXT = 60  # bytes that a text takes where it is kept, besides its own

_TOKEN = 72  # bytes that an element of JSON takes as an object of Python's: an empty list, a dict
_UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "k": 10**3, "M": 10**6, "G": 10**9}


class Budget:
    """What is left of a list's memory, in bytes, and of its time. ``place`` names the server."""

    def __init__(self, place: str, memory: int = MEMORY, timeout: float | None = None) -> None:
        self._place = place
        self._memory = memory
        self.left = memory
        self._deadline = time.monotonic() + max(SECONDS, 10 * (timeout or 0.0))

    def charge(self, size: int) -> None:
        """Take so many bytes.

        Raises:
            AnswerError: there are not as many left.
        """
        self.left -= size
        if self.left < 0:
            raise too_much(f"what {self._place} sends for one list takes", self._memory)

    def require(self, size: int) -> None:
        """Make sure that there are so many bytes for a moment; none are taken.

        Raises:
            AnswerError: there are not as many left.
        """
        self.charge(size)
        self.left += size

    def renew(self) -> None:
        """Have all of the memory again: what was read is not kept."""
        self.left = self._memory

    def charge_json(self, data: bytes | bytearray) -> None:
        """Take what a JSON text becomes when it is decoded into objects of Python's."""
        self.charge(json_size(data))

    def seconds(self, limit: float | None) -> float:
        """Return the seconds for one request, which may take at most ``limit``; None is no limit.

        Raises:
            RequestTimeoutError: there are none left.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise RequestTimeoutError(
                f"a list of {self._place} has no end in sight: pages or attempts took too long"
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
    """Return the bytes that a JSON text takes at most as objects of Python's, with the text.

    A text takes four bytes for each of its characters where one of them is beyond Latin and Greek.
    """
    tokens = data.count(b",") + data.count(b":") + data.count(b"{") + data.count(b"[")
    wide = not data.isascii() or b"\\u" in data
    return len(data) * (4 if wide else 1) + _TOKEN * tokens


def node_size(node: NodeObject) -> int:
    """Return the bytes that a node takes at most for as long as it is kept."""
    platform = node.platform
    texts = (
        *(node.name, node.pod_cidr, platform.provider_id),
        *(*platform.pod_cidrs, *platform.taints),
        *(*node.labels, *node.labels.values()),
        *(*node.annotations, *node.annotations.values()),
    )
    return OBJECT + _TEXT * len(texts) + sum(map(getsizeof, texts))


def parse_size(text: str) -> int:
    """Return the bytes that ``text`` names, as Kubernetes writes quantities: ``512Mi``, ``2G``.

    Raises:
        ClusterError: it names none.
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
            "list size 0 has no room for anything: give bytes, or 512Mi, 2Gi",
            field="list size",
            value=text,
        )
    return int(number) * unit
