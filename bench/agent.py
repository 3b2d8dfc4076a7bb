"""What an agent costs in a large cluster: ``kgctl agent``, and the reference's if it is there.

python -m bench.agent [NODES...] [--seconds SECONDS]

One agent in a network namespace, on a cluster of so many nodes (300, 1,000) that are annotations
only, each a segment of its own. Measured are: the time from its start until the device has every
peer and the kernel every route; from one node more to its route, the median of five; then the
processor time, with the programs that it starts, of a while (60 s) in which every node has a
heartbeat each 30 seconds; and its peak memory. If a program ``kg`` is on the PATH, it is measured
in the same run. It needs root, and the tools of the network tests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cluster import started_server
from bench.following import HEARTBEAT, segment
from bench.table import table
from tests.network import wiring
from tests.network.commands import environment
from tests.network.namespace import Lab
from tests.network.site import names_of
from tests.network.test_connect_load import Heartbeats
from tests.network.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.apiserver.server import ApiServer
    from tests.network.namespace import Namespace

CHANGES = 5
PATIENCE = 600.0
OWN = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "own", "annotations": {"kilo.squat.ai/location": "here"}},
    "spec": {"podCIDR": "172.31.0.0/24", "podCIDRs": ["172.31.0.0/24"]},
}


@dataclass(frozen=True)
class Figures:
    """The figures of one agent: seconds, and ``peak`` in bytes. ``written`` counts heartbeats."""

    program: str
    nodes: int
    converged: float
    starting: float
    newcomer: float
    beating: float
    written: int
    passed: float
    peak: int


class Agent:
    """An agent in a namespace; a context manager."""

    def __init__(self, namespace: Namespace, argv: Sequence[str]) -> None:
        self.namespace = namespace
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - a pipe would be full soon
        self._process = subprocess.Popen(
            namespace.entered(*argv),
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            env={**environment(), "RUNTIME_DIRECTORY": str(namespace.directory)},
        )

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    def said(self) -> str:
        """Return the end of what it said."""
        self._said.seek(0)
        return self._said.read()[-2000:]

    def processor(self) -> float:
        """Return its processor seconds so far, with those of programs that it started."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def peak(self) -> int:
        """Return the peak of its memory in bytes."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
        return int(peak) * 1024

    def until(self, condition: Callable[[], bool]) -> float:
        """Wait until it is true; return the seconds that took."""
        began = time.monotonic()
        while not condition():
            if self._process.poll() is not None or time.monotonic() - began > PATIENCE:
                raise SystemExit(f"the agent did not get there:\n{self.said()}")
            time.sleep(0.02)
        return time.monotonic() - began

    def has(self, nodes: int) -> bool:
        """Return whether the kernel has two routes for each of so many nodes."""
        shown = self.namespace.ip("route", "show", "proto", "static")
        return shown.count(" dev kilo0 ") >= 2 * nodes

    def routes_to(self, subnet: str) -> bool:
        """Return whether the kernel has a route to a node's pods."""
        return bool(self.namespace.ip("route", "show", subnet))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.agent", description=__doc__)
    parser.add_argument("nodes", type=int, nargs="*", default=[300, 1000])
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    programs = {"kgctl": [sys.executable, "-m", "kgctl", "agent"]}
    if reference := shutil.which("kg"):
        programs["kg"] = [reference]
    print(agent_table([
        measure_agent(name, argv, nodes, options.seconds)
        for nodes in options.nodes
        for name, argv in programs.items()
    ]))  # fmt: skip


def measure_agent(program: str, argv: Sequence[str], nodes: int, seconds: float) -> Figures:
    """Measure one agent, with an API server of its own."""
    with started_server() as (server, _), Lab() as lab:
        namespace = lab.add("node")
        wiring.bridge(namespace, "uplink", "198.51.100.11/24")
        wiring.bridge(namespace, "lan", "192.168.99.11/24")
        wiring.default_routes(namespace, "198.51.100.1")
        with Uplink(namespace, server.url) as uplink:
            return _measured(program, argv, server, namespace, uplink.url, nodes, seconds)


def _measured(
    program: str,
    argv: Sequence[str],
    server: ApiServer,
    namespace: Namespace,
    url: str,
    nodes: int,
    seconds: float,
) -> Figures:
    crowd = [segment(number) for number in range(nodes)]
    server.apply([OWN, *crowd])
    user = server.users.with_token("admin")
    kubeconfig = server.write_kubeconfig("agent", user, url=url)
    flags = ["--kubeconfig", str(kubeconfig), "--hostname", "own", "--encapsulate=never",
             "--cni=false", "--listen=127.0.0.1:1107"]  # fmt: skip
    if program == "kgctl":
        flags += ["--key-file", str(namespace.directory / "key")]
    with Agent(namespace, [*argv, *flags]) as agent:
        converged = agent.until(lambda: agent.has(nodes))
        starting = agent.processor()
        took = []
        for number in range(nodes, nodes + CHANGES):
            new = segment(number)
            server.apply([new])
            subnet = new["spec"]["podCIDR"]
            took.append(agent.until(lambda subnet=subnet: agent.routes_to(subnet)))  # type: ignore[misc]
            time.sleep(1)
        before, began = agent.processor(), time.monotonic()
        with Heartbeats(server, names_of(crowd), nodes / HEARTBEAT) as beats:
            time.sleep(seconds)
            passed = time.monotonic() - began
            beating = agent.processor() - before
        peak = agent.peak()
    return Figures(
        program, nodes, converged, starting, statistics.median(took), beating, beats.written,
        passed, peak,
    )  # fmt: skip


def agent_table(all_figures: Sequence[Figures]) -> str:
    """Return the figures as a table."""
    head = ("agent", "nodes", "converged after", "processor for it", "one node more",
            "processor a minute, all heartbeats", "peak memory")  # fmt: skip
    rows = [
        (
            one.program,
            f"{one.nodes:,}",
            f"{one.converged:.2f} s",
            f"{one.starting:.2f} s",
            f"{one.newcomer:.3f} s",
            f"{one.beating * 60 / one.passed:.2f} s ({one.written / one.passed:.0f} a second)",
            f"{one.peak / 1e6:.0f} MB",
        )
        for one in all_figures
    ]
    return table(head, rows)


if __name__ == "__main__":
    main()
