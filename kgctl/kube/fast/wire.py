"""Decoder of protobuf's wire format for untrusted bytes: the work is linear in their number.

The encoding is that of https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.errors import AnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_OBJECT = 16 << 20
"""The most bytes of one object; etcd limits objects to a tenth of this."""

CUT = "a number is cut short"
TOO_LONG = "a field is longer than what holds it"

_CHUNK = 1 << 18
_TAIL = 1 << 16  # the most bytes that may follow a list in its envelope: two short strings


class MalformedError(AnswerError):
    """The bytes are not protobuf of the requested kind."""

    def __init__(self, what: str) -> None:
        super().__init__(f"cannot read the API server's protobuf answer: {what}")


def fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield the number and value of each field of a message.

    Raises:
        MalformedError: ``data`` is not a message.
    """
    pos, stop = 0, len(data)
    try:
        while pos < stop:
            tag, pos = _varint(data, pos)
            if tag & 7 == 2:
                size, pos = _varint(data, pos)
                if pos + size > stop:
                    raise MalformedError(TOO_LONG)
                yield tag >> 3, data[pos : pos + size]
                pos += size
            else:
                value, pos = _scalar(data, pos, tag & 7)
                if pos > stop:
                    raise MalformedError(CUT)
                yield tag >> 3, value
    except IndexError as error:
        raise MalformedError(CUT) from error


def span(data: bytes, pos: int) -> tuple[int, int, int]:
    """Return the tag of any field, and the start and size of its content.

    Nearly every field is a string or message with a tag of one byte and a size of one or two. These
    are read directly, since this is called a dozen times per node.
    """
    tag = data[pos]
    if tag <= 0x7F and tag & 7 == 2:
        low = data[pos + 1]
        if low <= 0x7F:
            return tag, pos + 2, low
        high = data[pos + 2]
        if high <= 0x7F:
            return tag, pos + 3, low & 0x7F | high << 7
    tag, pos = _varint(data, pos)
    if tag & 7 == 2:
        size, pos = _varint(data, pos)
        return tag, pos, size
    _, end = _scalar(data, pos, tag & 7)
    return tag, pos, end - pos


def _varint(data: bytes, pos: int) -> tuple[int, int]:
    """Return the number at ``pos`` and the position after it; IndexError if it is truncated."""
    value = shift = 0
    while True:
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, pos
        shift += 7
        if shift > 63:
            raise MalformedError("a number has more than 64 bits")


def _scalar(data: bytes, pos: int, wire_type: int) -> tuple[int, int]:
    """Return the number of the given wire type at ``pos`` and the position after it."""
    if wire_type == 0:
        return _varint(data, pos)
    width = {1: 8, 5: 4}.get(wire_type)
    if width is None:
        raise MalformedError(f"there is no wire type {wire_type}")
    return int.from_bytes(data[pos : pos + width], "little"), pos + width


class Stream:
    """A message that is still arriving; at most one object and one read of it are in memory."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._data = b""
        self._at = 0
        self._total = 0

    def members(self, size: int) -> Iterator[tuple[int, bytes, int, int]]:
        """Yield each string or message field in the next ``size`` bytes: number, data, start, stop.

        The content is ``data[start:stop]``. It is not copied, since most of it is not needed.
        """
        while size > 0:
            data, start = self._data, self._at
            # nearly every object is complete, with a tag of one byte and a size of up to three
            if start + 4 <= len(data) and (tag := data[start]) <= 0x7F and tag & 7 == 2:
                length, begin = data[start + 1], start + 2
                if length > 0x7F:
                    length, begin = length & 0x7F | data[start + 2] << 7, start + 3
                    if length > 0x3FFF:
                        length, begin = length & 0x3FFF | data[start + 3] << 14, start + 4
                stop = begin + length
                if length <= 0x1FFFFF and stop <= len(data):
                    self._at = stop
                    size -= stop - start
                    yield tag >> 3, data, begin, stop
                    continue
            before = self._consumed()
            tag = self.varint()
            if tag & 7 == 2:
                length = self.varint()
                stop = self._step(length)
                size -= self._consumed() - before
                yield tag >> 3, self._data, stop - length, stop
            elif tag & 7 == 0:
                self.varint()
                size -= self._consumed() - before
            else:
                raise MalformedError(f"a list has no field of wire type {tag & 7}")
        if size:
            raise MalformedError("an object is longer than the list")

    def finish(self) -> None:
        """Read the rest to its end, so that the connection can be used again."""
        left = len(self._data) - self._at
        while left <= _TAIL:
            data = self._read(_CHUNK)
            if not data:
                return
            left += len(data)
        raise MalformedError("too much follows the list")

    def _consumed(self) -> int:
        return self._total - len(self._data) + self._at

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes.

        Raises:
            MalformedError: there are fewer, or ``size`` is larger than an object may be.
        """
        stop = self._step(size)
        return self._data[stop - size : stop]

    def _step(self, size: int) -> int:
        """Skip the next ``size`` bytes, which are then in memory, and return the end position."""
        if size > MAX_OBJECT:
            raise MalformedError(f"an object has {size:,} bytes")
        if self._at + size > len(self._data):
            self._fill(size)
        self._at += size
        return self._at

    def _fill(self, size: int) -> None:
        pieces = [self._data[self._at :]]
        have = len(pieces[0])
        while have < size:
            piece = self._read(_CHUNK)
            if not piece:
                raise MalformedError("it is cut short")
            pieces.append(piece)
            have += len(piece)
            self._total += len(piece)
        self._data = b"".join(pieces)
        self._at = 0

    def varint(self) -> int:
        """Return the next number.

        Raises:
            MalformedError: there is none.
        """
        value = shift = 0
        while True:
            if self._at == len(self._data):
                self._fill(1)
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise MalformedError("a number has more than 64 bits")
