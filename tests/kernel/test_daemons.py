"""Daemons of the guest with systemd: systemd-networkd, NetworkManager, systemd-resolved, polkitd.

They share the guest's own network, so these tests run one after the other.
"""

from __future__ import annotations

import json
import os
import re
import socket
import socketserver
import struct
import sys
import sysconfig
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel.forked import PATIENCE
from tests.kernel.machine import Machine
from tests.kernel.site import ADDRESS, DEVICE, POD, Site, add_tunnel, far_node, within
from tests.network.commands import run
from tests.network.tunnel import KeyPair

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
UNIT = "kgctl-connect@laptop.service"
NETWORKD = Path("/etc/systemd/network")
NETWORK_MANAGER = Path("/etc/NetworkManager/system-connections")

BOTH = (ADDRESS, "fd10:5::1/128")
FAR = "fra-1"
NETWORKS = {"10.4.0.1", "10.4.0.2", "10.10.0.1", "10.30.2.1", "10.42.0.0/24", "10.42.2.0/24"}
"""What is behind the two nodes, as ``ip route`` prints it."""
DNS = ("--dns", POD, "--search-domain", "cluster.local")
ELSEWHERE = ("192.0.2.1", "2001:db8:ffff::1")
"""Addresses that only a default route leads to."""


@pytest.fixture(scope="session")
def _daemons() -> None:
    """Start them as Debian does, with systemd-resolved in charge of names."""
    configuration = Path("/etc/resolv.conf")
    configuration.unlink()
    configuration.symlink_to("/run/systemd/resolve/stub-resolv.conf")
    run(["systemctl", "start", "systemd-networkd", "systemd-resolved", "NetworkManager"],
        timeout=300)  # fmt: skip


@pytest.fixture
def site(tmp_path: Path, _daemons: None) -> Iterator[Site]:
    """The guest itself next to a node; the guest is a peer, and there is a node elsewhere."""
    with Site(tmp_path, Machine.guest("host")) as made:
        made.publish(far_node(FAR, 2, "[2001:db8:20::20]:51820", KeyPair.generate().public))
        yield made
        _tidy_up(made)


def _tidy_up(site: Site) -> None:
    """Remove what a failed test left, for the next one, and the link to the node at once."""
    left = [path for one in (NETWORKD, NETWORK_MANAGER) for path in one.glob("laptop*")]
    for path in left:
        path.unlink()
    if left:
        site.host.run("networkctl", "reload", timeout=60)
        site.host.run("nmcli", "connection", "reload", timeout=60)
    for link in (DEVICE, "uplink"):
        site.host.run("ip", "link", "delete", link, check=False)


def written(site: Site, form: str, *options: str) -> list[Path]:
    """Return the files of ``kgctl showconf peer`` in this format, by name."""
    into = site.directory / form
    into.mkdir(exist_ok=True)
    done = site.kgctl("showconf", "peer", "laptop", "-o", form, "-d", str(into),
                      "--private-key", str(site.key), *DNS, *options)  # fmt: skip
    assert done.code == 0, done.stderr
    return sorted(into.iterdir())


def routes(site: Site, version: int = 4) -> set[str]:
    """Return where the routes of the tunnel lead to, in the main table."""
    found: list[dict[str, Any]] = json.loads(
        site.host.ip(f"-{version}", "-json", "route", "show", "dev", DEVICE)
    )
    return {one["dst"] for one in found}


def leaves_by(site: Site, address: str) -> str:
    """Return the interface that packets to an address take."""
    found: list[dict[str, Any]] = json.loads(site.host.ip("-json", "route", "get", address))
    return str(found[0]["dev"])


def faults(site: Site) -> set[str]:
    """Return what ``kgctl drift`` finds in the tunnel; the node elsewhere never answers."""
    return site.drift(site.host.run("wg", "show", DEVICE, "dump").stdout)[1] - {"handshake"}


def of_link(site: Site, what: str, link: str = DEVICE) -> list[str]:
    """Return the DNS servers (``dns``) or domains (``domain``) that systemd-resolved has for it."""
    done = site.host.run("resolvectl", what, link, timeout=60)
    return done.stdout.strip().partition("):")[2].split()


# --- files of other programs ---


def test_networkd(site: Site) -> None:
    """systemd 252: ``reload`` keeps the device of a changed or removed .netdev file."""
    before = site.traces()
    site.publish(site.own_peer(allowedIPs=[*BOTH]))
    _to_networkd(site)
    within(PATIENCE, lambda: _setup() == "configured")
    assert site.reaches(POD)
    assert faults(site) == set()
    assert routes(site) == NETWORKS
    assert set(BOTH) <= set(re.findall(r"inet6? (\S+)", site.host.ip("address")))
    assert (of_link(site, "dns"), of_link(site, "domain")) == ([POD], ["cluster.local"])

    site.host.run("networkctl", "delete", DEVICE)
    site.publish(site.own_peer(allowedIPs=[ADDRESS]))
    paths = _to_networkd(site, "--gateway", "ams-1")
    within(PATIENCE, lambda: _setup() == "configured")
    assert site.reaches(POD)
    assert [leaves_by(site, one) for one in ELSEWHERE] == [DEVICE, DEVICE]

    for path in paths:
        path.unlink()
    site.host.run("networkctl", "reload")
    site.host.run("networkctl", "delete", DEVICE)
    within(PATIENCE, lambda: site.traces() == before)


def _to_networkd(site: Site, *options: str) -> list[Path]:
    paths = []
    for path in written(site, "networkd", *options):
        site.host.run("install", "-o", "root", "-g", "systemd-network", "-m", "0640", str(path),
                      str(NETWORKD))  # fmt: skip
        paths.append(NETWORKD / path.name)
    site.host.run("networkctl", "reload", timeout=60)
    return paths


def _setup() -> str:
    """Return what networkctl says of the tunnel."""
    for line in run(["networkctl", "list", "--no-legend"], timeout=60).stdout.splitlines():
        _, name, *_, setup = line.split()
        if name == DEVICE:
            return setup
    return ""


def test_network_manager(site: Site) -> None:
    """NetworkManager 1.42: IPv6 needs a way to make link-local addresses, also for routes alone."""
    before = site.traces()
    site.publish(site.own_peer(allowedIPs=[*BOTH]))
    _to_network_manager(site)
    assert site.reaches(POD)
    assert faults(site) == set()
    assert routes(site) == NETWORKS
    assert set(BOTH) <= set(re.findall(r"inet6? (\S+)", site.host.ip("address")))
    assert (of_link(site, "dns"), of_link(site, "domain")) == ([POD], ["cluster.local"])

    site.publish(site.own_peer(allowedIPs=[ADDRESS]))
    path = _to_network_manager(site, "--gateway", "ams-1")
    assert site.reaches(POD)
    assert [leaves_by(site, one) for one in ELSEWHERE] == [DEVICE, DEVICE]

    site.publish(site.own_peer(allowedIPs=[BOTH[1]]))
    _to_network_manager(site)
    assert BOTH[1] in site.host.ip("-6", "address", "show", "dev", DEVICE)
    assert routes(site) == NETWORKS

    site.host.run("nmcli", "connection", "down", DEVICE, timeout=60)
    path.unlink()
    site.host.run("nmcli", "connection", "reload", timeout=60)
    within(PATIENCE, lambda: site.traces() == before)


def _to_network_manager(site: Site, *options: str) -> Path:
    (path,) = written(site, "nmconnection", *options)
    to = NETWORK_MANAGER / path.name
    site.host.run("install", "-o", "root", "-m", "0600", str(path), str(to))
    site.host.run("nmcli", "connection", "load", str(to), timeout=60)
    site.host.run("nmcli", "connection", "up", DEVICE, timeout=PATIENCE)
    return to


# --- kgctl connect ---


def test_names_by_the_tunnel(site: Site) -> None:
    before = site.traces()
    with_names = (*DNS[:2], "--search-domain", "~cluster.local")
    connection = site.connect(*with_names)
    connection.until("synchronised")
    assert site.reaches(), connection
    assert (of_link(site, "dns"), of_link(site, "domain")) == ([POD], ["~cluster.local"])
    with names_at(site.node, POD, answer="10.42.0.99"):
        done = site.host.run("resolvectl", "query", "--legend=no", "web.cluster.local", timeout=60)
    assert done.stdout.split() == ["web.cluster.local:", "10.42.0.99", "--", "link:", DEVICE]
    assert connection.end() == 0, connection
    assert site.traces() == before

    add_tunnel(site.host)
    connection = site.connect(*with_names)
    connection.until("synchronised")
    assert of_link(site, "dns") == [POD]
    assert connection.end() == 0, connection
    assert (of_link(site, "dns"), of_link(site, "domain")) == ([], [])


class _Question(socketserver.BaseRequestHandler):
    """Answers a question for an IPv4 address, and says of all else that there is nothing."""

    address: bytes

    def handle(self) -> None:
        data, answers_from = self.request
        end = data.index(b"\0", 12) + 5
        found = data[end - 4 : end - 2] == b"\0\1"
        head = data[:2] + struct.pack("!HHHHH", 0x8580, 1, found, 0, 0)
        record = struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4) + self.address if found else b""
        answers_from.sendto(head + data[12:end] + record, self.client_address)


@contextmanager
def names_at(machine: Machine, address: str, *, answer: str) -> Iterator[None]:
    """Run a DNS server at an address of a machine; every name has the address ``answer``."""
    handler = type("Handler", (_Question,), {"address": socket.inet_aton(answer)})
    server = machine.within(lambda: socketserver.UDPServer((address, 53), handler))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield
    server.shutdown()
    server.server_close()


@pytest.fixture
def _installed(site: Site) -> Iterator[None]:
    """The unit, its user and its rule, as docs/connect.md says, and kgctl as a program."""
    files = {
        "/etc/systemd/system": PACKAGING / "systemd/kgctl-connect@.service",
        "/usr/lib/sysusers.d": PACKAGING / "sysusers.d/kgctl.conf",
        "/etc/polkit-1/rules.d/50-kgctl-connect.rules": PACKAGING / "polkit/kgctl-connect.rules",
    }
    for to, path in files.items():
        site.host.run("install", "-m", "644", str(path), to)
    site.host.run("install", "-D", "-m", "600", str(site.kubeconfig), "/etc/kgctl/kubeconfig")
    site.host.run("install", "-m", "600", str(site.key), "/etc/kgctl/laptop.key")
    Path("/etc/kgctl/laptop.env").write_text(f'KGCTL_OPTIONS="-a {ADDRESS} {" ".join(DNS)}"\n')
    # the unit sees no home directory, and kgctl and its Python may be in one
    python = Path(os.path.realpath(sys.base_prefix))
    for to, path in {"/opt/kgctl": ROOT, "/opt/python": python}.items():
        site.host.run("install", "-d", to)
        site.host.run("mount", "--bind", str(path), to)
    packages = Path("/opt/kgctl", Path(sysconfig.get_path("purelib")).relative_to(ROOT))
    interpreter = Path(os.path.realpath(sys.executable)).relative_to(python)
    program = Path("/usr/bin/kgctl")
    program.write_text(
        "#!/bin/sh\n"
        f"export LD_LIBRARY_PATH=/opt/python/lib PYTHONPATH=/opt/kgctl:{packages}\n"
        f'exec /opt/python/{interpreter} -m kgctl "$@"\n'
    )
    program.chmod(0o755)
    site.host.run("systemd-sysusers")
    site.host.run("systemctl", "daemon-reload", timeout=60)
    yield
    site.host.run("systemctl", "stop", UNIT, timeout=60)


@pytest.mark.usefixtures("_installed")
def test_the_unit(site: Site) -> None:
    before = site.traces()
    site.host.run("systemctl", "start", UNIT, timeout=60)
    try:
        within(PATIENCE, lambda: leaves_by(site, POD) == DEVICE)
    except AssertionError:
        raise AssertionError(_journal(site)) from None
    assert site.reaches(), _journal(site)
    assert site.peers() == ["laptop"]
    within(PATIENCE, lambda: of_link(site, "domain") == ["cluster.local"])
    assert of_link(site, "dns") == [POD], _journal(site)
    assert faults(site) == set()
    process = Path("/proc", _property(site, "MainPID"))
    assert process.owner() == "kgctl"
    status = process.joinpath("status").read_text()
    assert "\nCapEff:\t0000000000001000\n" in status  # CAP_NET_ADMIN
    assert "\nNoNewPrivs:\t1\n" in status
    assert "\nSeccomp:\t2\n" in status

    site.host.run("systemctl", "stop", UNIT, timeout=60)
    assert _property(site, "Result") == "success", _journal(site)
    assert (_property(site, "ExecMainStatus"), _property(site, "NRestarts")) == ("0", "0")
    assert site.traces() == before, _journal(site)
    assert site.peers() == []
    assert list(Path("/run/kgctl").glob("*.json")) == []  # the lock stays


def _property(site: Site, name: str) -> str:
    return site.host.run("systemctl", "show", "--value", "-p", name, UNIT).stdout.strip()


def _journal(site: Site) -> str:
    """Return what the unit and polkit said."""
    units = ("-u", UNIT, "-u", "polkit")
    return site.host.run("journalctl", "--no-pager", "-o", "cat", *units, timeout=60).stdout
