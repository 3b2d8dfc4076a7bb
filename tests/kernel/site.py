"""A host that is about to connect, and a node of its cluster next to it, on the kernel's WireGuard.

host ── 198.51.100.0/24, 2001:db8:10::/64 ── node (ams-1), pods in 10.42.0.0/24 and fd10:42::/64
"""

from __future__ import annotations

import json
import re
import signal
import time
from typing import TYPE_CHECKING, Any

from tests.kernel.forked import PATIENCE, Done, Running, within
from tests.kernel.machine import Machine
from tests.kernel.standin import NODES, PEERS, StandIn
from tests.network import plan
from tests.network.commands import run
from tests.network.objects import HEARTBEAT_AHEAD, node_object, peer_object
from tests.network.tunnel import KeyPair, dump

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from tests.kernel.standin import Object

ADDRESS = "10.5.0.1/32"
POD = plan.AMS_1.ipv4.pod
DEVICE = "kilo0"
PREFIX = "kilo.squat.ai/"


class Site:
    """The two machines, the stand-in of an API server, and a key for each. A context manager."""

    def __init__(self, directory: Path, host: Machine | None = None) -> None:
        self.directory = directory
        self.host, self.node = host or Machine.create("host"), Machine.create("node")
        self.keys = {name: KeyPair.generate() for name in ("host", "ams-1")}
        self.host.batch(
            f"link add uplink type veth peer name uplink netns {self.node.name}",
            "link set uplink up addrgenmode none",  # no address that comes later by itself
            "address add 198.51.100.2/24 dev uplink",
            "address add 2001:db8:10::2/64 dev uplink nodad",
            "route add default via 198.51.100.1",
            "route add ::/0 via 2001:db8:10::1",
        )
        self.node.batch(
            "link set uplink up addrgenmode none",
            "address add 198.51.100.10/24 dev uplink",
            "address add 2001:db8:10::10/64 dev uplink nodad",
            "link add pods type bridge",
            "link set pods up",
            f"address add {POD}/24 dev pods",
            f"link add {DEVICE} type wireguard",
            f"link set {DEVICE} up mtu 1420",
            f"address add 10.4.0.1/16 dev {DEVICE}",
            f"route add 10.5.0.0/16 dev {DEVICE}",
        )
        self.key = self.host.write("host.key", f"{self.keys['host'].private}\n")
        own = self.node.write("node.key", f"{self.keys['ams-1'].private}\n")
        self.node.run("wg", "set", DEVICE, "private-key", str(own), "listen-port", "51820",
                      "peer", self.keys["host"].public, "allowed-ips", ADDRESS)  # fmt: skip
        self.api = StandIn(self.host)
        self.kubeconfig = self.api.write_kubeconfig(directory / "kubeconfig")
        self.publish(node_object(plan.AMS_1, self.keys["ams-1"], "ipv4", "ipv4"))
        self._running: list[Running] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._running:
            one.force()
        self.api.close()
        self.host.__exit__()
        self.node.__exit__()

    # --- the cluster ---

    def publish(self, *objects: Object) -> None:
        """Have these nodes and peers in the cluster."""
        for one in objects:
            self.api.store.put(PEERS if one["kind"] == "Peer" else NODES, one)

    def withdraw(self, name: str) -> None:
        """Take a node out of the cluster."""
        self.api.store.remove(NODES, name)

    def annotate(self, name: str, **annotations: str) -> None:
        """Change annotations of a node."""
        stored = self.api.store.get(NODES, name)
        assert stored is not None
        values = {PREFIX + key.replace("_", "-"): value for key, value in annotations.items()}
        metadata = stored["metadata"]
        before = metadata["annotations"]
        self.publish({**stored, "metadata": {**metadata, "annotations": {**before, **values}}})

    def peers(self) -> list[str]:
        """Return the names of the Peer objects."""
        return [one["metadata"]["name"] for one in self.api.store.list(PEERS)]

    def own_peer(self, **spec: Any) -> Object:
        """Return the Peer object of the host, with its key."""
        found = peer_object(plan.LAPTOP, self.keys["host"].public)
        return {**found, "spec": {**found["spec"], **spec}}

    # --- kgctl on the host ---

    def start(self, *argv: str, stdin: str = "") -> Running:
        """Start ``kgctl ARGV`` on the host."""
        own = ("--kubeconfig", str(self.kubeconfig))
        one = Running(self.host.name, self.host.directory, "kgctl", *own, *argv, stdin=stdin)
        self._running.append(one)
        return one

    def kgctl(self, *argv: str, stdin: str = "") -> Done:
        """Run ``kgctl ARGV`` on the host to its end."""
        return self.start(*argv, stdin=stdin).wait()

    def connect(self, *options: str, name: str = "laptop", key: Path | None = None) -> Connection:
        """Start ``kgctl connect`` on the host, with its key."""
        own = ("-a", ADDRESS, "--private-key", str(key or self.key), "--persistent-keepalive", "2")
        return Connection(self.start("connect", name, *own, "--log-format", "json", *options))

    def drift(self, dump: str) -> tuple[int, set[str]]:
        """Return the exit status of ``kgctl drift`` for such a dump, and the kinds of faults."""
        done = self.kgctl("drift", "laptop", "--dump", "-", "-o", "json", stdin=dump)
        found: list[dict[str, Any]] = json.loads(done.stdout)["differences"]
        return done.code, {one["kind"] for one in found if one["fault"]}

    # --- the host ---

    def reaches(self, address: str = POD, seconds: int = 30) -> bool:
        """Tell whether a ping from the host is answered in time."""
        wanted = ("ping", "-n", "-q", "-i", "0.5", "-c", "1", "-w", str(seconds), address)
        return self.host.run(*wanted, timeout=seconds + 20, check=False).returncode == 0

    def device(self, name: str = DEVICE) -> dict[str, Any]:
        """Return the peers of the host's device, by public key."""
        return dict(dump(self.host, name))

    def traces(self) -> str:
        """Return everything of the host that a connection could have left something in."""
        wanted = ("link", "address", "route show table all", "-6 route show table all", "rule")
        shown = [self.host.ip(*one.split()) for one in wanted]
        records = sorted(path.name for path in self.host.directory.glob("*.json"))
        # a link that was up once has another queue than a new one
        return re.sub(r" qdisc \w+", "", "\n".join([*shown, *records]))


class Connection:
    """A ``kgctl connect`` that runs."""

    def __init__(self, running: Running) -> None:
        self.running = running

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its log lines so far, decoded."""
        whole, _, _rest = self.running.stdout.rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def said(self, message: str) -> list[dict[str, Any]]:
        """Return the lines so far whose message begins so."""
        return [line for line in self.lines if line["msg"].startswith(message)]

    def until(self, message: str, count: int = 1, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait for the ``count``-th line whose message begins so, and return it."""
        deadline = time.monotonic() + seconds
        while len(found := self.said(message)) < count:
            ended = self.running.ended
            assert time.monotonic() < deadline, f"never said {message!r}:\n{self}"
            assert not ended or len(self.said(message)) >= count, f"it ended:\n{self}"
            time.sleep(0.1)
        return found[count - 1]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.running.signal(number)
        return self.running.wait().code

    def __str__(self) -> str:
        return self.running.stdout + self.running.stderr


def far_node(
    name: str, number: int, endpoint: str, key: str, *, location: str | None = None
) -> Object:
    """Return a node elsewhere, with pods in 10.42.NUMBER.0/24."""
    annotations = {
        "endpoint": endpoint,
        "internal-ip": f"10.30.{number}.1/24",
        "key": key,
        "last-seen": str(int(time.time()) + HEARTBEAT_AHEAD),
        "granularity": "location",
        "location": location or name,
        "leader": "true",
    }
    subnet = f"10.42.{number}.0/24"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {PREFIX + one: value for one, value in annotations.items()},
        },
        "spec": {"podCIDR": subnet, "podCIDRs": [subnet]},
    }


def add_tunnel(machine: Machine, name: str = DEVICE) -> None:
    """Give a machine a WireGuard interface of its own, as it comes."""
    run(["ip", "-n", machine.name, "link", "add", name, "type", "wireguard"])


__all__ = ["ADDRESS", "DEVICE", "POD", "Connection", "Site", "add_tunnel", "far_node", "within"]
