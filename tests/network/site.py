"""A laptop that connects to the small cluster, whose state is in a real API server."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.network import plan, probe
from tests.network.command_line import Kgctl
from tests.network.connection import Connection
from tests.network.objects import node_objects, peer_object, write_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from tests.apiserver.server import ApiServer
    from tests.network.layout import SmallCluster
    from tests.network.objects import Object
    from tests.network.uplink import Uplink

RBAC = Path(__file__).parents[2] / "docs" / "rbac-connect.yaml"
PEERS = "/apis/kilo.squat.ai/v1alpha1/peers"
NODES = "/api/v1/nodes"
ADDRESS = f"{plan.LAPTOP.ipv4}/32"
PREFIX = "kilo.squat.ai/"
AT_ONCE = 15.0
"""Seconds in which a busy machine applies an event: half of the period without events."""


class Site:
    """The layout, its API server, the laptop's line to it, and a user who may do what RBAC says.

    ``inside`` is the family of everything in the tunnels, ``program`` the module to run as kgctl.
    """

    def __init__(
        self,
        cluster: SmallCluster,
        server: ApiServer,
        uplink: Uplink,
        inside: plan.Inside = "ipv4",
    ) -> None:
        self.cluster = cluster
        self.program = "kgctl"
        self.inside = inside
        self.address = ADDRESS if inside == "ipv4" else f"{plan.LAPTOP.ipv6}/128"
        self.server = server
        self.uplink = uplink
        self.laptop = cluster["laptop"]
        rules = next(yaml.safe_load_all(RBAC.read_text()))["rules"]
        server.user("host", rules)
        user = server.users.with_certificate("host")
        self.kubeconfig = server.write_kubeconfig("host", user, url=uplink.url)
        server.clear()
        self.nodes = {
            one["metadata"]["name"]: one for one in node_objects(cluster.keys, inside=inside)
        }

    def publish(self, *names: str) -> None:
        """Have these nodes in the cluster, as they stand in ``nodes``."""
        self.server.apply([self.nodes[name] for name in names])

    def withdraw(self, name: str) -> None:
        """Take a node out of the cluster."""
        self.server.request("DELETE", f"{NODES}/{name}")

    def annotate(self, name: str, **annotations: str) -> None:
        """Change annotations of a node, here and in the cluster."""
        values = {PREFIX + key.replace("_", "-"): value for key, value in annotations.items()}
        self.nodes[name]["metadata"]["annotations"] |= values
        self.publish(name)

    def connect(self, *options: str, within: Sequence[str] = ()) -> Connection:
        """Start ``kgctl connect`` on the laptop."""
        wanted = ("laptop", "--allowed-ip", self.address, "--persistent-keepalive", "2", *options)
        return Connection(
            self.laptop, self.kubeconfig, *wanted, within=within, program=self.program
        )

    def joined(self, *options: str, within: Sequence[str] = ()) -> Connection:
        """Start it with the laptop's key, which the nodes know already, and wait for the tunnel.

        They would know it from the Peer that is created; but a first call that comes before
        they do is repeated after 5 s only.
        """
        keys = self.cluster.keys["laptop"]
        file = self.laptop.write("laptop.key", f"{keys.private}\n")
        self.lead(peer_object(plan.LAPTOP, keys.public, inside=(self.inside,)))
        connection = self.connect("--private-key", str(file), *options, within=within)
        with contextlib.ExitStack() as on_failure:
            on_failure.enter_context(connection)
            connection.until("synchronised")
            pod = plan.AMS_1.inside(self.inside).pod
            assert probe.reaches(self.laptop, pod), connection.describe()
            on_failure.pop_all()
        return connection

    def lead(self, *more: Object, only: Collection[str] = ()) -> None:
        """Configure every leader that is in the cluster now, or ``only`` some.

        ``more`` are objects that they know of besides. Unlike Kilo's agents this ends the
        sessions that a leader has.
        """
        listed = [{**one, "kind": "Node", "apiVersion": "v1"} for one in self.items(NODES)]
        api = "kilo.squat.ai/v1alpha1"
        listed += [{**one, "kind": "Peer", "apiVersion": api} for one in self.items(PEERS)]
        known = names_of(listed)
        listed += [one for one in more if one["metadata"]["name"] not in known]
        path = write_manifest(self.laptop.directory / "cluster.json", listed)
        for node in plan.LEADERS:
            if node.name in (only or known):
                config = Kgctl(("-f", str(path)))("showconf", "node", node.name)
                self.cluster.lead(node, config, self.inside)

    def items(self, path: str) -> list[dict[str, Any]]:
        """Return the objects that the API server lists."""
        found: list[dict[str, Any]] = self.server.request("GET", path)["items"]
        return found

    def peers(self) -> list[str]:
        """Return the names of the Peer objects."""
        return [item["metadata"]["name"] for item in self.items(PEERS)]

    def traces(self) -> str:
        """Return all of the laptop that a connection could have left something in."""
        run = self.laptop.run
        links = [line.split(": ")[1] for line in self.laptop.ip("-o", "link").splitlines()]
        records = [path.name for path in self.laptop.directory.glob("kilo0.*.json")]
        programs = run("sh", "-c", "ps -o comm= --pid $(ip netns pids $(ip netns identify $$))")
        left = [name for name in programs.stdout.split() if name.startswith("wireguard")]
        parts = [*links, self.laptop.ip("route"), self.laptop.ip("-6", "route")]
        parts += [self.laptop.ip("address"), run("ls", "/run/wireguard").stdout, *records, *left]
        return "\n".join(parts).replace(" tentative", "")


def stranger(number: int, location: str) -> Object:
    """Return a node that answers nobody: what comes and goes elsewhere in a large cluster."""
    import base64
    import hashlib

    key = base64.b64encode(hashlib.sha256(f"stranger {number}".encode()).digest()).decode()
    annotations = {
        "endpoint": f"192.0.2.{number % 200 + 1}:51820",
        "internal-ip": f"172.20.{number // 250}.{number % 250 + 1}/16",
        "key": key,
        "last-seen": str(int(time.time()) + 3600),
        "granularity": "location",
        "location": location,
    }
    subnet = f"10.{200 + number // 250}.{number % 250}.0/24"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": f"stranger-{number}",
            "annotations": {PREFIX + name: value for name, value in annotations.items()},
        },
        "spec": {"podCIDR": subnet, "podCIDRs": [subnet]},
    }


def within(seconds: float, condition: Callable[[], bool]) -> float:
    """Wait until a condition holds, and return how long it took.

    Raises:
        AssertionError: it does not hold after so many seconds.
    """
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"not within {seconds:g} s"
        time.sleep(0.02)
    return time.monotonic() - start


def names_of(objects: Iterable[Object]) -> list[str]:
    """Return the names of objects."""
    return [one["metadata"]["name"] for one in objects]
