"""A network of agents in full granularity, with their firewall in nftables."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.network import probe
from tests.network.agents import NODE, PRINTER, AgentLab
from tests.network.namespace import Lab

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apiserver.server import ApiServer

ALL = tuple(NODE)


@pytest.mark.needs("root", "ip", "iptables", "nft", "ping", "wg", "wg-quick", "wireguard-go")
def test_every_node_is_a_segment_of_its_own(api_server: ApiServer, tmp_path: Path) -> None:
    with Lab() as lab, AgentLab(lab, api_server, tmp_path) as network:
        bare = {name: network.traces(name) for name in ALL}
        network.start_all(
            "--mesh-granularity", "full", "--firewall", "nftables", "--clean-up-interface"
        )
        # nobody outside of its place can dial ams-2, and nothing translates its address
        assert network.unreached(set(ALL) - {"ams-2"}) == [], network.describe()
        assert network.unreached(["ams-1", "ams-2"]) == [], network.describe()
        assert all(network.annotation(name, "wireguard-ip") for name in ALL)
        assert {network.annotation(name, "granularity") for name in ALL} == {"full"}
        network.add_peer("laptop", "10.5.0.2/32", persistentKeepalive=2)
        network.join("laptop")
        # its router and the one at home may never let the two through to each other
        targets = [node.pod for node in NODE.values() if node.uplink]
        assert probe.unreached(network["laptop"], targets) == [], network.describe()
        assert probe.reaches(network["pod-fra-2"], PRINTER), network.describe()
        for name in ALL:
            assert network.agents[name].end(signal.SIGTERM) == 0, network.describe()
        left = {name: network.traces(name) for name in ALL}
        assert left == bare
        assert all("kgctl" not in network[name].run("nft", "list", "tables").stdout for name in ALL)
