"""Compare this checkout with another revision, side by side in one run.

python -m bench.sides REVISION [--sizes 3,100,1000] [--rounds N]

Three copies run in turn: ``REVISION``, this checkout's HEAD, and HEAD once more. The ratio of the
two copies of HEAD is the noise of the run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cluster import PEER, started_cluster
from bench.machine import busy
from bench.process import measure
from bench.table import milliseconds, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.cluster import Cluster
    from bench.process import Figures

ROOT = Path(__file__).parents[1]

START = (("--version",), ("--help",), ("--example", "graph"), ("--example", "check"))
LIVE = (
    ("graph",),
    ("showconf", "peer", PEER),
    ("showconf", "peer", PEER, "-o", "wg-quick"),
    ("get", "nodes"),
    ("path", "node-00000", PEER),
    ("check",),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sides", description=__doc__)
    parser.add_argument("revision", help="the other revision")
    parser.add_argument("--sizes", default="3,100,1000", help="numbers of nodes")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copies = {
            name: copy(revision, Path(folder) / str(number))
            for number, (name, revision) in enumerate(
                (("other", options.revision), ("A", "HEAD"), ("B", "HEAD"))
            )
        }
        print(f"busy with other work before the first run: {busy()}\n")
        print(report(compared(copies, START, options.rounds, [])), flush=True)
        with started_cluster() as cluster:
            for size in map(int, options.sizes.split(",")):
                cluster.grow(size)
                print(f"\n{size:,} nodes\n")
                print(report(live(copies, cluster, options.rounds)), flush=True)


def copy(revision: str, folder: Path) -> Path:
    """Unpack a revision into a new folder, and return it."""
    folder.mkdir()
    packed = subprocess.run(
        ["git", "-C", str(ROOT), "archive", revision, "kgctl"], check=True, capture_output=True
    )
    subprocess.run(["tar", "-x", "-C", str(folder)], check=True, input=packed.stdout)
    return folder


def program(folder: Path) -> list[str]:
    """Return the command that runs kgctl from an unpacked revision."""
    return ["env", f"PYTHONPATH={folder}", sys.executable, "-P", "-m", "kgctl"]


def compared(
    copies: dict[str, Path],
    commands: Iterable[Sequence[str]],
    rounds: int,
    cluster: Sequence[str],
) -> dict[str, dict[str, Figures]]:
    """Measure the commands with each copy, in turn; by command, then by copy."""
    return {
        " ".join(command): measure(
            {name: [*program(copied), *cluster, *command] for name, copied in copies.items()},
            rounds=rounds,
            accepted=(0, 1) if "check" in command else (0,),
        )
        for command in commands
    }


def live(copies: dict[str, Path], cluster: Cluster, rounds: int) -> dict[str, dict[str, Figures]]:
    """Measure what reads a live cluster."""
    return compared(copies, LIVE, rounds, ["--kubeconfig", cluster.kubeconfig])


def report(figures: dict[str, dict[str, Figures]]) -> str:
    """Return the medians, and the ratios to the first copy of HEAD."""
    rows = [
        (
            f"`{command}`",
            milliseconds(one["other"].wall),
            milliseconds(one["A"].wall),
            f"{one['A'].wall / one['other'].wall:.2f}",
            f"{one['A'].cpu / one['other'].cpu:.2f}",
            f"{one['B'].wall / one['A'].wall:.2f}",
            f"{one['A'].peak / one['other'].peak:.2f}",
        )
        for command, one in figures.items()
    ]
    head = ("", "other", "HEAD", "HEAD / other", "processor", "noise", "memory")
    return table(head, rows)


if __name__ == "__main__":
    main()
