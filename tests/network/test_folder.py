"""A network in a folder: init, three machines and a printer, and all packets between them."""

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
    from collections.abc import Iterator

OFFICE, LAPTOP, TABLET = "192.0.2.1", "192.0.2.2", "192.0.2.3"
PRINTER = "192.168.7.20"


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Three machines on one network; behind the office's is a LAN with a printer.

    The printer has no route to the tunnel. The others do not listen on a known port.
    """
    with Lab() as made:
        internet = made.add("internet")
        wiring.bridge(internet, "br0")
        for name, address in (("office", OFFICE), ("laptop", LAPTOP), ("tablet", TABLET)):
            machine = made.add(name)
            wiring.connect(machine, "eth0", internet, f"to-{name}")
            internet.ip("link", "set", f"to-{name}", "master", "br0")
            wiring.assign(machine, "eth0", f"{address}/24")
        printer = made.add("printer")
        wiring.connect(printer, "eth0", made.namespaces["office"], "lan0")
        wiring.assign(printer, "eth0", f"{PRINTER}/24")
        wiring.assign(made.namespaces["office"], "lan0", "192.168.7.1/24")
        yield made


def kgctl(folder: Path, *arguments: str) -> str:
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": programs, "HOME": str(folder)}
    return run(["kgctl", *arguments], cwd=folder, env=environment, timeout=60).stdout


def test_every_machine_reaches_the_one_that_can_be_called(lab: Lab, tmp_path: Path) -> None:
    kgctl(tmp_path, "init", "--name", "home", "--pool", "10.73.5.0/24,fd73::/64")
    endpoint = f"{OFFICE}:51820"
    kgctl(tmp_path, "peer", "add", "office", "--endpoint", endpoint, "--lan", "192.168.7.0/24")
    kgctl(tmp_path, "peer", "add", "laptop")
    private = kgctl(tmp_path, "genkey")  # the tablet's own: it never lies in the folder
    public = run(
        [sys.executable, "-m", "kgctl", "pubkey"], stdin=private, cwd=Path(__file__).parents[2]
    ).stdout
    kgctl(tmp_path, "peer", "add", "tablet", "--public-key", public.strip())
    (tmp_path / "out").mkdir()
    kgctl(tmp_path, "showconf", "--all", "-d", "out")

    # a firewall that forwards nothing by itself
    lab.namespaces["office"].run("iptables", "-P", "FORWARD", "DROP")
    for name in ("office", "laptop", "tablet"):
        text = (tmp_path / "out" / f"{name}.conf").read_text()
        if name == "tablet":
            text = text.replace("[Interface]\n", f"[Interface]\nPrivateKey = {private}", 1)
        tunnel.join(lab.namespaces[name], text)

    office = lab.namespaces["office"]
    for number, name in ((2, "laptop"), (3, "tablet")):
        machine = lab.namespaces[name]
        for address in ("10.73.5.1", "fd73::1", PRINTER):
            assert probe.reaches(machine, address), f"{name} to {address}"
        for address in (f"10.73.5.{number}", f"fd73::{number}"):
            assert probe.reaches(office, address), f"office to {address}"

    tunnel.leave(office)
    rules = office.run("iptables-save").stdout.splitlines()
    assert [line for line in rules if line.startswith("-A")] == []
