"""A relay from a port in a network namespace to the same port on the machine's loopback.

    python -m bench.relay NAMESPACE ADDRESS PORT

The API server listens on loopback; the measured commands run in a namespace.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading

from bench.inside import inside

_CHUNK = 1 << 18


def _serve(listening: socket.socket, port: int) -> None:
    while True:
        near, _ = listening.accept()
        far = socket.create_connection(("127.0.0.1", port))
        for wire in (near, far):
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for pair in ((near, far), (far, near)):
            threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def main(namespace: str, address: str, port: int) -> None:
    with inside(namespace):
        listening = socket.create_server((address, port))
    with listening:
        print("ready", flush=True)
        _serve(listening, port)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
