"""Memory that an endless watch of a hostile server takes.

``python -m bench.watching [SECONDS [MIB]]``: a server sends an empty list, and then events of new
objects for so many seconds (60). The figure is the peak memory of a copy of the cluster
(``kgctl.kube.informer``) as the system counts it, with a budget of so many MiB (64) for nodes, and
the same for peers. Each time the budget ends a watch, the copy starts again with a list.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kgctl.kube.access.kubeconfig import Access
from kgctl.kube.http.client import Backoff
from kgctl.state.api_server import ApiServer
from kgctl.state.feeds import ClusterInformer
from tests.support import hostile
from tests.support.hostile import SHAPES

if TYPE_CHECKING:
    from kgctl.errors import ClusterError


class Hearer:
    """Counts the changes, and the watches that the budget ended."""

    def __init__(self) -> None:
        self.changes = self.ended = 0

    def changed(self, _kind: str, _name: str) -> None:
        """Count a change."""
        self.changes += 1

    def failed(self, _kind: str, error: ClusterError, _pause: float) -> None:
        """Count an end by the budget."""
        self.ended += "MiB of memory" in str(error)


def measured(shape: str, seconds: float, memory: int) -> tuple[int, Hearer]:
    """Return the peak memory of a copy in bytes, and the counts."""
    with hostile.attentive_server(hostile.endless_watch(SHAPES[shape])) as url:
        access = Access(url, {}, {}, "c", 'context "c" of F', ())
        backoff = Backoff(attempts=1)
        server = ApiServer(access=access, memory=memory, request_timeout=30, backoff=backoff)
        hearer = Hearer()
        informer = ClusterInformer(server.api(), hearer, lasts=3600, poll=30)
        before, most = resident(), 0
        informer.start()
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            most = max(most, resident())
            time.sleep(0.01)
    return most - before, hearer


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


def main() -> None:
    """Measure each shape in a new process, and print one line per shape."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in SHAPES:
        shape, memory = arguments[0], int(arguments[2]) << 20
        took, hearer = measured(shape, float(arguments[1]), memory)
        print(
            f"{shape:16} {took >> 20:5} MiB for twice {memory >> 20} MiB, "
            f"{hearer.changes:,} changes, ended {hearer.ended} times"
        )
        return
    given = (*arguments, *("60", "64")[len(arguments) :])
    for shape in SHAPES:
        subprocess.run([sys.executable, "-m", "bench.watching", shape, *given], check=True)


if __name__ == "__main__":
    main()
