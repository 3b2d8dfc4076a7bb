"""Memory that a list of a hostile server takes: ``python -m bench.hostile [MB [TREE...]]``.

A server sends a list of so many MB with the JSON that takes the most memory. The figure is the peak
memory of ``kgctl get peers`` as the system counts it, with the default budget of a list, and
practically without one. ``TREE`` are other checkouts to measure.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import hostile

if TYPE_CHECKING:
    import socket
    import threading

CONFIG = """{"apiVersion": "v1", "kind": "Config", "current-context": "c",
"clusters": [{"name": "c", "cluster": {"server": "%s"}}], "users": [{"name": "u", "user": {}}],
"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}"""
PIECE = (
    b',{"metadata":{"name":"a"},"a":[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]}'
    * 10_000
)


_CHILD = """import resource, subprocess, sys
subprocess.run([sys.executable, "-m", "kgctl", *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""


def measured(url: str, tree: Path, *options: str) -> tuple[int, str]:
    """Return the peak memory of a checkout's kgctl in MiB, and its last line on stderr."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as config:
        config.write(CONFIG % url)
        config.flush()
        argv = [sys.executable, "-c", _CHILD, "--kubeconfig", config.name, *options, "get", "peers"]
        done = subprocess.run(argv, cwd=tree, capture_output=True, text=True, check=False)
    *said, last = done.stderr.strip().splitlines()
    return int(last) >> 10, said[-1][:100] if said else "answered"


def main() -> None:
    """Measure, and print one line per case."""
    size = int(sys.argv[1] if len(sys.argv) > 1 else "50") * 1_000_000

    def answer(wire: socket.socket, ended: threading.Event) -> None:
        wire.sendall(
            hostile.HEAD + b'\r\n{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{}}'
        )
        for _ in range(size // len(PIECE)):
            if ended.is_set():
                return
            wire.sendall(PIECE)
        wire.sendall(b"]}")

    here = Path(__file__).resolve().parents[1]
    with hostile.server(answer) as url:
        print(f"a list of {size // 1_000_000} MB")
        for name, tree, options in (
            ("without a budget", here, ("--max-list-size", "64Gi")),
            ("with that of a list", here, ()),
            *((str(tree), Path(tree), ()) for tree in sys.argv[2:]),
        ):
            peak, said = measured(url, tree, *options)
            print(f"{name:24} {peak:6} MiB   {said}")


if __name__ == "__main__":
    main()
