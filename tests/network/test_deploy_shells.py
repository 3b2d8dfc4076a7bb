"""What ``kgctl deploy`` runs on a machine, in several shells, without ssh."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.peer import SshTarget
from kgctl.remote.deployment import Wanted, deploy
from kgctl.remote.machine import Machine, MachineError
from kgctl.remote.ssh import Said
from kgctl.wireguard.conf import Configuration, Interface, PeerSection
from kgctl.wireguard.deployment import Method, Plan
from kgctl.wireguard.keys import PrivateKey
from tests.network import sshd, tunnel
from tests.network.commands import environment
from tests.network.namespace import ETC_NETNS, Lab, Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHELLS = {"dash": ("dash",), "bash": ("bash", "--posix"), "busybox": ("busybox", "sh")}
APPLETS = ("awk", "cat", "chmod", "cp", "cut", "grep", "id", "mkdir", "mv", "rm", "sed", "setsid",
           "sleep", "tail", "wc")  # fmt: skip
SYSTEMCTL = """#!/bin/sh
case $1 in
is-enabled) [ -e {calls} ] ;;
*) echo "$*" >>{calls} ;;
esac
"""
KEY, OTHER = PrivateKey.generate(), PrivateKey.generate()


class Here:
    """In place of ssh: a shell in a namespace."""

    def __init__(self, machine: Namespace, shell: str, applets: Path) -> None:
        self.machine, self.shell, self.applets = machine, shell, applets

    def run(self, _target: SshTarget, script: bytes, seconds: float, *, sudo: bool) -> Said:
        del sudo
        path = f"{self.applets / 'stubs'}:{environment()['PATH']}"
        if self.shell == "busybox":
            path = f"{self.applets}:{path}"
        done = subprocess.run(
            self.machine.entered("env", f"PATH={path}", *SHELLS[self.shell], "-s"),
            input=script, capture_output=True, timeout=seconds + 20, check=False,
            env=environment(),
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr.decode())


@pytest.fixture
def office() -> Iterator[Namespace]:
    with Lab() as lab:
        made = lab.add("office")
        sshd.machine_files(made)
        yield made


def cidr(text: str) -> Cidr:
    found = parse_cidr(text)
    assert found is not None
    return found


def configuration(*allowed: str, **interface: Any) -> Configuration:
    own = Interface(addresses=(cidr("10.9.0.1/32"),), **interface)
    peer = PeerSection(OTHER.public_key(), tuple(map(cidr, allowed)), persistent_keepalive=5)
    return Configuration(own, (peer,))


def wanted(found: Configuration) -> Wanted:
    return Wanted(found, KEY.public_key(), lambda key: key == KEY.public_key())


def file_of(office: Namespace) -> Path:
    return ETC_NETNS / office.name / "wireguard" / "home.conf"


@pytest.mark.needs("busybox", "dash", "bash")
@pytest.mark.parametrize("shell", SHELLS)
def test_a_change_comes_to_its_end_or_is_undone(
    shell: str, office: Namespace, tmp_path: Path
) -> None:
    (tmp_path / "stubs").mkdir()
    (tmp_path / "stubs" / "systemctl").write_text(SYSTEMCTL.format(calls=tmp_path / "calls"))
    (tmp_path / "stubs" / "systemctl").chmod(0o755)
    for applet in APPLETS:
        (tmp_path / applet).write_text(f'#!/bin/sh\nexec busybox {applet} "$@"\n')
        (tmp_path / applet).chmod(0o755)
    here = Here(office, shell, tmp_path)
    machine = Machine(here, SshTarget("office"), sudo=False, interface="home")  # type: ignore[arg-type]
    first = configuration("10.9.0.2/32", private_key=KEY)
    methods = []
    for one in (first, first, configuration("10.9.0.2/32", "10.8.0.0/16")):  # then without its key
        if one.interface is not None and one.interface.private_key is None:
            assert machine.read().key == KEY.public_key()
        done = deploy(machine, wanted(one), 20)
        assert (done.failure, done.plan is None) == ("", False)
        methods.append(done.plan.method if done.plan else None)
    assert methods == [Method.START, Method.NOTHING, Method.LIVE]
    assert f"PrivateKey = {KEY.reveal()}" in file_of(office).read_text()
    assert "10.8.0.0/16" in office.ip("route", "show", "dev", "home")
    assert not (tmp_path / "calls").exists()
    for _ in range(2):
        enabled = wanted(configuration("10.9.0.2/32", "10.8.0.0/16"))._replace(enable=True)
        assert deploy(machine, enabled, 20).notes == ()
        assert (tmp_path / "calls").read_text() == "enable --quiet wg-quick@home.service\n"
    good = file_of(office).read_text()

    # a step fails: an interface with such an MTU takes no route of IPv6
    bad = configuration("10.9.0.2/32", "fd09::/64", mtu=1000)
    done = deploy(machine, wanted(bad), 20)
    assert done.failure.startswith("rolled back, since the change failed ("), done.failure
    assert file_of(office).read_text() == good

    # nobody confirms
    restart = configuration("10.9.0.2/32", "10.7.0.0/16", table="off")
    token = machine.apply(
        Plan(Method.RESTART), restart, KEY.public_key(), undo_after=2, seconds=20
    ).token
    assert file_of(office).read_text() != good
    assert machine.read().pending
    with pytest.raises(MachineError, match="another change"):
        machine.apply(Plan(Method.RESTART), restart, KEY.public_key(), 2, 20)
    deadline = time.monotonic() + 15
    while machine.read().pending and time.monotonic() < deadline:
        time.sleep(0.1)
    with pytest.raises(MachineError, match="undid the change before"):
        machine.confirm(token, 20, enable=False)
    assert file_of(office).read_text() == good
    while not tunnel.exists(office, "home") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "10.8.0.0/16" in office.ip("route", "show", "dev", "home")
