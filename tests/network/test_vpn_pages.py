"""The pages about a VPN for a home and for a company: every command runs, and every packet arrives.

The pages' own commands run in namespaces that are the machines of the page. What people do in
between, such as carrying a file, or scanning a code, happens before the command that needs it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.network import pages, sshd, tunnel, wiring
from tests.network.commands import describe, environment, run
from tests.network.namespace import Lab, Namespace
from tests.support.qr import scanned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SCRIPT = 'exec 2>&1; set -euo pipefail; cd "$(cat "$1")"; eval "$2"; pwd >"$1"'
NO_ANSWER = "100% packet loss"
DIFFERS = "kgctl diff"
WIDE = "/24"


class Place:
    """The Internet, machines on it or behind routers of their own, and where people type."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab, self.directory = lab, directory
        self.internet = lab.add("internet")
        wiring.bridge(self.internet, "br0", "192.0.2.254/24")

    def __getitem__(self, name: str) -> Namespace:
        return self.lab.namespaces[name]

    def home(self, name: str) -> Path:
        """The directory of whoever works on a machine; Alice and her root share one."""
        made = self.directory / name
        made.mkdir(exist_ok=True)
        return made

    def machine(self, name: str, hosts: Mapping[str, str] | None = None) -> Namespace:
        made = self.lab.add(name, hosts)
        sshd.machine_files(made)
        return made

    def public(self, machine: Namespace, address: str) -> None:
        """Put a machine on the Internet."""
        port = f"to-{machine.label}"[:15]
        wiring.connect(machine, "wan", self.internet, port)
        self.internet.ip("link", "set", port, "master", "br0")
        wiring.assign(machine, "wan", address + WIDE)
        wiring.default_routes(machine, "192.0.2.254")

    def router(self, name: str, wan: str, lan: str) -> Namespace:
        """Add a home router with a LAN; nobody can call into it."""
        made = self.lab.add(name)
        self.public(made, wan)
        wiring.bridge(made, "lan", lan + WIDE)
        wiring.home_router(made, "wan", "nftables")
        return made

    @staticmethod
    def plug(machine: Namespace, router: Namespace, address: str, gateway: str) -> None:
        """Put a machine into the LAN of a router."""
        port = f"p-{machine.label}"[:15]
        wiring.connect(machine, "eth0", router, port)
        router.ip("link", "set", port, "master", "lan")
        wiring.assign(machine, "eth0", address + WIDE)
        wiring.default_routes(machine, gateway)

    def follow(
        self, page: str, administrator: str, before: Mapping[str, Callable[[], object]]
    ) -> None:
        """Run the commands of a page in their order.

        ``before`` says what happens just before a command, by its beginning, which is that of
        exactly one.
        """
        left = dict(before)
        for step in pages.steps(page):
            for start in [one for one in left if f"{step.machine}# {step.command}".startswith(one)]:
                left.pop(start)()
            machine = step.machine or administrator
            here = self.directory / f"{machine}.cwd"
            if not here.exists():
                here.write_text(str(self.home(machine)))
            argv = ["bash", "-c", SCRIPT, "page", str(here), step.command]
            done = run(
                self[machine].entered(*argv), check=False, timeout=60, env=self._variables(machine)
            )
            where = f"{page}: {machine} {step.command}"
            fails = NO_ANSWER in step.output or step.command.startswith(DIFFERS)
            assert done.returncode == int(fails), f"{where}\n{describe(done)}"
            assert step.shows(done.stdout), f"{where}\nshows:\n{step.output}\nis:\n{done.stdout}"
        assert not left, f"{page} has no command that begins so: {sorted(left)}"

    def _variables(self, machine: str) -> dict[str, str]:
        person = {f"GIT_{who}_{what}": "alice@example.com"
                  for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip
        programs = [str(Path(sys.executable).parent), environment()["PATH"]]
        return {"HOME": str(self.home(machine)), "PATH": os.pathsep.join(programs), **person}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Lab() as lab:
        yield Place(lab, tmp_path)


@pytest.mark.needs("ssh", "sshd", "zbarimg")
def test_a_vpn_for_a_home(place: Place) -> None:
    router = place.router("router", "192.0.2.10", "192.168.77.1")
    server, printer = place.machine("server"), place.lab.add("printer")
    place.plug(server, router, "192.168.77.2", "192.168.77.1")
    place.plug(printer, router, "192.168.77.20", "192.168.77.1")
    name = {"192.0.2.10": "home.example.net"}
    laptop, phone = place.machine("laptop", name), place.lab.add("phone", name)
    place.plug(laptop, router, "192.168.77.30", "192.168.77.1")
    cafe = place.router("cafe", "192.0.2.11", "192.168.3.1")
    mobile = place.router("mobile", "192.0.2.12", "100.64.0.1")
    place.plug(phone, mobile, "100.64.0.2", "100.64.0.1")
    # the page's sentence about the port on the router
    router.run("nft", "-f", "-", stdin=FORWARDED.format(port=51820, to="192.168.77.2"))
    sshd.client(laptop)
    sshd.serve(place.lab, server, laptop, "192.168.77.2")
    sshd.await_server(laptop, "192.168.77.2")

    def go_out() -> None:
        laptop.ip("link", "delete", "eth0")
        place.plug(laptop, cafe, "192.168.3.4", "192.168.3.1")

    def scan() -> None:
        tunnel.join(phone, scanned(place.home("laptop") / "home" / "phone.png").decode())

    before = {"laptop# wg-quick up home": go_out, "# rm phone.png": scan}
    place.follow("vpn-home.md", "laptop", before)


FORWARDED = """
table inet forwarded {{
    chain prerouting {{
        type nat hook prerouting priority dstnat
        iifname "wan" udp dport {port} dnat ip to {to}
    }}
}}
insert rule inet router forward ct status dnat accept
"""


@pytest.mark.needs("git", "ssh", "sshd")
def test_a_vpn_for_a_small_company(place: Place) -> None:
    berlin = place.machine("berlin")
    place.public(berlin, "192.0.2.7")
    wiring.bridge(berlin, "lan", "192.168.10.1/24")
    wiring.forward(berlin)
    for name, address in (("printer", 20), ("names", 53), ("desk", 40)):
        place.plug(place.lab.add(name), berlin, f"192.168.10.{address}", "192.168.10.1")
    names = str(Path(__file__).with_name("nameserver.py"))
    place.lab.start(place["names"], sys.executable, names, "192.168.10.53", "192.168.10.20")

    router = place.router("router", "192.0.2.20", "192.168.20.1")
    hamburg = place.machine("hamburg")
    place.plug(hamburg, router, "192.168.20.2", "192.168.20.1")
    place.plug(place.lab.add("files"), router, "192.168.20.30", "192.168.20.1")
    for number, name in ((21, "alice"), (22, "bob")):
        home = place.router(f"{name}s-home", f"192.0.2.{number}", "192.168.3.1")
        place.plug(place.machine(name), home, "192.168.3.4", "192.168.3.1")

    alice = place["alice"]
    sshd.client(alice)
    sshd.serve(place.lab, berlin, alice, "192.0.2.7")
    sshd.serve(place.lab, hamburg, alice, "10.80.0.2")
    sshd.await_server(alice, "192.0.2.7")

    folder = place.home("alice") / "corp"

    def carry(source: Path, target: Path) -> Callable[[], object]:
        return lambda: shutil.copy(source, target)

    place.follow("vpn-company.md", "alice", {
        "hamburg# install": carry(folder / "out" / "hamburg.conf", place.home("hamburg")),
        "# kgctl peer add --request": carry(place.home("bob") / "request.txt", folder),
        "bob# (umask": carry(folder / "bob.conf", place.home("bob")),
    })  # fmt: skip
    assert not (folder / "keys" / "bob.key").exists()
    tracked = run(["git", "-C", str(folder), "ls-files"]).stdout.split()
    assert not [one for one in tracked if one.endswith((".key", ".conf"))]
