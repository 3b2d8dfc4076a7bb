"""OpenSSH servers in namespaces: keys of their own, reachable inside alone."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.network.commands import CommandError, run
from tests.network.namespace import ETC_NETNS

if TYPE_CHECKING:
    from tests.network.namespace import Lab, Namespace

PRIVILEGE_SEPARATION = Path("/run/sshd")
"""A directory that Debian's sshd needs; it stays empty."""

SERVER = """
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 50
"""
CLIENT = """
Host *
  User root
  IdentityFile {directory}/id
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {directory}/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
"""


def machine_files(namespace: Namespace) -> None:
    """Give a namespace an empty /etc/wireguard of its own, before anything runs in it."""
    own_etc(namespace, "wireguard").chmod(0o700)


def own_etc(namespace: Namespace, name: str) -> Path:
    """Make a directory that stands in for /etc/NAME inside; `ip netns exec` mounts it."""
    Path("/etc", name).mkdir(exist_ok=True)
    made = ETC_NETNS / namespace.name / name
    made.mkdir()
    return made


def client(namespace: Namespace) -> None:
    """Give a namespace a key, and a configuration of ssh that uses it."""
    directory = own_etc(namespace, "ssh")
    _keygen(namespace.directory / "id")
    text = CLIENT.format(directory=namespace.directory)
    (directory / "ssh_config").write_text(text)


def serve(lab: Lab, namespace: Namespace, user: Namespace, address: str) -> None:
    """Start a server in a namespace that lets the key of ``user`` in, and that it knows."""
    directory = namespace.directory
    PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    _keygen(directory / "host_key")
    namespace.write("authorized_keys", (user.directory / "id.pub").read_text())
    config = namespace.write("sshd_config", SERVER.format(directory=directory))
    with (user.directory / "known_hosts").open("a") as known:
        known.write(f"{address} {(directory / 'host_key.pub').read_text()}")
    program = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/bin")
    assert program is not None
    lab.start(namespace, program, "-D", "-e", "-f", str(config))


def await_server(user: Namespace, address: str, within: float = 15.0) -> None:
    """Wait until ssh gets in."""
    deadline = time.monotonic() + within
    while True:
        done = user.run("ssh", "-o", "BatchMode=yes", address, "true", check=False)
        if done.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise CommandError(f"ssh to {address}: {done.stderr}")
        time.sleep(0.1)


def _keygen(path: Path) -> None:
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)])
