"""Benchmark of reading a live cluster: kgctl, curl, kubectl and the Go kgctl on one server."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.cluster import KGCTL, PEER
from bench.process import beyond, measure
from bench.table import megabytes, seconds, table, verdict

if TYPE_CHECKING:
    from bench.cluster import Cluster
    from bench.process import Figures

TARGETS = {3: (0.14, 45e6), 100: (0.14, 50e6), 1000: (0.20, 75e6), 5000: (0.35, 150e6)}
"""For each number of nodes: seconds beyond curl's, and bytes of memory."""

GRAPH = ("graph",)
SHOWCONF = ("showconf", "peer", PEER)
OTHERS = ("kubectl", "kgctl-go")


@dataclass(frozen=True)
class LiveFigures:
    """The figures of reading a cluster of ``nodes`` nodes, by command."""

    nodes: int
    figures: dict[str, Figures]


def measure_live(cluster: Cluster, nodes: int, rounds: int) -> LiveFigures:
    """Measure every available command on the cluster, which has ``nodes`` nodes."""
    commands = {
        "curl": cluster.curl(),
        "graph": cluster.kgctl(*GRAPH),
        "showconf peer": cluster.kgctl(*SHOWCONF),
        "graph, client certificate": [
            KGCTL,
            "--kubeconfig",
            cluster.certificate_kubeconfig,
            *GRAPH,
        ],
        "get nodes": cluster.kgctl("get", "nodes"),
        "showconf peer -o wg-quick": cluster.kgctl(*SHOWCONF, "-o", "wg-quick"),
        "path": cluster.kgctl("path", "node-00000", PEER),
        "check": cluster.kgctl("check"),
        "graph, impersonation": [KGCTL, "--kubeconfig", cluster.acting_kubeconfig, *GRAPH],
        "graph, exec plugin, its answer kept": [
            KGCTL,
            "--kubeconfig",
            cluster.plugin_kubeconfig,
            *GRAPH,
        ],
    }
    if shutil.which("kubectl"):
        commands["kubectl get nodes"] = cluster.kubectl()
    if shutil.which("kgctl-go"):
        commands["Go graph"] = cluster.kgctl(*GRAPH, program="kgctl-go")
        commands["Go showconf peer"] = cluster.kgctl(*SHOWCONF, program="kgctl-go")
    kept = {"XDG_CACHE_HOME": cluster.cache}
    return LiveFigures(nodes, measure(commands, rounds=rounds, environment=kept))


def targets_table(live: list[LiveFigures]) -> str:
    """Return the targets and the figures."""
    rows = []
    for one in live:
        if one.nodes not in TARGETS:
            continue
        most, memory = TARGETS[one.nodes]
        for name in ("graph", "showconf peer"):
            figures = one.figures[name]
            extra = beyond(figures, one.figures["curl"])
            rows.append(
                (
                    f"`{name}`, {one.nodes:,} nodes",
                    seconds(most),
                    seconds(extra),
                    verdict(extra, most),
                    megabytes(memory),
                    megabytes(figures.peak),
                    verdict(figures.peak, memory),
                )
            )
    head = (
        "",
        "beyond curl, at most",
        "measured",
        "reached",
        "memory, at most",
        "measured",
        "reached",
    )
    return table(head, rows)


def live_table(live: list[LiveFigures]) -> str:
    """Return the figures of every command."""
    rows = []
    for one in live:
        curl = one.figures["curl"]
        for name, figures in one.figures.items():
            rows.append(
                (
                    f"{one.nodes:,} nodes: {name}",
                    seconds(figures.wall),
                    seconds(figures.cpu),
                    f"{figures.wall / curl.wall:.1f}",
                    megabytes(figures.peak),
                )
            )
    return table(("", "time", "processor", "times curl", "peak memory"), rows)
