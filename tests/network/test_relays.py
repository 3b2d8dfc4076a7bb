"""A network in a folder with a relay: two machines behind NATs reach each other through it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.network import probe, tunnel, wiring
from tests.network.commands import run
from tests.network.namespace import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VPS = "192.0.2.1"
HOMES = ("alice", "bob", "carol")
PRINTER = "192.168.77.20"
DEVICE = "kgctl"


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A machine on the Internet, three behind a NAT each, and a printer in a LAN behind bob's.

    The NATs let nothing in unasked. The printer has no route to the tunnel.
    """
    with Lab() as made:
        internet = made.add("internet")
        wiring.bridge(internet, "br0")
        vps = made.add("vps")
        _plug(made, "vps", VPS)
        for number, name in enumerate(HOMES, 2):
            router, machine = made.add(f"r-{name}"), made.add(name)
            _plug(made, f"r-{name}", f"192.0.2.{number}")
            wiring.connect(machine, "eth0", router, "lan0")
            wiring.assign(router, "lan0", f"192.168.{number}.1/24")
            wiring.assign(machine, "eth0", f"192.168.{number}.2/24")
            wiring.default_routes(machine, f"192.168.{number}.1")
            wiring.home_router(router, "eth0", "nftables")
        printer = made.add("printer")
        wiring.connect(printer, "eth0", made.namespaces["bob"], "lan1")
        wiring.assign(printer, "eth0", f"{PRINTER}/24")
        wiring.assign(made.namespaces["bob"], "lan1", "192.168.77.1/24")
        vps.run("iptables", "-P", "FORWARD", "DROP")  # a firewall that forwards nothing by itself
        vps.run("ip6tables", "-P", "FORWARD", "DROP")
        yield made


def _plug(lab: Lab, name: str, address: str) -> None:
    internet = lab.namespaces["internet"]
    wiring.connect(lab.namespaces[name], "eth0", internet, f"to-{name}")
    internet.ip("link", "set", f"to-{name}", "master", "br0")
    wiring.assign(lab.namespaces[name], "eth0", f"{address}/24")


def kgctl(folder: Path, *arguments: str) -> str:
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": programs, "HOME": str(folder)}
    return run(["kgctl", *arguments], cwd=folder, env=environment, timeout=60).stdout


def files(folder: Path) -> Mapping[str, str]:
    kgctl(folder, "showconf", "--all", "-d", "out")
    return {path.stem: path.read_text() for path in (folder / "out").iterdir()}


def test_machines_behind_nats_meet_at_a_relay_whose_file_alone_changes_for_another(
    lab: Lab, tmp_path: Path
) -> None:
    kgctl(tmp_path, "init", "--name", "home", "--pool", "10.73.5.0/24,fd73::/64")
    kgctl(tmp_path, "peer", "add", "vps", "--endpoint", f"{VPS}:51820", "--relay")
    kgctl(tmp_path, "peer", "add", "alice")
    kgctl(tmp_path, "peer", "add", "bob", "--lan", "192.168.77.0/24")
    (tmp_path / "out").mkdir()
    before = files(tmp_path)
    machines = lab.namespaces
    for name, text in before.items():
        tunnel.join(machines[name], text)

    for address in ("10.73.5.1", "10.73.5.3", "fd73::3", PRINTER):
        assert probe.reaches(machines["alice"], address), f"alice to {address}"
    for address in ("10.73.5.2", "fd73::2"):
        assert probe.reaches(machines["bob"], address), f"bob to {address}"
        assert probe.reaches(machines["vps"], address), f"vps to {address}"

    kgctl(tmp_path, "peer", "add", "carol")
    after = files(tmp_path)
    assert {name for name in after if after[name] != before.get(name)} == {"vps", "carol"}
    _synchronise(lab, tmp_path, after["vps"])
    tunnel.join(machines["carol"], after["carol"])
    for address in ("10.73.5.2", "10.73.5.3", "fd73::2", PRINTER):
        assert probe.reaches(machines["carol"], address), f"carol to {address}"
    assert probe.reaches(machines["alice"], "10.73.5.4")

    tunnel.leave(machines["vps"])
    rules = machines["vps"].run("iptables-save").stdout.splitlines()
    assert [line for line in rules if line.startswith("-A")] == []
    # the Internet's packets were never forwarded
    assert machines["vps"].run("sysctl", "-n", "net.ipv4.ip_forward").stdout.strip() == "0"


def _synchronise(lab: Lab, folder: Path, text: str) -> None:
    """Give the relay its new file as an administrator does, without breaking its tunnels."""
    vps = lab.namespaces["vps"]
    path = folder / f"{DEVICE}.conf"
    path.write_text(text)
    path.chmod(0o600)
    stripped = vps.run("wg-quick", "strip", str(path)).stdout
    vps.run("wg", "syncconf", DEVICE, "/dev/stdin", stdin=stripped)
    for address in ("10.73.5.4/32", "fd73::4/128"):
        vps.ip("route", "add", address, "dev", DEVICE)
