"""``kgctl connect`` between real namespaces, with a real API server behind a line that can be cut."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.network import plan, probe, tunnel
from tests.network.command_line import Kgctl
from tests.network.connection import Connection, kgctl
from tests.network.objects import node_objects
from tests.network.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apiserver.server import ApiServer
    from tests.network.layout import SmallCluster

RBAC = Path(__file__).parents[2] / "docs" / "rbac-connect.yaml"
PEERS = "/apis/kilo.squat.ai/v1alpha1/peers"
ADDRESS = f"{plan.LAPTOP.ipv4}/32"


class Site:
    """The small cluster with its nodes led from the API server, and the laptop about to join."""

    def __init__(self, cluster: SmallCluster, server: ApiServer, uplink: Uplink) -> None:
        self.cluster = cluster
        self.server = server
        self.uplink = uplink
        self.laptop = cluster["laptop"]
        rules = yaml.safe_load(RBAC.read_text().split("---")[0])["rules"]
        server.user("host", rules)
        user = server.users.with_certificate("host")
        self.kubeconfig = server.write_kubeconfig("host", user, url=uplink.url)
        self.reader = Kgctl(("--kubeconfig", str(server.token_user("reader"))))
        server.clear()
        server.apply(node_objects(cluster.keys))

    def connect(self, *options: str) -> Connection:
        wanted = ("laptop", "--allowed-ip", ADDRESS, "--persistent-keepalive", "2", *options)
        return Connection(self.laptop, self.kubeconfig, *wanted)

    def peers(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.server.request("GET", PEERS)["items"]]

    def traces(self) -> str:
        """What a connection leaves on the laptop, which is to be nothing."""
        run = self.laptop.run
        sockets = run("ls", "/run/wireguard").stdout
        records = [path.name for path in self.laptop.directory.glob("*.json")]
        links = "\n".join(line.split(": ")[1] for line in self.laptop.ip("-o", "link").splitlines())
        return "\n".join(
            [links, self.laptop.ip("route"), self.laptop.ip("-6", "route"), sockets, *records]
        )


@pytest.fixture
def site(cluster: SmallCluster, api_server: ApiServer) -> Iterator[Site]:
    with Uplink(cluster["laptop"], api_server.url) as uplink:
        yield Site(cluster, api_server, uplink)


def test_it_joins_and_leaves_the_host_as_it_was(site: Site) -> None:
    before = site.traces()
    with site.connect() as connection:
        connection.until("synchronised")
        site.reader.lead(site.cluster)
        for node in (plan.AMS_1, plan.AMS_2, plan.FRA_1):
            for address in node.ipv4.to_ping:
                assert probe.reaches(site.laptop, address), f"{node.name} at {address}"
        assert probe.reaches(site.cluster["ams-1"], plan.LAPTOP.ipv4)
        assert site.peers() == ["laptop"]
        assert connection.end() == 0, connection.describe()
    assert site.traces() == before
    assert site.peers() == []
