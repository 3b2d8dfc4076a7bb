"""A server that answers GETs over plain HTTP with what no real API server sends."""

from __future__ import annotations

import itertools
import socket
import threading
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"


def server(
    answer: Callable[[socket.socket, threading.Event], None],
) -> AbstractContextManager[str]:
    """Run a server that calls ``answer`` on each connection after its request; yield its address.

    ``answer`` ends with the connection, or when the event is set.
    """
    return attentive_server(lambda wire, ended, _head: answer(wire, ended))


@contextmanager
def attentive_server(
    answer: Callable[[socket.socket, threading.Event, bytes], None],
) -> Iterator[str]:
    """Run a server as ``server`` does; ``answer`` also takes the head of the request."""
    ended = threading.Event()

    def serve(wire: socket.socket) -> None:
        with wire, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = wire.recv(1 << 16)
                if not piece:
                    return
                head += piece
            answer(wire, ended, head)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    wire, _ = listener.accept()
                    threading.Thread(target=serve, args=(wire,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def endless_list(wire: socket.socket, ended: threading.Event) -> None:
    """Send a list with endless items."""
    wire.sendall(HEAD + b'\r\n{"metadata":{"resourceVersion":"1"},"items":[{}')
    piece = b',{"a":[]}' * 20_000
    while not ended.is_set():
        wire.sendall(piece)


_tokens = itertools.count()


def endless_pages(wire: socket.socket, _ended: threading.Event) -> None:
    """Send a page of a list that always has a next page."""
    items = ",".join(['{"metadata":{"name":"a"}}'] * 500)
    meta = f'{{"resourceVersion":"1","continue":"{next(_tokens)}"}}'
    body = f'{{"metadata":{meta},"items":[{items}]}}'.encode()
    wire.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


def endless_announcements(wire: socket.socket, ended: threading.Event) -> None:
    """Send 100 Continue for ever."""
    while not ended.wait(0.005):
        wire.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def dripping_head(wire: socket.socket, ended: threading.Event) -> None:
    """Send a header byte by byte, each within a socket's timeout."""
    wire.sendall(HEAD + b"X: ")
    while not ended.wait(0.05):
        wire.sendall(b"a")


def dripping_body(wire: socket.socket, ended: threading.Event) -> None:
    """Send a body byte by byte."""
    wire.sendall(HEAD + b"\r\n")
    while not ended.wait(0.05):
        wire.sendall(b" ")


def dripping_chunk(wire: socket.socket, ended: threading.Event) -> None:
    """Send the first line of a chunk byte by byte."""
    wire.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;")
    while not ended.wait(0.05):
        wire.sendall(b"a")


def unasked_encoding(wire: socket.socket, _ended: threading.Event) -> None:
    """Send a body with an encoding that was not requested."""
    wire.sendall(HEAD + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{}")


SHAPES = {
    "names alone": '{"metadata":{"name":"%x"}}',
    "empty objects": '{"metadata":{"name":"%x","labels":{},"annotations":{}},"spec":{}}',
    "short lists": '{"metadata":{"name":"%x"},"spec":{"podCIDRs":['
    + ",".join(f'"{number:02}"' for number in range(100))
    + "]}}",
    "short labels": '{"metadata":{"name":"%x","labels":{'
    + ",".join(f'"{number:02}":""' for number in range(100))
    + "}}}",
    "lists of lists": '{"metadata":{"name":"%x"},"x":[' + "[]," * 100 + "[]]}",
    "one wide text": '{"metadata":{"name":"%x","labels":{"a":"\U0001f600' + "a" * 20_000 + '"}}}',
}
"""Templates of objects for an endless watch, with ``%x`` for a number."""


def endless_watch(shape: str) -> Callable[[socket.socket, threading.Event, bytes], None]:
    """Return an answer that lists nothing, and sends events of new objects to a watch.

    ``shape`` is the JSON of an object, with ``%x`` for a number.
    """
    numbers, event = itertools.count(), f'{{"type":"ADDED","object":{shape}}}\n'.encode()
    at_once = range(1 + (1 << 14) // len(event))

    def answer(wire: socket.socket, ended: threading.Event, head: bytes) -> None:
        if b"watch=true" not in head:
            body = b'{"metadata":{"resourceVersion":"1"},"items":[]}'
            wire.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            return
        wire.sendall(HEAD + b"\r\n")
        while not ended.is_set():
            wire.sendall(b"".join(event % next(numbers) for _ in at_once))

    return answer
