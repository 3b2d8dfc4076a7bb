"""An imitation of Kilo's agent on the nodes of an ``AgentLab``: what it leaves on a node.

The commands are those of ``kgctl agent --dry-run``, whose decisions are compared with recorded ones
of Kilo's agent (tests/golden/agent). They leave no record of kgctl, and the key is in Kilo's place
and format.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any

from tests.network.agents import NODE
from tests.network.tunnel import KILO, KeyPair, dump
from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from tests.network.agents import AgentLab

PORT = 51820
CHECK_IN = 10.0
"""Seconds between two heartbeats; Kilo's agent takes 30."""

STARTING = r"""
# Kilo's agent looks at what is there first: it flushes its chains, and sets a rule once
once() {
    local program=$1; shift
    if [ "$4" = -N ]; then
        command "$program" "$@" 2>/dev/null || command "$program" -w -t "$3" -F "$5"
    else
        command "$program" "${@:1:3}" -C "${@:5}" 2>/dev/null || command "$program" "$@"
    fi
}
iptables() { once iptables "$@"; }
ip6tables() { once ip6tables "$@"; }
ip() {
    case "$*" in
    "link add "*)
        command ip link show "$3" >/dev/null 2>&1 || command ip "$@" 2>/dev/null ||
            wireguard-go "$3" ;;
    "tunnel add "*)  # a device that takes packets stands for IP in IP
        command ip link show "$3" >/dev/null 2>&1 || command ip tuntap add "$3" mode tun ;;
    *"rule add "*)
        command ip "$@" 2>/dev/null || command ip rule | grep -q 1107 ;;
    *) command ip "$@" ;;
    esac
}
"""


class KiloAgents:
    """Kilo's agents, each started with ``options``; a context manager, since a thread beats.

    What one set up stays when it ends, as with ``--clean-up=false``.
    """

    def __init__(self, network: AgentLab, *options: str) -> None:
        self._network = network
        self._options = options
        self._running: set[str] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(2 * CHECK_IN)

    def install(self, names: Iterable[str]) -> None:
        """Start agents on nodes where nothing is set up yet."""
        chosen = [*names]
        for name in chosen:
            directory = self._network[name].directory / "kilo"
            directory.mkdir(mode=0o700)
            keys = KeyPair.generate()
            self._network[name].write("kilo/key", keys.private)  # without an end of line
            self._network[name].sysctl(net__ipv4__ip_forward=1)  # as who installed the node does
            self._announce(name, key=keys.public)
        for name in chosen:
            self.start(name)

    def start(self, name: str) -> None:
        """Start one agent: it announces the node, and sets up what the cluster says."""
        with self._lock:
            self._running.add(name)
        self.check_in(name)
        self.apply(name)

    def stop(self, name: str) -> None:
        """End one agent; nothing changes on the node."""
        with self._lock:
            self._running.remove(name)

    def apply(self, name: str) -> None:
        """Set up what the cluster says now."""
        script = STARTING + self._dry_run(name)
        self._network[name].run("bash", "-euo", "pipefail", "-c", script)

    def check_in(self, name: str) -> None:
        """Write the annotations of a node that change by themselves."""
        plan = json.loads(self._dry_run(name, "-o", "json"))
        leads = plan["leader"]
        self._announce(
            name,
            wireguard_ip=plan["wireguard-address"] if leads else "",
            discovered_endpoints=self._discovered(name) if leads else "{}",
        )

    def _announce(self, name: str, **annotations: str) -> None:
        """Write annotations of a node in Kilo's form, with a heartbeat."""
        node = NODE[name]
        address = (node.uplink or node.lan).partition("/")[0]
        values = {
            "cni_compatibility_ip": "",
            "endpoint": f"{address}:{PORT}",
            "granularity": "location",
            "internal_ip": node.lan,
            "last_seen": str(int(time.time())),
        }
        self._network.annotate(name, **values, **annotations)

    def _discovered(self, name: str) -> str:
        """Return where the device sees the nodes that keep their sessions alive."""
        found: dict[str, Any] = {}
        if self._network[name].run("wg", "show", KILO, check=False).returncode:
            return ""
        keys = {
            self._network.annotation(one.name, "key")
            for one in NODE.values()
            if any(annotation == "persistent-keepalive" for annotation, _ in one.annotations)
        }
        for key, peer in dump(self._network[name]).items():
            if key in keys and peer.latest_handshake and peer.endpoint:
                host, _, port = peer.endpoint.rpartition(":")
                found[key] = {"IP": host, "Port": int(port), "Zone": ""}
        return json.dumps(dict(sorted(found.items())), separators=(",", ":"))

    def _beat(self) -> None:
        while not self._over.wait(CHECK_IN):
            for name in NODE:
                with self._lock, contextlib.suppress(OSError):
                    if name in self._running:
                        self._network.annotate(name, last_seen=str(int(time.time())))

    def _dry_run(self, name: str, *options: str) -> str:
        network = self._network
        code, out, errors = kgctl(
            "--kubeconfig", str(network.server.kubeconfig),
            "agent", "--dry-run", "--hostname", name,
            "--key-file", str(network[name].directory / "kilo" / "key"),
            *self._options, *options,
        )  # fmt: skip
        assert code == 0, errors
        return out
