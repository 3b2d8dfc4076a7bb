"""Many requests to the kernel's routing socket at once.

pyroute2 sends one message, waits for its answer, and takes 1 ms of processor time for both: 10 s
for the routes of 5,000 peers. The kernel answers each message by its number. Protocol: netlink(7).
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import HostError
from kgctl.host.netlink import attributes
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

AT_ONCE = 100
"""Requests per batch: the kernel's buffer for the answers holds some 270."""

_HEADER = struct.Struct("=LHHLL")  # nlmsghdr: length, type, flags, number, port
_ERROR = struct.Struct("=l")
_REQUEST = 0x1 | 0x4  # NLM_F_REQUEST, NLM_F_ACK
_ANSWER = 2  # NLMSG_ERROR, which is also "no error"
_HAS_ATTRIBUTES, _CAPPED = 0x200, 0x100  # NLM_F_ACK_TLVS, NLM_F_CAPPED
_TEXT = 1  # NLMSGERR_ATTR_MSG
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_SECONDS = 10.0


class Request(NamedTuple):
    """A message of a ``kind``, such as RTM_NEWROUTE, with its flags (NLM_F_CREATE, …)."""

    kind: int
    flags: int
    body: bytes


class Refusal(NamedTuple):
    """Why the kernel refused a request: an errno, and the kernel's own words if it has any."""

    code: int
    text: str = ""

    @property
    def reason(self) -> str:
        """The reason in words, on one line."""
        return f"{os.strerror(self.code)} ({self.text})" if self.text else os.strerror(self.code)


class BatchSocket:
    """A routing socket that sends requests in batches. ``what`` it changes is for errors."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._number = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self._socket.settimeout(_SECONDS)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)  # an answer does not repeat the request
        with suppress(OSError):  # before Linux 4.12
            self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._socket.bind((0, 0))

    @property
    def port(self) -> int:
        """The port of the socket, which notifications of its changes carry."""
        port: int = self._socket.getsockname()[0]
        return port

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def change(self, requests: Sequence[Request]) -> dict[int, Refusal]:
        """Send requests; return the refusals by the position of the request.

        Raises:
            HostError: the kernel does not answer.
        """
        refused: dict[int, Refusal] = {}
        for start in range(0, len(requests), AT_ONCE):
            for position, refusal in self._send(requests[start : start + AT_ONCE]).items():
                refused[start + position] = refusal
        return refused

    def _send(self, requests: Sequence[Request]) -> dict[int, Refusal]:
        asked: dict[int, int] = {}
        messages = []
        for position, (kind, flags, body) in enumerate(requests):
            self._number = self._number % 0xFFFF_FFFF + 1
            asked[self._number] = position
            size = _HEADER.size + len(body)
            messages.append(_HEADER.pack(size, kind, flags | _REQUEST, self._number, 0) + body)
        refused: dict[int, Refusal] = {}
        try:
            self._socket.send(b"".join(messages))
            while asked:
                for number, refusal in answers(self._socket.recv(1 << 16)):
                    at = asked.pop(number, None)
                    if at is not None and refusal is not None:
                        refused[at] = refusal
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else "no answer"
            raise HostError(f"cannot change {self._what}: {why}") from error
        return refused


def answers(data: bytes) -> Iterator[tuple[int, Refusal | None]]:
    """Yield the number of each request that ``data`` answers; None is success.

    Malformed data, which the kernel never sends, ends the iteration.
    """
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, flags, number, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        start = at + _HEADER.size
        if kind == _ANSWER and start + _ERROR.size <= len(data):
            code = abs(_ERROR.unpack_from(data, start)[0])
            text = _text(data[start + _ERROR.size : at + length]) if _explained(flags) else ""
            yield number, Refusal(code, text) if code else None
        at += length + 3 & ~3


def _explained(flags: int) -> bool:
    return flags & (_HAS_ATTRIBUTES | _CAPPED) == _HAS_ATTRIBUTES | _CAPPED


def _text(rest: bytes) -> str:
    """Return the kernel's words, which follow the header of the request."""
    raw = attributes(rest[_HEADER.size :]).get(_TEXT, b"")
    return printable(raw.rstrip(b"\0").decode("utf-8", "replace")).rstrip(".")
