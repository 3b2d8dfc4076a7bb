"""HTTP/1.1 is read as by http.client, and malformed data only causes errors."""

from __future__ import annotations

import contextlib
import http.client
import io
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.kube.fast.http1 import MAX_HEAD, Answer, NoHttpError, Wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence


class Line:
    """A socket whose other end has sent ``data``, and which hands it over in small pieces."""

    def __init__(self, data: bytes, piece: int = 1 << 20) -> None:
        self._stream = io.BytesIO(data)
        self._piece = piece
        self.sent = b""

    def recv(self, size: int) -> bytes:
        return self._stream.read(min(size, self._piece))

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def settimeout(self, _seconds: float | None) -> None:
        """Nothing here is waited for."""

    def close(self) -> None:
        """Nothing is open."""


def answers(data: bytes, piece: int = 1 << 20, count: int = 1) -> list[tuple[Answer, bytes]]:
    """Read so many answers from one connection, and the bodies of each."""
    wire = Wire(cast("socket.socket", Line(data, piece)))
    found = []
    for _ in range(count):
        answer = Answer(wire)
        found.append((answer, body_of(answer)))
    return found


def body_of(answer: Answer) -> bytes:
    pieces = []
    while piece := answer.read(1000):
        pieces.append(piece)
    return b"".join(pieces)


def chunked(pieces: Sequence[bytes]) -> bytes:
    parts = [b"%x;name=value\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece]
    return b"".join(parts) + b"0\r\nTrailer: x\r\n\r\n"


names = st.from_regex(r"x-[a-z0-9-]{1,10}", fullmatch=True)
values = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
headers = st.dictionaries(names, values, max_size=5)
bodies = st.lists(st.binary(max_size=300), max_size=4)


@given(
    st.integers(200, 599).filter(lambda status: status not in (204, 304)),
    headers,
    bodies,
    st.sampled_from(["length", "chunked", "end"]),
    st.integers(1, 200),
)
def test_it_reads_what_http_client_reads(
    status: int, headers: dict[str, str], pieces: list[bytes], framing: str, piece: int
) -> None:
    body = b"".join(pieces)
    lines = [f"HTTP/1.1 {status} Some Reason", *(f"{n}: {v}" for n, v in headers.items())]
    if framing == "length":
        lines.append(f"Content-Length:{len(body)} ")
    elif framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
    head = "\r\n".join([*lines, "", ""]).encode()
    data = head + (chunked(pieces) if framing == "chunked" else body)
    ((answer, read),) = answers(data, piece)

    with contextlib.closing(_Readable(data)) as line:
        other = http.client.HTTPResponse(cast("socket.socket", line))
        other.begin()
        assert (answer.status, read) == (other.status, other.read())
        # which leaves the blank after a value to who asks for it
        assert {n.lower(): v.rstrip() for n, v in other.getheaders()} == answer.headers
    assert answer.reusable == (framing != "end")
    assert answer.complete


class _Readable:
    """What http.client asks of a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)

    def close(self) -> None:
        """Nothing is open."""


@given(bodies, bodies, st.integers(1, 50))
def test_one_answer_ends_where_the_next_begins(
    one: list[bytes], two: list[bytes], piece: int
) -> None:
    first = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(one)
    body = b"".join(two)
    second = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: %d\r\n\r\n%s"
    found = answers(first + second % (len(body), body), piece, 2)
    assert [(answer.status, read) for answer, read in found] == [(200, b"".join(one)), (404, body)]


@given(st.data())
def test_an_answer_cut_short_is_told_from_a_whole_one(data: st.DataObject) -> None:
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked([b"abc", b"def"])
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ConnectionResetError):
        answers(whole[:cut])
    with pytest.raises(ConnectionResetError):
        answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd")


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 999 OK\r\n\r\n",
        b"HTTP/1.1 200OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9" + b"9" * 30 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 2000,
        b"HTTP/1.1 200 " + b"x" * MAX_HEAD,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * MAX_HEAD,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * MAX_HEAD,
    ],
)
def test_what_is_no_http_is_refused(data: bytes) -> None:
    with pytest.raises(NoHttpError):
        answers(data)


@given(st.binary(max_size=200), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n"]))
def test_hostile_bytes_give_an_answer_or_one_of_two_errors(data: bytes, start: bytes) -> None:
    with contextlib.suppress(NoHttpError, ConnectionResetError):
        ((_, read),) = answers(start + data)
        assert len(read) <= len(data)


@pytest.mark.parametrize(
    ("data", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
    ],
)
def test_a_connection_is_kept_if_the_server_keeps_it(data: bytes, reusable: bool) -> None:
    ((answer, read),) = answers(data)
    assert (answer.reusable, read) == (reusable, b"")


def test_a_request_is_sent_as_the_rules_have_it() -> None:
    line = Line(b"")
    Wire(cast("socket.socket", line)).send("POST", "/a?b=c", (("Host", "h"), ("X", "y")), b"body")
    assert line.sent == b"POST /a?b=c HTTP/1.1\r\nHost: h\r\nX: y\r\nContent-Length: 4\r\n\r\nbody"


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nA: b\r\n"])
def test_bytes_that_drip_do_not_hold_off_the_deadline(start: bytes) -> None:
    class Dripping(Line):
        def recv(self, _size: int) -> bytes:
            time.sleep(0.01)
            return super().recv(1) or b"x"

    wire = Wire(cast("socket.socket", cast("Any", Dripping(start))))
    wire.deadline = time.monotonic() + 0.2
    with pytest.raises(TimeoutError):
        Answer(wire)
    assert time.monotonic() < wire.deadline + 10  # not for ever, on however busy a machine
