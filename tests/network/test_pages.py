"""The pages about joining: every command runs, and its packets arrive."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.network import pages, plan, probe, tunnel, wiring
from tests.network.commands import describe, run
from tests.network.layout import LAN, UPLINK
from tests.support.qr import scanned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.network.live import LiveNetwork
    from tests.network.namespace import Namespace

PRINTER = "192.168.50.20"


def follow(live: LiveNetwork, page: str, machines: Mapping[str, str] | None = None) -> None:
    """Run the commands of a page, one after the other, as somebody would who reads it.

    ``machines`` says which namespace is which machine of the page, where the names differ. Kilo's
    agents do their part after every change of a peer: the leaders are configured anew, and a
    leader tells where it sees the others.
    """
    told: dict[str, str | None] = {}
    for step in pages.steps(page):
        if step.machine:
            namespace = live[(machines or {}).get(step.machine, step.machine)]
            argv = namespace.entered("bash", "-euo", "pipefail", "-c", step.command)
        else:
            argv = ["bash", "-euo", "pipefail", "-c", step.command]
        if "showconf" in step.command and (seen := live.tell_endpoints()) != told:
            live.lead()
            told = seen
        done = run(argv, cwd=live.directory, env=_environment(live), check=False, timeout=40)
        where = f"{page}: {step.machine or '$'} {step.command}"
        assert done.returncode == 0, f"{where}\n{describe(done)}"
        assert step.shows(done.stdout), f"{where}\nshows:\n{step.output}\nis:\n{done.stdout}"
        if "kgctl peer" in step.command:
            live.lead()


def _environment(live: LiveNetwork) -> dict[str, str]:
    programs = str(Path(sys.executable).parent)
    return {
        "KUBECONFIG": str(live.admin_kubeconfig),
        "PATH": os.pathsep.join([programs, os.environ["PATH"], "/usr/sbin", "/sbin"]),
    }


@pytest.fixture
def led(live: LiveNetwork) -> LiveNetwork:
    live.lead()
    for node in plan.LEADERS:
        assert probe.reaches(live["home-1"], node.ipv4.pod)
    return live


def test_join_a_laptop(led: LiveNetwork) -> None:
    with led.cluster.service(plan.FRA_1, "10.43.0.10"):
        follow(led, "join-a-laptop.md", {"spare": "server"})
    peers = led.read("get", "peers")
    assert "laptop" in peers
    assert "spare" not in peers


def test_join_a_phone(led: LiveNetwork) -> None:
    follow(led, "join-a-phone.md")
    assert (led.directory / "phone.svg").read_text().rstrip().endswith("</svg>")
    assert "phone" not in led.read("get", "peers")


@pytest.mark.needs("zbarimg")
def test_a_phone_joins_with_nothing_but_what_its_camera_saw(led: LiveNetwork) -> None:
    picture, key = led.directory / "phone.png", led.directory / "phone.key"
    led.admin("peer", "add", "phone")
    led.read("showconf", "peer", "phone", "-o", "qr", "--private-key", str(key),
             "--only", "ams-1,fra-1", "--output-file", str(picture))  # fmt: skip
    led.lead()
    phone = led["laptop"]
    tunnel.join(phone, scanned(picture).decode())
    try:
        assert probe.unreached(phone, [plan.AMS_1.ipv4.pod, plan.FRA_1.ipv4.pod]) == []
    finally:
        tunnel.leave(phone)


@contextmanager
def with_ipv4(led: LiveNetwork, name: str) -> Iterator[None]:
    """A while in which a machine that has IPv6 alone reaches the IPv4 Internet, too."""
    machine, internet = led[name], led.cluster.internet
    wiring.assign(machine, UPLINK, "198.18.50.50/24")
    wiring.assign(internet, name, "198.18.50.1/24")
    wiring.default_routes(machine, "198.18.50.1")
    try:
        yield
    finally:
        machine.ip("address", "delete", "198.18.50.50/24", "dev", UPLINK)
        internet.ip("address", "delete", "198.18.50.1/24", "dev", name)


def test_a_vpn_for_a_small_office(led: LiveNetwork) -> None:
    office = led["server"]
    with with_ipv4(led, "phone"), _printer(office):
        follow(led, "small-office.md", {"office": "server", "bob": "phone"})
        tunnel.remove(led["phone"], "bob")
        assert probe.reaches(led["laptop"], PRINTER), "Alice stays when Bob leaves"
        networks = [one.allowed_ips for one in tunnel.dump(office, "office").values()]
        assert (IPv4Network("10.5.0.2/32"),) in networks
        assert (IPv4Network("10.5.0.3/32"),) not in networks, "Bob is out"
        files = sorted(led.directory.glob("files/*.conf"))
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


@contextmanager
def _printer(office: Namespace) -> Iterator[None]:
    wiring.bridge(office, LAN, "192.168.50.1/24", f"{PRINTER}/24")
    try:
        yield
    finally:
        office.ip("link", "delete", LAN)


def test_a_home_network_behind_nat(led: LiveNetwork) -> None:
    nas = led["laptop"]
    try:
        follow(led, "home-behind-nat.md", {"nas": "laptop"})
        endpoints = {one.endpoint for one in tunnel.dump(led["ams-1"]).values()}
        assert f"{plan.OFFICE_IPV4}:{plan.PORT}" in endpoints
    finally:
        nas.run("nft", "delete", "table", "ip", "kilo", check=False)
        nas.sysctl(net__ipv4__ip_forward=0)
