"""What each part of the fast lane saves: kgctl with all of it, and with that part turned off.

python -m bench.lanes [--rounds N] [--sizes NODES...] measures this alone, and prints it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.cluster import started_cluster
from bench.files import dumped
from bench.process import beyond, measure
from bench.table import milliseconds, table

if TYPE_CHECKING:
    from bench.cluster import Cluster
    from bench.process import Figures

WITHOUT = str(Path(__file__).with_name("without.py"))
SIZES = (3, 100, 1000, 5000)


PARTS = {
    "requests": "`lean`, `http1`",
    "protobuf": "`protobuf`, `wire`",
    "kubeconfig": "`plain_yaml`",
    "json": "`json_list`",
    "yaml": "`yaml_objects`",
    "plain calls": "plain calls",
    "head start": "head start",
    "collections": "fewer collections",
    "end": "quick end",
}
"""The parts of ``bench.without``, as the table calls them."""


class Trial(NamedTuple):
    """A command on a cluster of so many nodes, and the parts that it makes use of."""

    nodes: int
    command: str
    """What runs; with ``-f FORMAT``, on the cluster's manifests."""
    parts: tuple[str, ...]


_ALWAYS = ("collections", "end")
_LIVE = ("requests", "protobuf", "kubeconfig", "head start", *_ALWAYS)
TRIALS = (
    *(Trial(size, "graph", (*_LIVE, "plain calls")) for size in SIZES),
    Trial(3, "get nodes", _LIVE),
    *(Trial(size, "-f json graph", ("json", *_ALWAYS)) for size in SIZES[1:]),
    *(Trial(size, "-f yaml graph", ("yaml", *_ALWAYS)) for size in SIZES[:3]),
)


class Savings(NamedTuple):
    """What the command of a trial took with all parts on, and with each of them off."""

    trial: Trial
    on: Figures
    off: dict[str, Figures]


def measure_lanes(cluster: Cluster, size: int, folder: Path, rounds: int) -> list[Savings]:
    """Measure every command of a cluster of ``size`` nodes."""
    return [_savings(trial, cluster, folder, rounds) for trial in TRIALS if trial.nodes == size]


def _savings(trial: Trial, cluster: Cluster, folder: Path, rounds: int) -> Savings:
    arguments = trial.command.split()
    if arguments[0] == "-f":
        arguments[1] = str(dumped(cluster, folder, arguments[1]))
    else:
        arguments = cluster.kgctl(*arguments)[1:]
    commands = {part: [sys.executable, WITHOUT, part, *arguments] for part in trial.parts}
    everything = [sys.executable, WITHOUT, "nothing", *arguments]
    figures = measure({"nothing": everything, **commands}, rounds=rounds)
    return Savings(trial, figures.pop("nothing"), figures)


def lanes_table(found: list[Savings]) -> str:
    """Return what each part saves of processor time, and by the clock."""
    rows = []
    for part, name in PARTS.items():
        for trial, on, by_part in found:
            if part not in by_part:
                continue
            off = by_part[part]
            less = statistics.median(b - a for a, b in zip(on.cpus, off.cpus, strict=True))
            rows.append(
                (
                    name,
                    f"`{trial.command}`",
                    f"{trial.nodes:,}",
                    milliseconds(on.cpu),
                    milliseconds(off.cpu),
                    milliseconds(less),
                    f"{less / off.cpu:.0%}",
                    milliseconds(beyond(off, on)),
                )
            )
    head = ("part", "command", "nodes", "with it", "without", "saves", "of all", "by the clock")
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.lanes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=11, help="runs of each command")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of nodes")
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder, started_cluster() as cluster:
        for size in options.sizes:
            cluster.grow(size)
            found += measure_lanes(cluster, size, Path(folder), options.rounds)
    print(lanes_table(found))


if __name__ == "__main__":
    main()
