"""The real systemd-networkd in its own namespaces, and its messages about files."""

from __future__ import annotations

import re
import shlex
import subprocess
from threading import Timer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NEEDS = ("root", "systemd-networkd", "unshare", "ip")

_FOUND = "/lib/systemd:/usr/lib/systemd:/usr/sbin:/sbin"
_PATIENCE = 60.0  # seconds
# sysfs is read-only where udev is not: networkd then takes links as they are
_SETUP = """
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /etc/systemd/network
mount -t sysfs -o ro sysfs /sys
mkdir -p /run/systemd/network /run/systemd/netif
cp {directory}/* /etc/systemd/network/
chmod 0640 /etc/systemd/network/*
chown -R systemd-network: /run/systemd /etc/systemd/network
ip link set lo up
{tunnel}
exec systemd-networkd
"""
_TUNNEL = "ip tuntap add kilo0 mode tun"


def read_by_networkd(directory: Path, files: Mapping[str, str], *, link: bool = False) -> list[str]:
    """Return what systemd-networkd says while it loads ``files``, line by line.

    With ``link`` there is an interface ``kilo0`` already, which it then goes on to set up: it
    says each address and rule that it wants. It is ended as soon as it has.
    """
    directory.mkdir()
    for name, text in files.items():
        (directory / name).write_text(text)
    script = _SETUP.format(directory=shlex.quote(str(directory)), tunnel=_TUNNEL if link else "")
    enough = "kilo0: Bringing link up" if link else "Enumeration completed"
    said = []
    with subprocess.Popen(
        ["unshare", "--net", "--mount", "sh", "-ec", script],
        env={
            "PATH": f"{_FOUND}:/usr/bin:/bin",
            "SYSTEMD_LOG_LEVEL": "debug",
            "SYSTEMD_LOG_TARGET": "console",
        },
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        limit = Timer(_PATIENCE, process.kill)
        limit.start()
        for line in process.stderr:
            said.append(line.rstrip("\n"))
            if enough in line:
                break
        else:
            raise AssertionError("systemd-networkd did not come to an end:\n" + "\n".join(said))
        limit.cancel()
        process.kill()
    return said


def complaints(said: list[str]) -> list[str]:
    """Return what was said of a file in particular: ``NAME:LINE`` of each complaint."""
    found = (re.match(r"/etc/systemd/network/([^:]+:\d+): ", line) for line in said)
    return [match[1] for match in found if match]
