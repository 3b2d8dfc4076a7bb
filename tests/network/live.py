"""The small cluster with its state in a real API server, which kgctl and Kilo's agents change."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.network import plan, tunnel
from tests.network.command_line import Kgctl
from tests.network.objects import discovered_endpoints, node_objects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from tests.apiserver.server import ApiServer
    from tests.network.layout import SmallCluster
    from tests.network.namespace import Namespace
    from tests.network.objects import Object
    from tests.network.plan import Inside, Machine, NodePlan, Outside

PEERS = "/apis/kilo.squat.ai/v1alpha1/peers"
PEER_ADMIN = Path(__file__).parents[2] / "docs" / "rbac-peers.yaml"
"""The least for who adds and removes machines."""


@dataclass
class LiveNetwork:
    """Nodes and peers in the API server, tunnels in the namespaces.

    ``inside`` and ``outside`` say which addresses the nodes are annotated with.
    """

    cluster: SmallCluster
    server: ApiServer
    directory: Path
    """Where whoever runs kgctl works: private keys and configurations come to lie here."""
    inside: Inside = "ipv4"
    outside: Outside = "ipv4"
    nodes: dict[str, Object] = field(init=False)

    def __post_init__(self) -> None:
        """Publish the nodes as their agents would, and nothing else."""
        objects = node_objects(self.cluster.keys, inside=self.inside, outside=self.outside)
        self.nodes = {node["metadata"]["name"]: node for node in objects}
        self.server.clear()
        self.server.apply(objects)

    def __getitem__(self, name: str) -> Namespace:
        """Return the namespace of a node, a machine or a router."""
        return self.cluster[name]

    @property
    def read(self) -> Kgctl:
        """Kgctl for who may only read."""
        return self._kgctl(self.server.token_user("reader"))

    @property
    def admin(self) -> Kgctl:
        """Kgctl for who may add and remove peers, too."""
        return self._kgctl(self.admin_kubeconfig)

    @cached_property
    def admin_kubeconfig(self) -> Path:
        """The kubeconfig of who may add and remove peers."""
        role = yaml.safe_load(PEER_ADMIN.read_text())
        return self.server.user("peer-admin", role["rules"])

    def _kgctl(self, kubeconfig: Path) -> Kgctl:
        return Kgctl(("--kubeconfig", str(kubeconfig)), self.directory)

    def annotate(self, node: NodePlan, annotations: dict[str, str]) -> None:
        """Change annotations of a node, given without the prefix; publish them."""
        found = self.nodes[node.name]["metadata"]["annotations"]
        found |= {f"kilo.squat.ai/{name}": value for name, value in annotations.items()}
        self.server.apply([self.nodes[node.name]])

    def lead(self) -> None:
        """Have every leader set what ``showconf node`` prints for it now."""
        self.read.lead(self.cluster, self.inside)

    def tell_endpoints(self, node: NodePlan = plan.AMS_1) -> dict[str, str | None]:
        """Publish where a leader sees the others, and return that, by public key."""
        seen = {key: one.endpoint for key, one in tunnel.dump(self[node.name]).items()}
        (annotation,) = discovered_endpoints(seen).values()
        self.annotate(node, {"discovered-endpoints": annotation})
        return seen

    def add(
        self, machine: Machine, *, endpoint: str | None = None, preshared: bool = False
    ) -> None:
        """``kgctl peer add`` with the machine's addresses; its private key comes into a file."""
        options = ["--allowed-ips", f"{machine.ipv4}/32,{machine.ipv6}/128"]
        options += ["--persistent-keepalive", str(plan.KEEPALIVE)]
        options += ["--endpoint", endpoint] if endpoint else []
        options += ["--generate-preshared-key"] if preshared else []
        self.admin("peer", "add", machine.name, *options)

    def peer(self, machine: Machine) -> Any:
        """Return the spec of the machine's Peer, as the API server holds it."""
        return self.server.request("GET", f"{PEERS}/{machine.name}")["spec"]

    def file(self, machine: Machine, *options: str) -> str:
        """Return what ``showconf peer -o wg-quick`` prints for the machine, its key in it."""
        key = str(self.directory / f"{machine.name}.key")
        wanted = ("showconf", "peer", machine.name, "-o", "wg-quick", "--private-key", key)
        return self.read(*wanted, *options)

    def join(self, machine: Machine, *options: str) -> str:
        """Join with nothing but that file, and return it."""
        config = self.file(machine, *options)
        tunnel.join(self[machine.name], config)
        return config

    def remove(self, *machines: Machine) -> None:
        """``kgctl peer rm``."""
        self.admin("peer", "rm", *(machine.name for machine in machines))

    def rotate(self, machine: Machine) -> None:
        """``kgctl peer rotate``, the new private key in the place of the old one."""
        (self.directory / f"{machine.name}.key").unlink()
        self.admin("peer", "rotate", machine.name)

    @contextmanager
    def watched_file(self, machine: Machine) -> Iterator[Path]:
        """The machine's file while ``showconf peer --watch`` keeps it up to date."""
        path, key = (self.directory / f"{machine.name}.{kind}" for kind in ("conf", "key"))
        wanted = ("showconf", "peer", machine.name, "-o", "wg-quick", "--private-key", str(key))
        argv = self.read.argv(*wanted, "--watch", str(path), "--interval", "1")
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as watch:
            try:
                yield path
                assert watch.poll() is None, "it watches until it is told to stop"
            finally:
                watch.terminate()

    def leave(self, machine: Machine) -> None:
        """``wg-quick down``."""
        tunnel.leave(self[machine.name])
