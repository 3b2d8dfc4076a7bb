"""Benchmark of the graph of a full mesh: half a million edges with 1,000 nodes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench.cluster import KGCTL, PEERS, peer_object
from bench.process import measure
from bench.table import megabytes, seconds, table, verdict
from tests.apiserver.fleet import fleet

if TYPE_CHECKING:
    from pathlib import Path

    from bench.cluster import Cluster
    from bench.process import Figures

TARGETS = {300: (0.5, None), 1000: (3.0, 400e6)}
"""For each number of nodes: seconds, and bytes of memory."""

FULL = ("graph", "--mesh-granularity", "full")


def measure_edges(cluster: Cluster, nodes: int, folder: Path, rounds: int) -> dict[str, Figures]:
    """Measure the graph of a full mesh, from files and live; the cluster has ``nodes`` nodes."""
    path = folder / f"full-{nodes}.json"
    write_list(path, nodes)
    commands = {
        f"{nodes:,} nodes, from a file": [KGCTL, "-f", str(path), *FULL],
        f"{nodes:,} nodes, live": cluster.kgctl(*FULL),
    }
    return measure(commands, rounds=rounds)


def write_list(path: Path, nodes: int) -> None:
    """Write the output of ``kubectl get nodes,peers -o json`` for a cluster of that size."""
    items = [*fleet(nodes), *map(peer_object, range(PEERS))]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=4))


def edges_table(figures: dict[int, dict[str, Figures]]) -> str:
    """Return the targets and the figures."""
    rows = []
    for nodes, found in figures.items():
        most, memory = TARGETS[nodes]
        for name, one in found.items():
            rows.append(
                (
                    name,
                    seconds(most),
                    seconds(one.wall),
                    verdict(one.wall, most),
                    megabytes(memory) if memory else "",
                    megabytes(one.peak),
                    verdict(one.peak, memory) if memory else "",
                )
            )
    head = ("", "at most", "measured", "reached", "memory, at most", "measured", "reached")
    return table(head, rows)
