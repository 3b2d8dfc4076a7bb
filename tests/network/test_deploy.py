"""``kgctl deploy`` and ``kgctl drift --all`` with real ssh servers, wg-quick and packets."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.network import probe, sshd, tunnel, wiring
from tests.network.commands import environment, run
from tests.network.namespace import ETC_NETNS, Lab, Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("ssh", "sshd")

ADMIN, GATEWAY = "192.168.50.9", "192.0.2.254"
ADDRESSES = {"office": "192.0.2.1", "laptop": "192.0.2.2", "tablet": "192.0.2.3"}
OFFICE, LAPTOP, TABLET = "10.73.5.1", "10.73.5.2", "10.73.5.3"
HOME = "home"
KGCTL = str(Path(sys.executable).parent / "kgctl")


class Site:
    """Three machines with ssh servers, an administrator behind a router, and the folder.

    The private key of the tablet lies on the tablet alone.
    """

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        internet = lab.add("internet")
        wiring.bridge(internet, "br0", f"{GATEWAY}/24")
        wiring.forward(internet)
        self.admin = lab.add("admin")
        wiring.connect(self.admin, "eth0", internet, "to-admin")
        wiring.assign(self.admin, "eth0", f"{ADMIN}/24")
        wiring.assign(internet, "to-admin", "192.168.50.1/24")
        wiring.default_routes(self.admin, "192.168.50.1")
        sshd.client(self.admin)
        for name, address in ADDRESSES.items():
            machine = lab.add(name)
            sshd.machine_files(machine)
            wiring.connect(machine, "eth0", internet, f"to-{name}")
            internet.ip("link", "set", f"to-{name}", "master", "br0")
            wiring.assign(machine, "eth0", f"{address}/24")
            wiring.default_routes(machine, GATEWAY)
            sshd.serve(lab, machine, self.admin, address)
        self.tablet_key = tunnel.KeyPair.generate()
        self.write_folder()
        for address in ADDRESSES.values():
            sshd.await_server(self.admin, address)

    def __getitem__(self, name: str) -> Namespace:
        return self.lab.namespaces[name]

    def write_folder(self) -> None:
        self.change("init", "--name", HOME, "--pool", "10.73.5.0/24")
        office = ("--endpoint", f"{ADDRESSES['office']}:51820")
        self.change("peer", "add", "office", *office, "--ssh", ADDRESSES["office"])
        self.change("peer", "add", "laptop", "--ssh", f"root@{ADDRESSES['laptop']}:22")
        public = ("--public-key", self.tablet_key.public)
        self.change("peer", "add", "tablet", *public, "--ssh", ADDRESSES["tablet"])
        self.change("peer", "add", "phone")
        self.file("tablet").write_text(f"[Interface]\nPrivateKey = {self.tablet_key.private}\n")

    def change(self, *arguments: str) -> None:
        run([KGCTL, *arguments], cwd=self.folder, env={"HOME": str(self.folder)}, timeout=60)

    def kgctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run kgctl as the administrator; no private key of the tablet ever comes back."""
        argv = [KGCTL, *arguments, "-f", str(self.folder)]
        done = self.admin.run(*argv, timeout=120, check=False)
        assert self.tablet_key.private not in done.stdout + done.stderr
        return done

    def deploy(self, *arguments: str) -> list[str]:
        done = self.kgctl("deploy", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    def file(self, name: str) -> Path:
        """The machine's /etc/wireguard/home.conf."""
        return ETC_NETNS / self[name].name / "wireguard" / f"{HOME}.conf"

    def routes(self, name: str) -> str:
        return self[name].ip("route", "show", "dev", HOME)

    def handshakes(self, name: str) -> dict[str, int]:
        state = tunnel.dump(self[name], HOME)
        return {key: one.latest_handshake for key, one in state.items()}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Lab() as lab:
        yield Site(lab, tmp_path)


def test_a_first_deploy_and_one_without_a_change(site: Site) -> None:
    before = {path for name in ADDRESSES for path in site.file(name).parent.iterdir()}
    dry = site.deploy("--dry-run")
    assert any(line.startswith("office: 3 peers added, ") for line in dry), dry
    assert "  + peer tablet: 10.73.5.3/32" in dry
    assert before == {path for name in ADDRESSES for path in site.file(name).parent.iterdir()}
    assert not tunnel.exists(site["office"], HOME)

    done = site.kgctl("deploy")
    assert (done.returncode, done.stderr) == (0, "left out: phone (no --ssh setting)\n")
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == sorted(ADDRESSES)
    assert done.stdout.count("tunnel started") == 3

    assert f"PrivateKey = {site.tablet_key.private}" in site.file("tablet").read_text()
    for name in ADDRESSES:
        assert site.file(name).stat().st_mode & 0o777 == 0o600
        assert [one.name for one in site.file(name).parent.iterdir()] == [f"{HOME}.conf"]
    for name in ("laptop", "tablet"):
        assert probe.reaches(site[name], OFFICE), name
    assert site.deploy() == ["laptop: unchanged", "office: unchanged", "tablet: unchanged"]
    assert left_running(site["office"]) == []


def test_a_session_survives_a_change(site: Site) -> None:
    site.deploy("laptop", "office")
    laptop, office = site["laptop"], site["office"]
    assert probe.reaches(laptop, OFFICE)
    before = site.handshakes("office"), site.handshakes("laptop")
    pings = subprocess.Popen(
        laptop.entered("ping", "-n", "-i", "0.1", "-w", "60", OFFICE),
        stdout=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    try:
        site.change("peer", "set", "phone", "--allowed-ips", "10.73.5.4/32,10.9.9.0/24")
        assert "10.9.9.0/24" not in site.routes("office")
        lines = site.deploy("laptop", "office")
    finally:
        pings.send_signal(signal.SIGINT)
        said, _ = pings.communicate(timeout=20)
    assert lines == ["laptop: unchanged", "office: 1 peer changed, applied"]  # it calls no phone
    assert " 0% packet loss" in said, said
    assert (site.handshakes("office"), site.handshakes("laptop")) == before
    assert "10.9.9.0/24" in site.routes("office")

    site.change("peer", "set", "phone", "--allowed-ips", "10.73.5.4/32")
    site.change("peer", "set", "laptop", "--allowed-ips", "10.73.5.22/32")
    (dry, *details) = site.deploy("--dry-run", "office")
    assert dry == "office: 2 peers changed, would be applied"
    assert details == [
        "    peer laptop: allowed IPs +10.73.5.22/32 -10.73.5.2/32",
        "    peer phone: allowed IPs -10.9.9.0/24",
    ]
    assert "addresses +10.73.5.22/32 -10.73.5.2/32, applied" in site.deploy("laptop", "office")[0]
    assert "10.9.9.0/24" not in site.routes("office")
    assert [str(one) for one in tunnel.interface_address(laptop, HOME)] == ["10.73.5.22/32"]
    assert probe.reaches(office, "10.73.5.22")


def test_a_removed_machine_reaches_nothing(site: Site) -> None:
    site.deploy()
    assert probe.reaches(site["laptop"], OFFICE)
    site.change("peer", "rm", "laptop")
    assert site.deploy("office") == ["office: 1 peer removed, applied"]
    assert not probe.reaches(site["laptop"], OFFICE, within=2)
    assert probe.reaches(site["tablet"], OFFICE)
    assert LAPTOP not in site.routes("office")


def test_a_change_that_cuts_the_machine_off_is_undone(site: Site) -> None:
    site.deploy("office", "laptop")
    text, routes = site.file("office").read_text(), site.routes("office")
    # the administrator's own network, which the office then sends into the tunnel
    site.change("peer", "set", "laptop", "--lan", "192.168.50.0/24")
    start = time.monotonic()
    done = site.kgctl("deploy", "office", "--rollback-after", "4")
    assert time.monotonic() - start > 4
    assert done.returncode == 1
    assert done.stdout.startswith("office: failed: not reached after the change ("), done.stdout
    assert done.stdout.endswith("); it rolled back and is as before\n")
    assert (site.file("office").read_text(), site.routes("office")) == (text, routes)
    assert [one.name for one in site.file("office").parent.iterdir()] == [f"{HOME}.conf"]
    assert tunnel.exists(site["office"], HOME)


def test_an_interrupted_deploy_is_undone(site: Site) -> None:
    site.deploy("office")
    text = site.file("office").read_text()
    site.change("peer", "set", "laptop", "--lan", "192.168.50.0/24")
    program = subprocess.Popen(
        site.admin.entered(
            KGCTL, "deploy", "office", "--rollback-after", "5", "-f", str(site.folder)
        ),
        stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while site.file("office").read_text() == text and time.monotonic() < deadline:
        time.sleep(0.05)
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=20)
    assert program.returncode == 130
    assert "undoes it by itself within 5 s" in said
    while site.file("office").read_text() != text and time.monotonic() < deadline + 20:
        time.sleep(0.1)
    assert site.file("office").read_text() == text
    assert site.deploy("--dry-run", "office")[0].startswith("office: 1 peer changed")


def test_what_wg_syncconf_keeps_or_forgets_is_set(site: Site) -> None:
    """A preshared key that is gone, a keepalive, an endpoint, a port; an unknown peer."""
    site.deploy("office", "laptop")
    office, laptop = site["office"], site["laptop"]
    (office_key,) = [k for k, one in tunnel.dump(laptop, HOME).items() if one.endpoint]
    preshared = laptop.write("psk", tunnel.preshared_key())
    stranger = tunnel.KeyPair.generate().public
    laptop.run("wg", "set", HOME, "listen-port", "51999", "fwmark", "0x77", "peer", office_key,
               "preshared-key", str(preshared), "persistent-keepalive", "7",
               "allowed-ips", "10.73.5.1/32,10.99.0.0/16",
               "peer", stranger, "allowed-ips", "10.98.0.0/16")  # fmt: skip

    done = site.kgctl("drift", "--all")
    assert done.returncode == 1
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "in sync" in rows["office"]
    for what in ("1 peer unexpected", "1 peer with other allowed IPs", "another keepalive",
                 "another preshared key"):  # fmt: skip
        assert what in rows["laptop"], rows
    assert "no file" in rows["tablet"] or "another file" in rows["tablet"]

    (line,) = site.deploy("laptop")
    assert line == "laptop: 1 peer changed, 1 peer removed, applied"
    (peer,) = [one for key, one in tunnel.dump(laptop, HOME).items() if key == office_key]
    assert stranger not in tunnel.dump(laptop, HOME)
    assert (peer.preshared_key, peer.keepalive) == (None, 25)
    assert [str(one) for one in peer.allowed_ips] == ["10.73.5.1/32"]
    assert peer.endpoint == f"{ADDRESSES['office']}:51820"
    assert laptop.run("wg", "show", HOME, "fwmark").stdout.strip() == "0x77"
    assert laptop.run("wg", "show", HOME, "listen-port").stdout.strip() == "51999"
    assert probe.reaches(laptop, OFFICE)

    # another port of the office
    site.change("peer", "set", "office", "--endpoint", f"{ADDRESSES['office']}:51888")
    assert site.deploy("laptop", "office") == [
        "laptop: 1 peer changed, applied",
        "office: listen port 51820 -> 51888, applied",
    ]
    assert tunnel.dump(laptop, HOME)[office_key].endpoint == f"{ADDRESSES['office']}:51888"
    assert probe.reaches(laptop, OFFICE)

    # an endpoint that is gone from the file, of a peer without a session
    office.ip("link", "set", "eth0", "down")
    site.change("peer", "set", "laptop", "--endpoint", f"{ADDRESSES['laptop']}:51999")
    site.change("peer", "set", "office", "--endpoint", "")
    laptop.run("wg", "set", HOME, "peer", office_key, "remove")
    laptop.run("wg", "set", HOME, "peer", office_key, "allowed-ips", "10.73.5.1/32",
               "endpoint", f"{ADDRESSES['office']}:51888")  # fmt: skip
    site.deploy("laptop")
    assert tunnel.dump(laptop, HOME)[office_key].endpoint is None


def test_commands_in_the_file_restart_the_tunnel(site: Site) -> None:
    site.deploy("laptop", "office")
    site.change("peer", "set", "office", "--lan", "192.168.7.0/24")
    lines = site.deploy("laptop", "office")
    assert lines[0] == "laptop: 1 peer changed, applied"
    assert lines[1] == "office: tunnel restarted (PostUp differs, PostDown differs)"
    rules = site["office"].run("iptables-save").stdout
    assert "192.168.7.0/24" in rules
    assert site.deploy("office") == ["office: unchanged"]


def test_drift_of_all_machines(site: Site) -> None:
    site.deploy("office", "tablet")
    site["laptop"].ip("link", "set", "eth0", "down")
    site.change("peer", "set", "laptop", "--ssh", "192.0.2.77:22")
    done = site.kgctl("drift", "--all", "-o", "json")
    found = {one["machine"]: one for one in json.loads(done.stdout)["machines"]}
    assert (found["office"]["state"], found["tablet"]["state"]) == ("in sync", "in sync")
    assert found["laptop"]["state"] == "unreachable"
    assert found["laptop"]["error"]
    assert done.returncode == 2


def test_machines_that_must_not_be_changed(site: Site) -> None:
    site.file("tablet").unlink()
    refused(site, "neither in the folder nor on the machine")
    other = tunnel.KeyPair.generate()
    site.file("tablet").write_text(f"[Interface]\nPrivateKey = {other.private}\n")
    refused(site, f"belongs to {other.public}")
    (site["tablet"].directory / "authorized_keys").write_text("")
    refused(site, "Permission denied")
    assert not tunnel.exists(site["tablet"], HOME)


def refused(site: Site, expected: str) -> None:
    done = site.kgctl("deploy", "tablet", "laptop")
    laptop, tablet = done.stdout.splitlines()
    assert laptop.endswith(("tunnel started", "unchanged"))
    assert tablet.startswith("tablet: failed: ")
    assert expected in tablet
    assert done.returncode == 1


def left_running(machine: Namespace) -> list[str]:
    """Return the processes of a deploy that still run after a while."""
    deadline = time.monotonic() + 10
    while True:
        pids = run(["ip", "netns", "pids", machine.name]).stdout.split()
        left = [pid for pid in pids if _is_watch(pid)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def _is_watch(pid: str) -> bool:
    try:
        return b"kgctl-deploy" in Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return False
