"""Agents on the kernel's own WireGuard and IP in IP: packets of pods, within a place and between.

ams-2 ── 10.1.0.0/24 ── ams-1 ── 198.51.100.0/24 ── fra-1
"""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.kernel.forked import PATIENCE, Running, within
from tests.kernel.machine import Machine
from tests.kernel.standin import NODES, StandIn, Store

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "kilo.squat.ai/"
PLACES = {"ams-1": "ams", "ams-2": "ams", "fra-1": "fra"}
PODS = {"ams-1": "10.42.1.10", "ams-2": "10.42.2.10", "fra-1": "10.42.3.10"}


def lay_cables(machines: dict[str, Machine]) -> None:
    ams_1, ams_2, fra_1 = machines.values()
    ams_1.batch(
        f"link add lan type veth peer name lan netns {ams_2.name}",
        f"link add uplink type veth peer name uplink netns {fra_1.name}",
        "link set lan up", "link set uplink up",
        "address add 10.1.0.11/24 dev lan", "address add 198.51.100.11/24 dev uplink",
        "route add default via 198.51.100.21",
    )  # fmt: skip
    ams_2.batch("link set lan up", "address add 10.1.0.12/24 dev lan",
                "route add default via 10.1.0.11")  # fmt: skip
    fra_1.batch("link set uplink up", "address add 198.51.100.21/24 dev uplink",
                "route add default via 198.51.100.11")  # fmt: skip
    for name, machine in machines.items():
        subnet = PODS[name].rpartition(".")[0]
        machine.batch("link add kube-bridge type bridge", "link set kube-bridge up",
                      f"address add {subnet}.1/24 dev kube-bridge",
                      f"address add {PODS[name]}/24 dev kube-bridge")  # fmt: skip


def node(name: str) -> dict[str, object]:
    subnet = f"{PODS[name].rpartition('.')[0]}.0/24"
    annotations = {f"{PREFIX}location": PLACES[name]}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"podCIDR": subnet, "podCIDRs": [subnet]},
    }


def start(name: str, machine: Machine, api: StandIn, directory: Path) -> Running:
    kubeconfig = api.write_kubeconfig(directory / name)
    return Running(
        machine.name, machine.directory, "kgctl", "--kubeconfig", str(kubeconfig),
        "agent", "--hostname", name, "--encapsulate", "always", "--resync-period", "10s",
        "--key-file", str(machine.directory / "key"), "--listen", "127.0.0.1:1107",
        "--cni-path", str(machine.directory / "cni"), "--clean-up-interface",
    )  # fmt: skip


def reaches(machine: Machine, source: str, target: str) -> bool:
    wanted = ("ping", "-n", "-q", "-I", source, "-i", "0.5", "-c", "1", "-w", "5", target)
    return machine.run(*wanted, timeout=30, check=False).returncode == 0


def packets(machine: Machine, link: str) -> int:
    """Return the packets that a link has sent."""
    (found,) = json.loads(machine.ip("-s", "-json", "link", "show", link))
    return int(found["stats64"]["tx"]["packets"])


def test_pods_reach_each_other_by_ipip_and_wireguard(tmp_path: Path) -> None:
    store = Store()
    with ExitStack() as stack:
        machines = {name: stack.enter_context(Machine.create(name)) for name in PLACES}
        lay_cables(machines)
        running = {}
        for name, machine in machines.items():
            store.put(NODES, node(name))
            api = StandIn(machine, store)
            stack.callback(api.close)
            running[name] = start(name, machine, api, tmp_path)
            stack.callback(running[name].force)

        def said() -> str:
            return "\n".join(one.stdout + one.stderr for one in running.values())

        follower = machines["ams-2"]

        def is_set_up() -> bool:
            by_tunnel = "dev tunl0" in follower.ip("route", "show", "10.42.3.0/24")
            back = "dev kilo0" in machines["fra-1"].ip("route", "show", "10.42.2.0/24")
            return by_tunnel and back

        try:
            within(PATIENCE, is_set_up)
            for source, target in (("ams-2", "fra-1"), ("ams-2", "ams-1"), ("fra-1", "ams-2")):
                machine = machines[source]
                within(PATIENCE, lambda m=machine, s=source, t=target: reaches(m, PODS[s], PODS[t]))
        except AssertionError:
            raise AssertionError(said()) from None
        assert packets(follower, "tunl0") > 0
        assert '"wireguard"' in machines["ams-1"].ip("-d", "-json", "link", "show", "kilo0")
        rules = machines["ams-1"].run("iptables-save", timeout=60).stdout
        assert "-A KILO-IPIP -s 10.1.0.12/32" in rules
        for one in running.values():
            one.signal(signal.SIGTERM)
        for name, one in running.items():
            assert one.wait().code == 0, said()
            assert "KILO" not in machines[name].run("iptables-save", timeout=60).stdout
            assert "proto static" not in machines[name].ip("route", "show", "table", "all")
            assert "kilo0" not in machines[name].ip("link")
