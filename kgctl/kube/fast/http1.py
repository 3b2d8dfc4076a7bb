"""HTTP/1.1 as an API server speaks it, on a connected socket.

``http.client`` would do, but imports the email package and half of the standard library with it:
10 ms, which is a fifth of all that kgctl imports to read a cluster. What is left out here is what
no API server sends and no kgctl asks for: other transfer codings than chunked, folded headers,
upgrades. Rules: RFC 9112.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.kube.timeout import remaining

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

MAX_HEAD = 1 << 16
"""Bytes that the status line and headers may have together, and the trailers."""

_MAX_CHUNK_LINE = 1 << 10
_MAX_INTERIM = 10
_RECEIVE = 1 << 16
_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_HEX = b"0123456789ABCDEFabcdef"


class NoHttpError(Exception):
    """What came is no HTTP/1.1."""


class Wire:
    """A connection, and what has been received on it and not been used yet.

    ``deadline`` is when all waiting on it ends, on the clock of ``time.monotonic``; None is never.
    """

    def __init__(self, wire: socket.socket) -> None:
        self._socket = wire
        self._received = b""
        self._at = 0  # what of it has been used
        self.deadline: float | None = None

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> None:
        """Send a request; names, values and target are the caller's to keep free of line breaks.

        Raises:
            OSError: the connection is broken, or the deadline has come.
        """
        lines = [f"{method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self._wait()
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))

    def line(self, limit: int) -> bytes:
        """Return the next line without its end.

        Raises:
            NoHttpError: it has more than ``limit`` bytes.
            OSError: the connection ended before the line did, or the deadline has come.
        """
        while (end := self._received.find(b"\r\n", self._at)) < 0:
            if len(self._received) - self._at > limit + 1:  # one more may be half of the line's end
                raise NoHttpError
            more = self.receive(_RECEIVE) or _hung_up()
            self._received, self._at = self._received[self._at :] + more, 0
        line = self._received[self._at : end]
        if len(line) > limit:
            raise NoHttpError
        self._at = end + 2
        return line

    def some(self, size: int) -> bytes:
        """Return the next 1 to ``size`` bytes; ``b""`` when the connection has ended.

        Raises:
            OSError: the connection is broken, or the deadline has come.
        """
        if self._at == len(self._received):
            return self.receive(min(size, _RECEIVE))
        data = self._received[self._at : self._at + size]
        self._at += len(data)
        return data

    def receive(self, size: int) -> bytes:
        """Wait for bytes, until the deadline."""
        self._wait()
        return self._socket.recv(size)

    def _wait(self) -> None:
        self._socket.settimeout(remaining(self.deadline))

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


class Answer:
    """The answer to the request that was sent last; its body is read as it arrives.

    Raises:
        NoHttpError: what came is none.
        OSError: the connection ended too early, or the deadline has come.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        version, self.status = self._status_line()
        self.headers = self._headers()
        # whose number is bounded: a server may announce its answer for ever
        interim = 0
        while self.status < 200:  # "100 Continue" and its like announce the true answer
            interim += 1
            if interim > _MAX_INTERIM:
                raise NoHttpError
            version, self.status = self._status_line()
            self.headers = self._headers()
        coding, length = self._framing()
        self._chunked = coding is not None
        self._left = 0 if self._chunked else length
        self.complete = self._left == 0 and not self._chunked
        ends = self.headers.get("connection", "").lower() == "close" or version == b"HTTP/1.0"
        self.reusable = not ends and (self._chunked or length is not None)

    def _status_line(self) -> tuple[bytes, int]:
        version, _, rest = self._wire.line(MAX_HEAD).partition(b" ")
        status = rest[:3]
        known = version in (b"HTTP/1.1", b"HTTP/1.0") and status.isdigit() and rest[3:4] in b" "
        if not known or not b"100" <= status <= b"599":
            raise NoHttpError
        return version, int(status)

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        left = MAX_HEAD
        while line := self._wire.line(left):
            raw_name, colon, raw_value = line.partition(b":")
            odd = b"\n" in raw_value or b"\r" in raw_value or b"\0" in raw_value
            if not colon or not raw_name or raw_name.translate(None, _TOKEN) or odd:
                raise NoHttpError
            left -= len(line) + 2
            name, value = raw_name.decode().lower(), raw_value.decode("latin-1").strip(" \t")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
            if left <= 0:
                raise NoHttpError
        return headers

    def _framing(self) -> tuple[str | None, int | None]:
        """Return the transfer coding or the length; neither where the connection's end is it."""
        coding, length = (self.headers.get(n) for n in ("transfer-encoding", "content-length"))
        if self.status in (204, 304):
            return None, 0
        if coding is not None and (length is not None or coding.lower() != "chunked"):
            raise NoHttpError
        if length is not None and not (length.isascii() and length.isdigit() and len(length) < 19):
            raise NoHttpError
        return coding, None if length is None else int(length)

    def read(self, size: int) -> bytes:
        """Return the next 1 to ``size`` bytes of the body, ``b""`` at its end.

        Raises:
            NoHttpError: a chunk is none.
            OSError: the connection ended before the body did, or the deadline has come.
        """
        if self.complete:
            return b""
        if self._chunked and self._left == 0 and not self._next_chunk():
            self.complete = True
            return b""
        if self._left is None:
            data = self._wire.some(size)
            self.complete = not data
            return data
        data = self._wire.some(min(size, self._left)) or _hung_up()
        self._left -= len(data)
        if self._left == 0:
            self._ended()
        return data

    def _next_chunk(self) -> bool:
        size = self._wire.line(_MAX_CHUNK_LINE).partition(b";")[0].rstrip(b" \t")
        if not 0 < len(size) < 16 or size.translate(None, _HEX):
            raise NoHttpError
        self._left = int(size, 16)
        if self._left == 0:
            self._headers()  # the trailers, which say nothing here
        return self._left > 0

    def _ended(self) -> None:
        if not self._chunked:
            self.complete = True
        elif self._wire.line(0):
            raise NoHttpError


def _hung_up() -> bytes:
    raise ConnectionResetError("the connection ended too early")
