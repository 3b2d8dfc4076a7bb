"""What it costs to follow a cluster: ``kgctl connect`` with many nodes and all their heartbeats.

python -m bench.following [NODES [SECONDS]]

A laptop in a network namespace joins a cluster of so many nodes (1,000), each a segment of its own.
Then one node more appears, the last in order, five times, a second apart: the time from the API
server's answer to the peer on the device. Then every node has a heartbeat each 30 seconds, for so
many seconds (60): the processor time and the peak memory of kgctl meanwhile. It needs root, and the
tools of the network tests.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cluster import started_server
from bench.table import table
from tests.network import tunnel
from tests.network.layout import SmallCluster
from tests.network.namespace import Lab
from tests.network.site import Site, names_of, stranger, within
from tests.network.test_connect_load import Heartbeats
from tests.network.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.network.connection import Connection
    from tests.network.objects import Object

HEARTBEAT = 30.0
"""Seconds between two heartbeats of a node."""

CHANGES = 5
PATIENCE = 120.0


@dataclass(frozen=True)
class Following:
    """The figures of ``connect`` among ``nodes`` nodes: seconds, and ``peak`` in bytes.

    ``taken`` is the time from an event to the device, ``changing`` the processor time of one; of
    ``written`` heartbeats in ``passed`` seconds ``beating`` is the processor time.
    """

    nodes: int
    joined: float
    taken: float
    changing: float
    written: int
    passed: float
    beating: float
    peak: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.following", description=__doc__)
    parser.add_argument("nodes", type=int, nargs="?", default=1000)
    parser.add_argument("seconds", type=float, nargs="?", default=60.0)
    options = parser.parse_args()
    print(following_table([measure_following(options.nodes, options.seconds)]))


def measure_following(nodes: int, seconds: float) -> Following:
    """Measure ``connect`` in namespaces, with an API server of its own."""
    with started_server() as (server, _), Lab() as lab:
        cluster = SmallCluster(lab)
        with Uplink(cluster["laptop"], server.url) as uplink:
            return follow(Site(cluster, server, uplink), nodes, seconds)


def follow(site: Site, nodes: int, seconds: float) -> Following:
    """Measure one connection."""
    crowd = [segment(number) for number in range(nodes)]
    site.server.apply(crowd)
    site.publish("ams-1")
    start = time.monotonic()
    with site.connect("--only-networks", "10.0.0.0/8", "--log-format", "json") as connection:
        connection.until("synchronised", within=PATIENCE)
        joined = time.monotonic() - start
        before = ticks(connection)
        took = [newcomer(site, connection, nodes + number) for number in range(CHANGES)]
        changing = (ticks(connection) - before) / CHANGES
        before, began = ticks(connection), time.monotonic()
        with Heartbeats(site.server, names_of(crowd), nodes / HEARTBEAT) as beats:
            time.sleep(seconds)
            passed = time.monotonic() - began
            beating = ticks(connection) - before
        peak = peak_memory(connection)
    taken = statistics.median(took)
    return Following(nodes, joined, taken, changing, beats.written, passed, beating, peak)


def following_table(all_figures: Sequence[Following]) -> str:
    """Return the figures as a table."""
    head = ("nodes", "joined after", "event to device", "processor for one",
            "processor a minute, all heartbeats", "peak memory")  # fmt: skip
    rows = [
        (
            f"{one.nodes:,}",
            f"{one.joined:.2f} s",
            f"{one.taken:.3f} s",
            f"{one.changing:.3f} s",
            f"{one.beating * 60 / one.passed:.2f} s ({one.written / one.passed:.0f} a second)",
            f"{one.peak / 1e6:.0f} MB",
        )
        for one in all_figures
    ]
    return table(head, rows)


def segment(number: int) -> Object:
    """Return a node that is alone in its location, with networks of its own."""
    node = stranger(number, f"place-{number:05}")
    high, low = divmod(number, 250)
    annotations = node["metadata"]["annotations"]
    annotations["kilo.squat.ai/endpoint"] = f"203.0.{high}.{low + 1}:51820"
    subnet = f"10.{100 + high}.{low}.0/24"
    node["spec"] = {"podCIDR": subnet, "podCIDRs": [subnet]}
    return node


def newcomer(site: Site, connection: Connection, number: int) -> float:
    """Add a node, and return the seconds until kgctl says that the device has it.

    To read the device each time would take longer than what is measured.
    """
    time.sleep(1)
    count = len(connection.said("synchronised"))
    site.server.apply([segment(number)])
    took = within(PATIENCE, lambda: len(connection.said("synchronised")) > count)
    key = segment(number)["metadata"]["annotations"]["kilo.squat.ai/key"]
    assert any(str(peer) == key for peer in tunnel.dump(site.laptop))
    return took


def ticks(connection: Connection) -> float:
    """Return the processor seconds of the process so far."""
    fields = Path(f"/proc/{connection.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory(connection: Connection) -> int:
    """Return the peak of the process's memory in bytes."""
    lines: Sequence[str] = Path(f"/proc/{connection.pid}/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(peak) * 1024


if __name__ == "__main__":
    main()
