"""An HTTP/1.1 client (RFC 9112) on a connected socket, with the features that API servers use.

``http.client`` imports the email package and half of the standard library: 10 ms, a fifth of all
imports that kgctl needs to read a cluster. This module has no support for transfer codings other
than chunked, for folded headers, and for upgrades: API servers do not send them, and kgctl does not
ask for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.kube.timeout import remaining

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

MAX_HEAD = 1 << 16
"""The most bytes of the status line, of the headers together, and of the trailers."""

_MAX_CHUNK_LINE = 1 << 10
_MAX_INTERIM = 10
_RECEIVE = 1 << 16
_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_HEX = b"0123456789ABCDEFabcdef"


class NoHttpError(Exception):
    """The received bytes are not HTTP/1.1."""


class Wire:
    """A connection with a buffer of received bytes.

    ``deadline`` is the time at which every wait on it ends, on the clock of ``time.monotonic``;
    None is never.
    """

    def __init__(self, wire: socket.socket) -> None:
        self._socket = wire
        self._received = b""
        self._at = 0  # the bytes of it that have been used
        self.deadline: float | None = None

    def send(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes | None
    ) -> None:
        """Send a request; the caller keeps names, values and target free of line breaks.

        Raises:
            OSError: the connection is broken, or the deadline has passed.
        """
        lines = [f"{method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self._wait()
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))

    @property
    def pending(self) -> bool:
        """Whether bytes were received that nobody has used yet."""
        return self._at < len(self._received)

    def line(self, limit: int) -> bytes:
        """Return the next line without its end.

        Raises:
            NoHttpError: it has more than ``limit`` bytes.
            OSError: the connection ended before the line did, or the deadline has passed.
        """
        while (end := self._received.find(b"\r\n", self._at)) < 0:
            if len(self._received) - self._at > limit + 1:  # one more may be the CR of the line
                raise NoHttpError
            more = self.receive(_RECEIVE) or _hung_up()
            self._received, self._at = self._received[self._at :] + more, 0
        line = self._received[self._at : end]
        if len(line) > limit:
            raise NoHttpError
        self._at = end + 2
        return line

    def some(self, size: int) -> bytes:
        """Return the next 1 to ``size`` bytes; ``b""`` if the connection has ended.

        Raises:
            OSError: the connection is broken, or the deadline has passed.
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
        """Close the connection."""
        self._socket.close()


class Answer:
    """The answer to the last request; its body is read as it arrives.

    Raises:
        NoHttpError: it is not HTTP/1.1.
        OSError: the connection ended too early, or the deadline has passed.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        version, self.status = self._status_line()
        self.headers = self._headers()
        # their number is limited: a server may announce its answer for ever
        interim = 0
        while self.status < 200:  # "100 Continue" and such announce the final answer
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
        """Return the transfer coding or the length; neither if the connection ends the body."""
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
            NoHttpError: a chunk is malformed.
            OSError: the connection ended before the body did, or the deadline has passed.
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
            self._headers()  # the trailers, which are ignored
        return self._left > 0

    def _ended(self) -> None:
        if not self._chunked:
            self.complete = True
        elif self._wire.line(0):
            raise NoHttpError


def _hung_up() -> bytes:
    raise ConnectionResetError("the connection ended too early")
