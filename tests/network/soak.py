"""Successive rounds of a session on a real device. Runs inside a namespace.

    python -m tests.network.soak ROUNDS

Prints JSON: memory (KiB), threads and open files after a tenth of the rounds, and at the end.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgctl.connect.interface import Options
from kgctl.connect.journal import Journal
from kgctl.connect.session import Session
from kgctl.errors import NotFoundError
from kgctl.host.record import RecordFile
from kgctl.kube.objects import NodeObject
from kgctl.state.interface import Objects
from kgctl.steady import steady
from tests.network.site import stranger

if TYPE_CHECKING:
    from collections.abc import Mapping

NODES = 20
OPTIONS = Options(
    name="laptop",
    interface="kgsoak",
    address=None,
    extra=(),
    private_key=None,
    listen_port=51899,
    keepalive=0,
    mtu=1420,
    period=30.0,
    clean_up=True,
    granularity="auto",
    topology_label="region",
)


class Cluster:
    """A cluster in memory, another one in each round: one node comes and goes."""

    def __init__(self) -> None:
        self.stored: dict[str, dict[str, Any]] = {}
        self.round = 0
        self.heard = self.heard_steady = 0.0
        self._nodes = [_node(number) for number in range(NODES)]

    def start(self) -> None:
        """There is nothing to start."""

    def read(self) -> Objects:
        self.heard, self.heard_steady = time.time(), steady()
        nodes = self._nodes[: NODES - self.round % 2]
        nodes[0] = _node(0, self.round)  # its heartbeat
        return Objects(nodes=nodes, peers=list(self.stored.values()), passed_over={})

    def peers(self) -> Cluster:
        return self

    def clock_ahead(self) -> float | None:
        return None

    def host(self) -> str:
        return "127.0.0.1"

    def get(self, name: str) -> dict[str, Any]:
        if name not in self.stored:
            raise NotFoundError("no such peer", 404, "NotFound")
        return self.stored[name]

    def create(self, peer: Mapping[str, Any]) -> dict[str, Any]:
        self.stored[peer["metadata"]["name"]] = dict(peer)
        return dict(peer)

    def patch(self, name: str, patch: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def delete(self, name: str, *, uid: str | None = None) -> None:
        del self.stored[name]


def _node(number: int, later: int = 0) -> NodeObject:
    found = stranger(number, f"location-{number:03}")
    annotations = dict(found["metadata"]["annotations"])
    seen = int(annotations["kilo.squat.ai/last-seen"]) + later
    annotations["kilo.squat.ai/last-seen"] = str(seen)
    return NodeObject(found["metadata"]["name"], found["spec"]["podCIDR"], {}, annotations)


def measured() -> dict[str, int]:
    """Return what must not grow; ``objects`` are those that Python can reach."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return {
        "memory": int(resident.split()[1]),
        "objects": len(gc.get_objects()),
        "threads": threading.active_count(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
    }


def main(rounds: int) -> None:
    cluster, file = Cluster(), RecordFile(OPTIONS.interface)
    file.lock()
    failures: list[str] = []
    journal = Journal(failures.append, level="error")
    session = Session(OPTIONS, cluster, file, journal, farewell=cluster.peers)
    joined = session.join()
    found = []
    start = time.monotonic()
    for cluster.round in range(rounds):
        session.act(cluster, whole=cluster.round % 10 == 0)
        if cluster.round + 1 in (rounds // 10, rounds):
            found.append(measured())
    seconds = time.monotonic() - start
    writes = joined.device_writes
    session.leave()
    report = {"early": found[0], "late": found[-1], "writes": writes, "failures": failures}
    print(json.dumps({**report, "rounds": rounds, "seconds": round(seconds, 1)}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
