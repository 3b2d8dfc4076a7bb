"""The API server on a namespace's own loopback, over a line that can be cut."""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from typing import Self

    from tests.network.namespace import Namespace

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Uplink:
    """Passes TCP connections on, from the loopback of a namespace to a server outside of it.

    ``cut`` ends what there is and refuses what comes; ``stall`` lets nothing through without a
    word, as a firewall does; ``mend`` undoes both, for new connections.
    """

    def __init__(
        self, namespace: Namespace, url: str, address: str = "127.0.0.1", host: str = ""
    ) -> None:
        """Listen at an ``address`` inside, which is called ``host`` in the URL."""
        self._target = urlsplit(url)
        self._listener = _listen(namespace, address)
        port = self._listener.getsockname()[1]
        self.url = f"{self._target.scheme}://{host or address}:{port}"
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._cut = False
        self._flowing = threading.Event()
        self._flowing.set()
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # closing alone would leave the thread in accept()
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._flowing.set()
        self.cut()

    def cut(self) -> None:
        """End every connection, and every new one at once."""
        with self._lock:
            self._cut = True
            self._end_all()

    def stall(self) -> None:
        """Let nothing through any more, and say nothing."""
        self._flowing.clear()

    def mend(self) -> None:
        """Pass connections on again; those that stalled are dead."""
        with self._lock:
            self._cut = False
            if not self._flowing.is_set():
                self._end_all()
        self._flowing.set()

    def _end_all(self) -> None:
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def _accept(self) -> None:
        while True:
            try:
                inner, _ = self._listener.accept()
            except OSError:
                return
            self._pass_on(inner)

    def _pass_on(self, inner: socket.socket) -> None:
        address = (self._target.hostname or "", self._target.port or 443)
        try:
            outer = socket.create_connection(address, timeout=10)
        except OSError:
            inner.close()
            return
        with self._lock:
            self.connections += 1
            if self._cut:
                inner.close()
                outer.close()
                return
            self._pairs.append((inner, outer))
        threading.Thread(target=self._carry, args=(inner, outer), daemon=True).start()

    def _carry(self, inner: socket.socket, outer: socket.socket) -> None:
        with selectors.DefaultSelector() as selector, inner, outer:
            selector.register(inner, selectors.EVENT_READ, outer)
            selector.register(outer, selectors.EVENT_READ, inner)
            with contextlib.suppress(OSError):
                while True:
                    for key, _ in selector.select():
                        data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                        self._flowing.wait()
                        if not data:
                            return
                        key.data.sendall(data)


def _listen(namespace: Namespace, address: str) -> socket.socket:
    """Return a socket that listens inside: a socket stays in the namespace that it was made in."""
    made: list[socket.socket] = []

    def work() -> None:
        handle = os.open(Path("/run/netns", namespace.name), os.O_RDONLY)
        try:
            if _LIBC.setns(handle, _CLONE_NEWNET) != 0:
                return
        finally:
            os.close(handle)
        made.append(socket.create_server((address, 0)))

    thread = threading.Thread(target=work)  # which alone changes over, and then ends
    thread.start()
    thread.join()
    if not made:
        msg = f"cannot enter the namespace {namespace.name}"
        raise OSError(msg)
    return made[0]
