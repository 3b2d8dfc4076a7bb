"""Numbers of modules that kgctl enters for a task, and of calls between them.

Each walk runs in a new process. A module counts as entered when one of its functions is called;
importing it is not enough. Run with ``python -m bench.walk``; compare two checkouts.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

ROOT = Path(__file__).parents[1]
PACKAGE = f"{ROOT / 'kgctl'}/"


class Steps:
    """Counts the calls between modules of kgctl inside the context."""

    def __init__(self) -> None:
        self.entered: set[str] = set()
        self.across = 0

    def __enter__(self) -> Steps:
        sys.setprofile(self._step)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _step(self, frame: FrameType, event: str, _argument: object) -> None:
        file = frame.f_code.co_filename
        if event != "call" or not file.startswith(PACKAGE) or frame.f_code.co_name == "<module>":
            return
        self.entered.add(file)
        caller = frame.f_back.f_code.co_filename if frame.f_back else ""
        self.across += caller.startswith(PACKAGE) and caller != file


def call(*arguments: str) -> Steps:
    """Run a command line of kgctl, from ``ahead.ask`` to its exit code."""
    from kgctl.cli.core.ahead import ahead
    from kgctl.cli.core.app import run

    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())), Steps() as steps:
        ahead.ask(list(arguments))
        code = run(list(arguments))
    if code != (1 if "check" in arguments else 0):
        raise SystemExit(f"kgctl {' '.join(arguments)} ends with {code}")
    return steps


def live_graph(folder: Path) -> Steps:
    """Draw a cluster of one node from an API server."""
    import tests.support.quiet as quiet

    with quiet.QuietServer([quiet.node("a-1", 2)]) as server:
        return call("--kubeconfig", str(server.kubeconfig(folder)), "graph")


def quick_file(_folder: Path) -> Steps:
    """Write a wg-quick file."""
    return call("--example", "showconf", "peer", "laptop", "-o", "wg-quick")


def finding(_folder: Path) -> Steps:
    """Write the findings of a cluster as SARIF."""
    return call("--example", "check", "-o", "sarif")


def mesh_file(folder: Path) -> Steps:
    """Plan the links of the two clusters of a mesh file."""
    for number, name in enumerate(("eu", "us"), 1):
        (folder / f"{name}.json").write_text(json.dumps(member(number, f"{name}-1")))
    clusters = [{"name": name, "manifests": [f"{name}.json"]} for name in ("eu", "us")]
    mesh = {"apiVersion": "kgctl.dev/v1alpha1", "kind": "Mesh", "clusters": clusters}
    (folder / "mesh.yaml").write_text(json.dumps(mesh))
    return call("link", "-f", str(folder / "mesh.yaml"), "--dry-run")


def member(number: int, name: str) -> dict[str, Any]:
    """Return a leader with networks of its own."""
    annotations = {
        "key": base64.b64encode(hashlib.sha256(name.encode()).digest()).decode(),
        "endpoint": f"203.0.113.{number}:51820",
        "internal-ip": f"172.16.{number}.1/24",
        "wireguard-ip": f"10.{number}.0.1/16",
        "last-seen": "4000000000",
        "location": "x",
        "granularity": "location",
    }
    named = {f"kilo.squat.ai/{key}": value for key, value in annotations.items()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": named},
        "spec": {"podCIDR": f"10.{100 + number}.0.0/24"},
    }


def connect_event(_folder: Path) -> Steps:
    """Process a change of one of ten nodes, without a host."""
    import bench.round as one
    from kgctl.connect.network import wanted_of
    from kgctl.connect.rounds import Parser
    from kgctl.connect.synchroniser import Synchroniser
    from kgctl.host.names import Names
    from kgctl.wireguard.keys import PrivateKey

    memory = one.Memory()
    keeper = Synchroniser(PrivateKey(b"a" * 32), 51820, Names(lambda: None))
    parser = Parser("topology.kubernetes.io/region")

    def take_in(networks: str) -> None:
        state = parser.state(one.cluster(10, networks))
        wanted = wanted_of(state, name="laptop", now=one.NOW, granularity="auto")
        keeper.apply(wanted, memory, one.MemoryRoutes(memory), now=one.NOW, whole=True)

    take_in("192.168.1.0/24")
    with Steps() as steps:
        take_in("192.168.2.0/24")
    return steps


WALKS: dict[str, Callable[[Path], Steps]] = {
    "live graph": live_graph,
    "wg-quick file": quick_file,
    "connect event": connect_event,
    "mesh file": mesh_file,
    "finding to SARIF": finding,
}


def main() -> None:
    """Run each walk in a new process, and print one line per walk."""
    if sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            steps = WALKS[sys.argv[1]](Path(folder))
        print(f"{sys.argv[1]:18}{len(steps.entered):8}{steps.across:12,}")
        return
    print(f"{'walk':18}{'modules':>8}{'calls across':>14}", flush=True)
    for name in WALKS:
        subprocess.run([sys.executable, "-m", "bench.walk", name], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
