"""The page docs/performance.md with the figures and their targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bench.edges import edges_table
from bench.files import files_table
from bench.following import following_table
from bench.growth import slope
from bench.lanes import lanes_table
from bench.link import RATE, ROUND_TRIP, link_table
from bench.live import live_table, targets_table
from bench.machine import describe
from bench.plot import draw
from bench.starting import starting_table
from bench.table import table

if TYPE_CHECKING:
    from pathlib import Path

    from bench.following import Following
    from bench.growth import Point
    from bench.lanes import Savings
    from bench.link import LinkFigures
    from bench.live import LiveFigures
    from bench.process import Figures

PLOTS = ("performance.svg", "performance-output.svg")


@dataclass
class Results:
    """All figures; those not measured are empty."""

    growth: dict[str, list[Point]]
    quick: bool
    busy: str
    starting: dict[str, Figures] = field(default_factory=dict)
    live: list[LiveFigures] = field(default_factory=list)
    edges: dict[int, dict[str, Figures]] = field(default_factory=dict)
    files: dict[str, Figures] = field(default_factory=dict)
    lanes: list[Savings] = field(default_factory=list)
    link: LinkFigures | None = None
    following: list[Following] = field(default_factory=list)
    node_bytes: tuple[int, int] = (0, 0)
    took: float = 0.0


def report(results: Results) -> str:
    """Return the page as Markdown."""
    return "\n".join(part for part in _sections(results) if part)


def write_page(results: Results, text: str, path: Path) -> None:
    """Write the page, and its plots to ``images`` beside it."""
    images = path.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for name, plot in zip(PLOTS, _plots(results.growth), strict=True):
        (images / name).write_text(plot)


def _sections(results: Results) -> list[str]:
    protobuf, json = results.node_bytes
    return [
        _HEAD.format(
            date=datetime.now(UTC).strftime("%Y-%m-%d"),
            machine=describe(results.busy),
            minutes=results.took / 60,
            short=" (the short form: `make bench ARGS=--quick`)" if results.quick else "",
            protobuf=protobuf,
            json=json,
        ),
        _LIVE,
        targets_table(results.live),
        "All commands of the same runs:\n",
        live_table(results.live),
        _EDGES,
        edges_table(results.edges),
        _STARTING,
        starting_table(results.starting),
        f"{_FILES}\n{files_table(results.files)}" if results.files else "",
        f"{_LANES}\n{lanes_table(results.lanes)}" if results.lanes else "",
        f"{_LINK.format(how=results.link.how)}\n{link_table(results.link)}" if results.link else "",
        f"{_FOLLOWING}\n{following_table(results.following)}" if results.following else "",
        _GROWTH,
        _growth_table(results.growth),
    ]


def _growth_table(growth: dict[str, list[Point]]) -> str:
    rows = [
        (
            name,
            f"{points[-1].nodes:,}",
            f"{points[-1].lines:,}",
            f"{points[-1].seconds * 1000:.0f} ms",
            f"{slope(points):.2f}",
        )
        for name, points in growth.items()
    ]
    return table(("", "nodes", "lines of output", "time", "grows with the power"), rows)


def _plots(growth: dict[str, list[Point]]) -> tuple[str, str]:
    by_nodes = {
        name: [(point.nodes, point.seconds) for point in points]
        for name, points in growth.items()
        if "full" not in name
    }
    by_size = {
        name: [(point.nodes + point.lines, point.seconds) for point in points]
        for name, points in growth.items()
    }
    return (
        draw("Work beyond reading, by nodes", ("nodes", "time"), by_nodes),
        draw(
            "Work beyond reading, by nodes and output",
            ("nodes + lines of output", "time"),
            by_size,
        ),
    )


_HEAD = """\
# Performance

Written by `make bench`{short} on {date}, which took {minutes:.0f} minutes. Each figure is that
of a whole process from start to end: the median of several runs. Commands that are compared run in
turn, so that a temporarily slow machine is slow for all. Memory is the largest peak of any run, as
the operating system counts it. The seconds beyond curl are the median of the differences by round.

{machine}
* nodes of the size that kubelets write: {protobuf:,} bytes each as protobuf, {json:,} as JSON
"""

_LIVE = """\
## A live cluster

`curl` fetches the list of nodes as protobuf from the API server's watch cache and discards it: this
is the lower limit. kgctl reads that list and the peers, and prints its answer.
"""

_EDGES = """\
## The graph of a full mesh

`kgctl graph --mesh-granularity full`: every node is its own segment, and 1,000 nodes have half a
million edges.
"""

_STARTING = """\
## Starting
"""

_FILES = """\
## Files

`-f` with the output of `kubectl get nodes,peers.kilo.squat.ai -o json` (or `yaml`) for 5,000 nodes.
The last rows are the times of PyYAML with its C library for that YAML: for reading all events
without using them, and for loading the whole document, as a simple program does.
"""

_LANES = """\
## The fast lane

What exists for speed alone, part by part: a command with all of it, and with that part turned off,
so that the library does its work (`KGCTL_SLOW=1` turns off all parts; see `internals.md`). The
times are of the processor, the last column is by the clock; what is saved is the median of the
differences, round by round. A part stays while it saves 10 ms or 5 % of a usual command.
"""

_LINK = f"""\
## A slow link

1,000 nodes over {RATE} Mbit/s with a round-trip time of {ROUND_TRIP} ms, between two network
namespaces, by {{how}}.
kgctl measures the time to connect, and requests compression if the server is far away: from a near
one, compression costs the API server more time than it saves.
"""

_FOLLOWING = """\
## Following a cluster

`kgctl connect` on a laptop in a network namespace, with wireguard-go, among nodes that are each a
segment of its own. "Event to device" is the time from the API server's answer for a new node to
kgctl's word that the device has it, the median of five; a tenth of a second of it is the wait for
further events. Then each node has a heartbeat every 30 seconds, for a minute.
"""

_GROWTH = """\
## Growth

The work beyond reading, timed within one process: parsing the objects, building the network and
printing it. It grows no faster than nodes plus output: in a log-log plot, the lines are no steeper
than the dotted one.

![time by nodes](images/performance.svg)

![time by nodes and output](images/performance-output.svg)

The power is that of nodes plus lines of output, from a tenth of the largest size to the largest: 1
is proportional. The rest is waiting for memory, since large networks do not fit into a processor's
caches: the number of executed instructions grows proportionally.
"""
