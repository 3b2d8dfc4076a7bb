"""Benchmark of reading over a slow link: a line with delay and rate between two namespaces."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from bench.cluster import KGCTL, PEER
from bench.process import measure
from bench.table import seconds, table
from tests.network.commands import CommandError
from tests.network.namespace import Lab
from tests.network.wiring import assign, connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.cluster import Cluster
    from bench.process import Figures
    from tests.network.namespace import Namespace

ROUND_TRIP = 20
"""Round-trip time in milliseconds."""

RATE = 50
"""Megabits a second."""

NETEM = "tc netem"
TUN = "a TUN device (this kernel has no netem)"

NEAR, FAR, PREFIX = "10.99.0.1", "10.99.0.2", "/30"
DEVICE = "slow0"
ACCEPTS = {"protobuf": "application/vnd.kubernetes.protobuf", "json": "application/json"}
ENCODINGS = ("identity", "gzip")


@dataclass(frozen=True)
class LinkFigures:
    """The figures of each command, and the means that made the line slow."""

    how: str
    figures: dict[str, Figures]


def measurable() -> str | None:
    """Return why a slow link is impossible here, or None."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "a network namespace needs root"
    path = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
    missing = [tool for tool in ("ip", "tc") if shutil.which(tool, path=path) is None]
    return f"{' and '.join(missing)} not found" if missing else None


def measure_link(cluster: Cluster, folder: Path, rounds: int) -> LinkFigures:
    """Measure all commands over a slow link."""
    commands = _commands(cluster, _kubeconfig(cluster, folder))
    with Lab() as lab:
        near, far = lab.add("near"), lab.add("far")
        with _line(near, far) as how, _relay(far, cluster.port):
            entered = {name: near.entered(*command) for name, command in commands.items()}
            return LinkFigures(how, measure(entered, rounds=rounds))


def _commands(cluster: Cluster, kubeconfig: str) -> dict[str, list[str]]:
    ways = [(kind, encoding) for kind in ACCEPTS for encoding in ENCODINGS]
    there = f"127.0.0.1:{cluster.port}:{FAR}:{cluster.port}"
    commands = {
        f"curl: {kind}, {encoding}": [
            *cluster.curl(ACCEPTS[kind], encoding),
            *("--connect-to", there),
        ]
        for kind, encoding in ways
    }
    for kind, encoding in ways:
        fetch = [sys.executable, "-m", "bench.fetch", kubeconfig, kind, encoding]
        commands[f"kgctl's reader, fixed to {kind}, {encoding}"] = fetch
    for arguments in (("graph",), ("showconf", "peer", PEER)):
        commands[f"kgctl {' '.join(arguments)}"] = [KGCTL, "--kubeconfig", kubeconfig, *arguments]
    if shutil.which("kubectl"):
        commands["kubectl get nodes"] = ["kubectl", "--kubeconfig", kubeconfig, "get", "nodes"]
    return commands


def _kubeconfig(cluster: Cluster, folder: Path) -> str:
    """Write a kubeconfig for the far end; the server's certificate is for loopback."""
    config = yaml.safe_load(Path(cluster.kubeconfig).read_text())
    there = {"server": f"https://{FAR}:{cluster.port}", "tls-server-name": "127.0.0.1"}
    config["clusters"][0]["cluster"].update(there)
    path = folder / "slow.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


@contextlib.contextmanager
def _line(near: Namespace, far: Namespace) -> Iterator[str]:
    """Set up the line; yield the means that make it slow."""
    connect(near, DEVICE, far, DEVICE)
    delay = ("delay", f"{ROUND_TRIP / 2:g}ms", "rate", f"{RATE}mbit", "limit", "1000")
    try:
        for end in (near, far):
            end.run("tc", "qdisc", "add", "dev", DEVICE, "root", "netem", *delay)
    except CommandError:
        near.ip("link", "delete", DEVICE)
        settings = (DEVICE, f"{ROUND_TRIP / 2:g}", f"{RATE}")
        with _running("bench.line", near.name, far.name, *settings):
            near.ip("link", "set", DEVICE, "up")
            far.ip("link", "set", DEVICE, "up")
            _assign(near, far)
            yield TUN
    else:
        _assign(near, far)
        yield NETEM


def _assign(near: Namespace, far: Namespace) -> None:
    assign(near, DEVICE, NEAR + PREFIX)
    assign(far, DEVICE, FAR + PREFIX)


@contextlib.contextmanager
def _relay(far: Namespace, port: int) -> Iterator[None]:
    with _running("bench.relay", far.name, FAR, str(port)):
        yield


@contextlib.contextmanager
def _running(module: str, *arguments: str) -> Iterator[None]:
    """Run a module during the measurement; it prints ``ready`` when it is."""
    command: Sequence[str] = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise SystemExit(f"{module} did not start")
        yield
    finally:
        process.terminate()
        process.communicate()


def link_table(link: LinkFigures) -> str:
    """Return the figures of each command."""
    rows = [(name, seconds(one.wall), seconds(one.cpu)) for name, one in link.figures.items()]
    return table(("", "time", "processor"), rows)
