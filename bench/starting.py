"""Benchmark of the start of the program, and of the completion of a name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bench.cluster import KGCTL
from bench.process import measure
from bench.table import milliseconds, table, verdict

if TYPE_CHECKING:
    from bench.cluster import Cluster
    from bench.process import Figures

TARGETS = {"kgctl --version": 0.050, "kgctl --help": 0.130, "completing a peer's name": 0.200}
"""Seconds."""

COMPLETING = {
    "_KGCTL_COMPLETE": "complete_bash",
    "COMP_WORDS": "kgctl showconf peer pe",
    "COMP_CWORD": "3",
}
"""The environment in which bash's completion script calls kgctl."""


def measure_starting(cluster: Cluster, rounds: int) -> dict[str, Figures]:
    """Measure the short commands on a small cluster."""
    figures = measure(
        {
            "python -c pass": [sys.executable, "-c", "pass"],
            "kgctl --version": [KGCTL, "--version"],
            "kgctl --help": [KGCTL, "--help"],
        },
        rounds=rounds,
    )
    environment = {**COMPLETING, "KUBECONFIG": cluster.kubeconfig}
    return figures | measure(
        {"completing a peer's name": [KGCTL]}, rounds=rounds, environment=environment
    )


def starting_table(figures: dict[str, Figures]) -> str:
    """Return the targets and the figures."""
    rows = []
    for name, one in figures.items():
        target = TARGETS.get(name)
        rows.append(
            (
                f"`{name}`" if name[0] in "kp" else name,
                milliseconds(target) if target else "",
                milliseconds(one.wall),
                verdict(one.wall, target) if target else "",
            )
        )
    return table(("", "at most", "measured", "reached"), rows)
