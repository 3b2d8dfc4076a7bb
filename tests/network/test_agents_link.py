"""Two clusters of agents, each with an API server of its own, linked by ``kgctl link``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.network import probe
from tests.network.agents import AgentLab, AgentNode
from tests.network.commands import run
from tests.network.namespace import Lab

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apiserver.server import ApiServer

SERVICES, SERVICE = "10.143.0.0/16", "10.143.0.10"
OPTIONS = {
    "west": ("--subnet", "10.4.0.0/16"),
    "east": ("--subnet", "10.14.0.0/16", "--service-cidr", SERVICES),
}


class West(AgentLab):
    """A leader, and a node that reaches the world through it."""

    layout = (
        AgentNode("west-1", "west", 1, "198.51.100.11/24", "10.1.0.11/24"),
        AgentNode("west-2", "west", 2, "", "10.1.0.12/24"),
    )

    def _wire(self) -> None:
        self._wire_nodes()
        self["west-2"].ip("route", "add", "default", "via", "10.1.0.11")


class East(AgentLab):
    """Two nodes of two locations; the second has no internal IP."""

    layout = (
        AgentNode("east-1", "east", 1, "203.0.113.21/24", "10.2.0.21/24", pods="10.52"),
        AgentNode("east-2", "south", 2, "198.19.60.22/24", pods="10.52"),
    )

    def _wire(self) -> None:
        self._wire_nodes()


@pytest.mark.needs("root", "ip", "iptables", "ping", "wg", "wireguard-go")
def test_pods_and_services_of_linked_clusters(
    api_server: ApiServer, other_api_server: ApiServer, tmp_path: Path
) -> None:
    with (
        Lab() as lab,
        West(lab, api_server, tmp_path) as west,
        East(lab, other_api_server, tmp_path) as east,
    ):
        west.start_all(*OPTIONS["west"])
        east.start_all(*OPTIONS["east"])
        for network in (west, east):
            one, other = network.layout
            assert network.unanswered([(one, other), (other, one)]) == [], network.describe()
        across = [(one, two) for one in west.layout for two in east.layout]
        across += [(two, one) for one, two in across]
        assert not probe.reaches(west["pod-west-1"], east.layout[0].pod, within=1)

        link(west, east)
        assert west.unanswered(across) == [], west.describe() + east.describe()
        for node in east.layout:
            serve(east, node.name, to=east.layout[1].pod)
        for node in west.layout:
            assert probe.reaches(west[f"pod-{node.name}"], SERVICE), west.describe()


def serve(network: AgentLab, name: str, to: str) -> None:
    """Have a node send what is for the service to a pod, and hide who asks, as kube-proxy does."""
    for rule in (
        ("PREROUTING", "-d", SERVICE, "-j", "DNAT", "--to", to),
        ("POSTROUTING", "!", "-s", "10.52.0.0/16", "-m", "conntrack", "--ctorigdst", SERVICE,
         "-j", "MASQUERADE"),
    ):  # fmt: skip
        network[name].run("iptables", "-t", "nat", "-A", *rule)


def link(west: AgentLab, east: AgentLab) -> None:
    """Link the clusters, with the services of one."""
    clusters = [f"west={west.server.kubeconfig}", f"east={east.server.kubeconfig}"]
    services = ["--service-cidr", f"east={SERVICES}", "--service-cidr", "west=none"]
    run([sys.executable, "-m", "kgctl", "link", *clusters, "--yes", *services], timeout=60)
