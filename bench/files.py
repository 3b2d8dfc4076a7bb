"""Benchmark of reading manifest files of the size that ``kubectl get nodes`` writes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from bench.cluster import KGCTL, PEER
from bench.process import measure
from bench.table import megabytes, seconds, table, verdict

if TYPE_CHECKING:
    from pathlib import Path

    from bench.cluster import Cluster
    from bench.process import Figures

NODES = 5000
JSON_TARGET = 0.8
"""Seconds for ``-f`` with the JSON of 5,000 nodes."""

_PARSE = """
import sys, yaml
with open(sys.argv[1], "rb") as file:
    for _ in yaml.parse(file, Loader=yaml.CSafeLoader): pass
"""
_LOAD = """
import sys, yaml
with open(sys.argv[1], "rb") as file:
    yaml.load(file, Loader=yaml.CSafeLoader)
"""


def measure_files(cluster: Cluster, folder: Path, rounds: int) -> dict[str, Figures]:
    """Measure reading kubectl's output; the cluster has ``NODES`` nodes."""
    commands: dict[str, list[str]] = {}
    texts = {kind: dumped(cluster, folder, kind) for kind in ("json", "yaml")}
    commands = {
        f"{kind}: {' '.join(arguments)}": [KGCTL, "-f", str(path), *arguments]
        for kind, path in texts.items()
        for arguments in (("graph",), ("showconf", "peer", PEER))
        if kind == "json" or arguments == ("graph",)
    }
    figures = measure({name: c for name, c in commands.items() if "json" in name}, rounds=rounds)
    libyaml = {
        "yaml: PyYAML, events alone": [sys.executable, "-c", _PARSE],
        "yaml: PyYAML, loading all of it": [sys.executable, "-c", _LOAD],
    }
    slow = {name: c for name, c in commands.items() if "yaml" in name}
    slow |= {name: [*c, str(texts["yaml"])] for name, c in libyaml.items()}
    return figures | measure(slow, rounds=1)


def dumped(cluster: Cluster, folder: Path, kind: str) -> Path:
    """Write what kubectl prints of the cluster in a format, and return where."""
    path = folder / f"nodes.{kind}"
    command = [*cluster.kubectl(), "--output", kind]
    command[command.index("nodes")] = "nodes,peers.kilo.squat.ai"
    with path.open("wb") as file:
        subprocess.run(command, stdout=file, check=True, timeout=300)
    return path


def files_table(figures: dict[str, Figures]) -> str:
    """Return the target and the figures."""
    rows = []
    for name, one in figures.items():
        target = JSON_TARGET if name.startswith("json") else None
        rows.append(
            (
                name,
                seconds(target) if target else "",
                seconds(one.wall),
                verdict(one.wall, target) if target else "",
                megabytes(one.peak),
            )
        )
    return table(("", "at most", "measured", "reached", "peak memory"), rows)
