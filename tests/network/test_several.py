"""A machine that joins two clusters with one file: packets to pods and services of both.

First without links between the clusters, then linked by ``kgctl link``.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.network import laying, tunnel
from tests.network.namespace import Lab
from tests.network.plan import PORT
from tests.network.randomly import Member, Plan, Site
from tests.network.test_link import SERVICE, SERVICES, Clusters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.apiserver.server import ApiServer

OWN = "10.5.0.1"
PUBLIC = "198.18.103.2"
RENEWED = 30  # seconds until a session that the other end has lost is made anew, and some more
PODS = {"w1": "10.42.1.2", "w2": "10.42.2.2", "e1": "10.142.1.2"}


class Joined:
    """The two clusters of ``kgctl link``, and a machine on the Internet that is a Peer of both."""

    def __init__(self, clusters: Clusters, directory: Path) -> None:
        self.clusters, self.directory = clusters, directory
        spec = {
            "allowedIPs": [f"{OWN}/32"],
            "endpoint": {"dnsOrIP": {"ip": PUBLIC}, "port": PORT},
            "persistentKeepalive": 5,
        }
        self.machine = Member("desktop", tunnel.KeyPair.generate(), OWN, PUBLIC, spec=spec)
        home = Plan("location", [Site("home", "192.168.3", None, [self.machine])], [])
        laying.wire(clusters.lab, home)
        self.namespace = clusters.lab.namespaces["desktop"]
        for server in (clusters.west, clusters.east):
            server.apply([self.machine.object()])

    def file(self) -> str:
        """Return what kgctl writes for the machine, of both clusters."""
        key = self.directory / "private.key"
        key.write_text(self.machine.keys.private)
        key.chmod(0o600)
        named = [f"--cluster={name}={path}" for name, path in self.clusters.kubeconfigs.items()]
        run = subprocess.run(
            [sys.executable, "-m", "kgctl", *named, "showconf", "peer", "desktop", "-o", "wg-quick",
             "--private-key", str(key), "--listen-port", str(PORT),
             "--service-cidr", f"east={SERVICES}"],
            check=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return run.stdout

    def unanswered(self) -> list[str]:
        """Return the ways, there and back, on which no ping is answered.

        The machine cannot call a node behind NAT, and one that holds a session with the machine as
        it was before it came back calls anew only after 15 s in which what it sent was not answered
        (WireGuard's KEEPALIVE_TIMEOUT and REKEY_TIMEOUT; a keepalive asks for no answer). So the
        nodes begin, and have twice that time.
        """
        found = [
            f"from {name}"
            for name in PODS
            if not self.clusters.answered(name, OWN, seconds=RENEWED)
        ]
        ping = ("ping", "-n", "-c", "1", "-w", "15", "-i", "0.5")
        return found + [
            f"to {name}"
            for name, pod in PODS.items()
            if self.namespace.run(*ping, pod, timeout=35, check=False).returncode
        ]


@pytest.fixture
def joined(api_server: ApiServer, other_api_server: ApiServer, tmp_path: Path) -> Iterator[Joined]:
    with Lab() as lab:
        yield Joined(Clusters(api_server, other_api_server, lab), tmp_path)


@pytest.mark.network
@pytest.mark.needs("root", "curl", "ip", "wg", "wg-quick", "wireguard-go")
def test_one_file_reaches_the_pods_and_services_of_both(joined: Joined) -> None:
    joined.clusters.agents()
    tunnel.join(joined.namespace, joined.file())
    assert joined.unanswered() == []
    curl = ("curl", "--silent", "--max-time", "10", f"http://{SERVICE}/")
    assert joined.namespace.run(*curl).stdout == OWN  # hidden behind nobody
    tunnel.leave(joined.namespace)

    before = joined.file()
    subprocess.run(joined.clusters.link(), check=True, timeout=60, stdout=subprocess.DEVNULL)
    joined.clusters.agents()
    assert joined.file() == before  # each network through its own cluster, as before
    tunnel.join(joined.namespace, joined.file())
    assert joined.unanswered() == []
    assert joined.clusters.answered("w2", PODS["e1"])
