"""Benchmark of kgctl; writes docs/performance.md, or only prints it with --quick.

python -m bench.run [--quick] [--output FILE]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from bench.cluster import Cluster, started_cluster
from bench.edges import TARGETS as FULL_MESHES
from bench.edges import measure_edges
from bench.files import NODES as FILE_NODES
from bench.files import measure_files
from bench.following import measure_following
from bench.growth import measure_growth
from bench.lanes import SIZES as LANE_SIZES
from bench.lanes import measure_lanes
from bench.link import measurable, measure_link
from bench.live import measure_live
from bench.machine import busy
from bench.report import Results, report, write_page
from bench.starting import measure_starting

ROOT = Path(__file__).parents[1]
SIZES = (3, 100, 300, 1000, 5000)
QUICK_SIZES = (3, 100, 300, 1000)
SLOW_LINK_NODES = 1000
FOLLOWED_NODES = (100, 1000)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs, at most 1,000 nodes")
    parser.add_argument("--output", type=Path, help="the page; docs/performance.md unless quick")
    options = parser.parse_args()
    start, before = time.monotonic(), busy()
    say("growth of the work beyond reading")
    growth = measure_growth(quick=options.quick)
    results = Results(growth=growth, quick=options.quick, busy=before)
    with tempfile.TemporaryDirectory() as folder, started_cluster() as cluster:
        for size in QUICK_SIZES if options.quick else SIZES:
            say(f"{size:,} nodes")
            cluster.grow(size)
            at_size(cluster, size, Path(folder), results)
    why_not = measurable()
    for nodes in () if results.quick or why_not else FOLLOWED_NODES:
        say(f"following {nodes:,} nodes")
        results.following.append(measure_following(nodes, 60.0))
    results.took = time.monotonic() - start
    text = report(results)
    print(text)
    page = options.output or (None if options.quick else ROOT / "docs" / "performance.md")
    if page is not None:
        write_page(results, text, page)


def at_size(cluster: Cluster, size: int, folder: Path, results: Results) -> None:
    """Run all measurements for a cluster of this size."""
    rounds = 3 if results.quick else 5 if size >= SLOW_LINK_NODES else 9
    if size == SIZES[0]:
        results.starting = measure_starting(cluster, rounds)
    if size in FULL_MESHES:
        results.edges[size] = measure_edges(cluster, size, folder, 3)
    else:
        results.node_bytes = cluster.node_bytes()
    if size != 300:
        results.live.append(measure_live(cluster, size, rounds))
    if size == SLOW_LINK_NODES:
        why_not = measurable()
        if why_not:
            say(f"no slow link: {why_not}")
        else:
            say("slow link")
            results.link = measure_link(cluster, folder, 3)
    if size in LANE_SIZES and not results.quick:
        say("the parts of the fast lane")
        results.lanes += measure_lanes(cluster, size, folder, rounds)
    if size == FILE_NODES:
        say("files")
        results.files = measure_files(cluster, folder, rounds)


def say(what: str) -> None:
    """Print progress."""
    print(f"bench: {what}", flush=True)


if __name__ == "__main__":
    main()
