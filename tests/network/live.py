"""The small cluster with its state in a real API server, changed by kgctl and by Kilo's agents."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tests.network import plan, tunnel
from tests.network.command_line import Kgctl
from tests.network.objects import discovered_endpoints, node_objects, peer_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from tests.apiserver.server import ApiServer
    from tests.network.layout import SmallCluster
    from tests.network.namespace import Namespace
    from tests.network.objects import Object
    from tests.network.plan import Inside, Machine, NodePlan, Outside

PEERS = "/apis/kilo.squat.ai/v1alpha1/peers"
PEER_ADMIN = (
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]},
    {
        "apiGroups": ["kilo.squat.ai"],
        "resources": ["peers"],
        "verbs": ["list", "watch", "get", "create", "update", "patch", "delete"],
    },
)
"""The least for who adds and removes machines: no secrets, no pods, nothing of a node changed."""


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
        return self.server.user("peer-admin", PEER_ADMIN)

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
        """Apply a Peer with the machine's addresses; its private key comes into a file."""
        keys = tunnel.KeyPair.generate()
        key = self.directory / f"{machine.name}.key"
        key.touch(mode=0o600)
        key.write_text(f"{keys.private}\n")
        psk = tunnel.preshared_key() if preshared else None
        peer = peer_object(machine, keys.public, inside=("ipv4", "ipv6"), preshared=psk)
        if endpoint is not None:
            host, _, port = endpoint.rpartition(":")
            peer["spec"]["endpoint"] = {"dnsOrIP": {"ip": host.strip("[]")}, "port": int(port)}
        self.server.apply([peer])

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
        """Delete the machines' Peers."""
        for machine in machines:
            self.server.request("DELETE", f"{PEERS}/{machine.name}")

    def rotate(self, machine: Machine) -> None:
        """Give the machine's Peer a new key, its private one in the place of the old one."""
        keys = tunnel.KeyPair.generate()
        (self.directory / f"{machine.name}.key").write_text(f"{keys.private}\n")
        peer = self.server.request("GET", f"{PEERS}/{machine.name}")
        peer["spec"]["publicKey"] = keys.public
        self.server.request("PUT", f"{PEERS}/{machine.name}", peer)

    @contextmanager
    def watched_file(self, machine: Machine) -> Iterator[Path]:
        """The machine's file while ``showconf peer --watch`` keeps it up to date."""
        path, key = (self.directory / f"{machine.name}.{kind}" for kind in ("conf", "key"))
        wanted = ("showconf", "peer", machine.name, "-o", "wg-quick", "--private-key", str(key))
        argv = self.admin.argv(*wanted, "--watch", str(path))
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as watch:
            try:
                yield path
                assert watch.poll() is None, "it watches until it is told to stop"
            finally:
                watch.terminate()

    def leave(self, machine: Machine) -> None:
        """``wg-quick down``."""
        tunnel.leave(self[machine.name])
