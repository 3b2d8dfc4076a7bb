"""Nodes that nothing but ``kgctl agent`` sets up: three locations, one of them behind NAT.

                 internet ─────────┬───────────┬──────────────┐
                    │              │           │              │
    ams-1 ─ lan ─ ams-2          fra-1       fra-2        home router
                                   └── lan     (no internal IP)│ lan
                                                        home-1 ┴ home-2

Each node has a bridge as a CNI plugin makes it, with a pod in a namespace of its own. Two machines
outside, ``server`` and ``laptop`` (behind NAT), are Peers.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from tests.network import probe, tunnel, wiring
from tests.network.commands import run
from tests.network.connection import PATIENCE, Connection
from tests.network.tunnel import KILO, KeyPair
from tests.network.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Self

    from tests.apiserver.server import ApiServer
    from tests.network.namespace import Lab, Namespace

NODES = "/api/v1/nodes"
PREFIX = "kilo.squat.ai/"
PRINTER = "192.168.77.50"
"""A machine in the LAN of ``home``, which knows no way into the network."""


class AgentNode(NamedTuple):
    """A node: its location, its pods in PODS.NUMBER.0/24, its addresses, and its annotations."""

    name: str
    location: str
    number: int
    uplink: str = ""
    lan: str = ""
    annotations: tuple[tuple[str, str], ...] = ()
    pods: str = "10.42"

    @property
    def subnet(self) -> str:
        """The network of its pods."""
        return f"{self.pods}.{self.number}.0/24"

    @property
    def bridge(self) -> str:
        """The address of its bridge, the gateway of its pods."""
        return f"{self.pods}.{self.number}.1"

    @property
    def pod(self) -> str:
        """The address of its pod."""
        return f"{self.pods}.{self.number}.10"


_HOME = (("persistent-keepalive", "2"),)
LAYOUT = (
    AgentNode("ams-1", "ams", 1, "198.51.100.11/24", "10.1.0.11/24"),
    AgentNode("ams-2", "ams", 2, "", "10.1.0.12/24"),
    AgentNode("fra-1", "fra", 3, "203.0.113.21/24", "10.2.0.21/24"),
    AgentNode("fra-2", "fra", 4, "198.19.60.22/24"),
    AgentNode(
        "home-1", "home", 5, "", "192.168.77.10/24",
        (*_HOME, ("allowed-location-ips", "192.168.77.0/24")),
    ),
    AgentNode("home-2", "home", 6, "", "192.168.77.11/24", _HOME),
)  # fmt: skip
NODE = {one.name: one for one in LAYOUT}


class AgentLab:
    """The cables, the pods, and the API server; agents are started one by one.

    A context manager: on leaving every agent is ended.
    """

    layout: tuple[AgentNode, ...] = LAYOUT

    def __init__(self, lab: Lab, server: ApiServer, directory: Path) -> None:
        self.lab = lab
        self.server = server
        self.directory = directory
        self.agents: dict[str, Connection] = {}
        self.uplinks: dict[str, Uplink] = {}
        self.bare: dict[str, str] = {}
        self.keys = {name: KeyPair.generate() for name in ("server", "laptop")}
        server.clear()
        self._wire()
        for node in self.layout:
            self._add_pod(node)
            self.publish(node)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for agent in self.agents.values():
            agent.__exit__()
        for uplink in self.uplinks.values():
            uplink.__exit__()

    def __getitem__(self, name: str) -> Namespace:
        """Return the namespace of a node, of a pod (``pod-NODE``), or of a machine."""
        return self.lab.namespaces[name]

    # --- cables ---

    @property
    def internet(self) -> Namespace:
        """The router between all uplinks, of every cluster in the lab."""
        if "internet" not in self.lab.namespaces:
            wiring.forward(self.lab.add("internet"))
        return self["internet"]

    def _wire_nodes(self) -> None:
        for node in self.layout:
            namespace = self.lab.add(node.name)
            if node.uplink:
                self._attach(namespace, node.uplink)
            if node.lan and node.location != "home":
                self._join_lan(namespace, node)

    def _wire(self) -> None:
        self._wire_nodes()
        self["ams-2"].ip("route", "add", "default", "via", "10.1.0.11")
        router = self.lab.add("home-router")
        self._attach(router, "198.18.30.30/24")
        wiring.home_router(router, "uplink", "nftables")
        wiring.bridge(router, "lan", "192.168.77.1/24")
        printer = self.lab.add("printer")
        self._plug(printer, router, "192.168.77.50/24")
        for name in ("home-1", "home-2"):
            self._plug(self[name], router, NODE[name].lan)
            self[name].ip("route", "add", "default", "via", "192.168.77.1")
        self._attach(self.lab.add("server"), "198.19.61.60/24")
        office = self.lab.add("office-router")
        self._attach(office, "198.18.40.40/24")
        wiring.home_router(office, "uplink", "iptables")
        wiring.bridge(office, "lan", "192.168.88.1/24")
        laptop = self.lab.add("laptop")
        self._plug(laptop, office, "192.168.88.10/24")
        laptop.ip("route", "add", "default", "via", "192.168.88.1")

    def _attach(self, namespace: Namespace, address: str) -> None:
        """Connect a machine to the Internet; the router's end is host 1 of its network."""
        wiring.connect(namespace, "uplink", self.internet, namespace.label)
        wiring.assign(namespace, "uplink", address)
        gateway = f"{address.rpartition('.')[0]}.1"
        wiring.assign(self.internet, namespace.label, f"{gateway}/24")
        wiring.default_routes(namespace, gateway)

    def _join_lan(self, namespace: Namespace, node: AgentNode) -> None:
        """Connect a node to the LAN of its location: a bridge on its first node."""
        first = next(one for one in self.layout if one.location == node.location)
        if first == node:
            wiring.bridge(namespace, "lan", node.lan)
        else:
            self._plug(namespace, self[first.name], node.lan)

    def _plug(self, namespace: Namespace, switch: Namespace, address: str) -> None:
        wiring.connect(namespace, "lan", switch, namespace.label)
        switch.ip("link", "set", namespace.label, "master", "lan")
        wiring.assign(namespace, "lan", address)

    def _add_pod(self, node: AgentNode) -> None:
        """Give a node the bridge of a CNI plugin, and a pod."""
        host, pod = self[node.name], self.lab.add(f"pod-{node.name}")
        wiring.bridge(host, "kube-bridge", f"{node.bridge}/24")
        wiring.connect(pod, "eth0", host, "pod")
        host.ip("link", "set", "pod", "master", "kube-bridge")
        wiring.assign(pod, "eth0", f"{node.pod}/24")
        wiring.default_routes(pod, node.bridge)

    # --- the cluster ---

    def publish(self, node: AgentNode, **annotations: str | None) -> None:
        """Have a Node in the cluster as the kubelet makes it, with these annotations of people."""
        values = {
            **({"location": node.location} if node.location else {}),
            **dict(node.annotations),
        }
        values |= {name.replace("_", "-"): text for name, text in annotations.items() if text}
        self.server.apply([{
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": node.name,
                "annotations": {PREFIX + name: text for name, text in values.items()},
            },
            "spec": {"podCIDR": node.subnet, "podCIDRs": [node.subnet]},
        }])  # fmt: skip

    def annotate(self, name: str, **annotations: str | None) -> None:
        """Change annotations of a node; None removes one."""
        changes = {PREFIX + key.replace("_", "-"): text for key, text in annotations.items()}
        patch = {"metadata": {"annotations": changes}}
        self.server.request("PATCH", f"{NODES}/{name}", patch, "application/merge-patch+json")

    def annotation(self, name: str, annotation: str) -> str | None:
        """Return an annotation of a node."""
        found = self.server.request("GET", f"{NODES}/{name}")["metadata"].get("annotations", {})
        return found.get(PREFIX + annotation)  # type: ignore[no-any-return]

    def add_peer(self, name: str, *addresses: str, **spec: object) -> None:
        """Have a Peer for one of the machines outside."""
        self.publish_peer(name, addresses, self.keys[name].public, **spec)

    def publish_peer(self, name: str, addresses: Iterable[str], key: str, **spec: object) -> None:
        """Have a Peer with a public key, of any machine."""
        self.server.apply([{
            "apiVersion": "kilo.squat.ai/v1alpha1",
            "kind": "Peer",
            "metadata": {"name": name},
            "spec": {"allowedIPs": [*addresses], "publicKey": key, **spec},
        }])  # fmt: skip

    def join(self, name: str) -> None:
        """Connect a machine with the file that kgctl writes for it."""
        key = self[name].write(f"{name}.key", f"{self.keys[name].private}\n")
        config = run(
            [sys.executable, "-m", "kgctl", "--kubeconfig", str(self.server.kubeconfig),
             "showconf", "peer", name, "-o", "wg-quick", "--private-key", str(key)],
            timeout=60,
        ).stdout  # fmt: skip
        tunnel.join(self[name], config, KILO)

    # --- agents ---

    def start(self, name: str, *options: str) -> Connection:
        """Start the agent of a node."""
        namespace = self[name]
        if name not in self.uplinks:
            self.uplinks[name] = Uplink(namespace, self.server.url)
        kubeconfig = self.server.write_kubeconfig(
            f"agent-{name}", self.server.users.with_token("admin"), url=self.uplinks[name].url
        )
        argv = ("kgctl", "--kubeconfig", str(kubeconfig), "agent", "--hostname", name,
                "--encapsulate", "never", "--resync-period", "5s",
                "--key-file", str(namespace.directory / "kilo" / "key"),
                "--cni-path", str(namespace.directory / "10-kilo.conflist"),
                "--listen", "127.0.0.1:1107", "--log-level", "debug", *options)  # fmt: skip
        agent = Connection(namespace, kubeconfig, module=argv)
        self.agents[name] = agent
        return agent

    def start_all(self, *options: str) -> None:
        """Start the agents of all nodes."""
        for node in self.layout:
            self.start(node.name, *options)

    def cut(self) -> None:
        """End every connection of agents to the API server, and every new one."""
        for uplink in self.uplinks.values():
            uplink.cut()

    def mend(self) -> None:
        """Let agents connect to the API server again."""
        for uplink in self.uplinks.values():
            uplink.mend()

    def traces(self, name: str) -> str:
        """Return everything of a node that an agent could have left something in."""
        namespace = self[name]
        shown = [namespace.ip(*one.split()) for one in (
            "-o address", "route show table all", "-6 route show table all", "rule", "-6 rule",
        )]  # fmt: skip
        for program in ("iptables-save", "ip6tables-save"):
            text = namespace.run(program).stdout
            rules = (line for line in text.splitlines() if line[:1] == "-")
            shown.append("\n".join(rules))
        # link-local addresses and their routes come by themselves, a while after a link
        return "\n".join(line for text in shown for line in text.splitlines() if "fe80" not in line)

    # --- packets ---

    def unreached(self, names: Iterable[str], within: float = 3 * PATIENCE) -> list[str]:
        """Return each pair of pods, and of a pod and a node, that no ping gets through between."""
        chosen = [NODE[name] for name in names]
        return self.unanswered(
            [(one, two) for one in chosen for two in chosen if one != two], within
        )

    def unanswered(
        self, pairs: Iterable[tuple[AgentNode, AgentNode]], within: float = 3 * PATIENCE
    ) -> list[str]:
        """Return the pairs of nodes of which the first one's pod cannot reach the second's."""
        deadline = time.monotonic() + within
        missing = [*pairs]
        while missing:
            missing = [
                (one, other)
                for one, other in missing
                if not self._all_answer(self[f"pod-{one.name}"], other)
            ]
            if time.monotonic() > deadline:
                break
        return [f"{one.name} to {other.name}" for one, other in missing]

    def _all_answer(self, source: Namespace, node: AgentNode) -> bool:
        targets = [node.pod, node.bridge]
        return all(probe.ping(source, one, count=1, timeout=2).received for one in targets)

    def scraped(self, name: str, path: str) -> str:
        """Return what the web server of an agent answers."""
        return self[name].run("curl", "-sS", "--max-time", "20",
                              f"http://127.0.0.1:1107{path}").stdout  # fmt: skip

    def describe(self) -> str:
        """Return what each node has, for who looks into a failed test."""
        return "\n".join(
            f"--- {node.name} ---\n"
            + self[node.name].run("wg", "show", check=False).stdout
            + self[node.name].ip("-4", "route")
            + (self.agents[node.name].describe()[-4000:] if node.name in self.agents else "")
            for node in self.layout
        )
