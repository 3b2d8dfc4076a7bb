"""A remote server: every byte arrives later, and none is lost."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time

_CHUNK = 16384


class Distance:
    """Forwards connections to ``target`` (host:port) with half of ``round_trip`` each way."""

    def __init__(self, target: str, round_trip: float) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._delay = round_trip / 2
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Distance:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                open_ways = threading.Semaphore(0)
                for ends in ((near, far), (far, near)):
                    threading.Thread(
                        target=self._carry, args=[*ends, open_ways], daemon=True
                    ).start()
                threading.Thread(target=_close, args=[near, far, open_ways], daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, done: threading.Semaphore) -> None:
        way: queue.Queue[tuple[float, bytes]] = queue.Queue(256)

        def arrive() -> None:
            with contextlib.suppress(OSError):
                while True:
                    due, data = way.get()
                    time.sleep(max(0.0, due - time.monotonic()))
                    if not data:
                        sink.shutdown(socket.SHUT_WR)
                        break
                    sink.sendall(data)
            done.release()

        threading.Thread(target=arrive, daemon=True).start()
        data = b"begin"
        while data:
            try:
                data = source.recv(_CHUNK)
            except OSError:
                data = b""
            way.put((time.monotonic() + self._delay, data))


def _close(near: socket.socket, far: socket.socket, done: threading.Semaphore) -> None:
    """Close both when no data is left in either direction."""
    done.acquire()
    done.acquire()
    near.close()
    far.close()
