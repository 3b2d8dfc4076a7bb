"""From Kilo's agent to kgctl's on one node after the other, and back: see docs/migrate.md.

``KiloAgents`` stands for Kilo's agent.
"""

from __future__ import annotations

import re
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.network.agents import NODE, AgentLab
from tests.network.kilo import KiloAgents
from tests.network.namespace import Lab
from tests.network.stream import Pinging
from tests.network.test_agents import TOLERATED, within
from tests.network.tunnel import KILO, dump

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apiserver.server import ApiServer

ALL = tuple(NODE)
MOVED = ("ams-1", "ams-2")
"""The leader of a location, and a node that follows it."""

OPTIONS = (
    "--encapsulate=crosssubnet",  # chains of both kinds, and packets that need no IP in IP
    "--iptables-forward-rules",
    "--service-cidr=10.43.0.0/16",
)
STALE = ("10.42.99.0/24", "via", "10.4.0.9", "dev", KILO, "onlink", "proto", "static")
STALE_RULE = (
    "-s", "10.5.9.9/32", "-m", "comment", "--comment", "Kilo: jump to NAT chain", "-j", "KILO-NAT",
)  # fmt: skip
"""What Kilo's agent leaves of an earlier life."""


def identity(network: AgentLab, name: str) -> tuple[object, ...]:
    """Return what a node's sessions depend on: its key, its link, its peers and where they are."""
    namespace = network[name]
    index = namespace.ip("-o", "link", "show", KILO).split(":")[0]
    own = namespace.run("wg", "show", KILO, "public-key").stdout.strip()
    peers = {key: (one.endpoint, one.allowed_ips) for key, one in dump(namespace).items()}
    return index, own, network.annotation(name, "key"), peers


def present(network: AgentLab, name: str) -> Counter[str]:
    """Return the addresses, routes and rules of a node, with how often each is there.

    Rules that Kilo's agent inserts have no order.
    """
    return Counter(network.traces(name).splitlines())


def repeated_rules(network: AgentLab, name: str) -> list[str]:
    """Return the rules of iptables that a node has more than once."""
    found = []
    for program in ("iptables", "ip6tables"):
        saved = network[name].run(f"{program}-save").stdout.splitlines()
        found += [line for line, count in Counter(saved).items() if line[:2] == "-A" and count > 1]
    return found


def moved(network: AgentLab, kilo: KiloAgents, name: str, *options: str) -> None:
    """Exchange the agent of a node for kgctl's, and wait until that has set up the node."""
    kilo.stop(name)
    network.start(name, *OPTIONS, *options).until("event")
    within(lambda: "\nkgctl_ready 1" in network.scraped(name, "/metrics"), f"{name} has no part")


def resynced(network: AgentLab, name: str) -> None:
    """Wait until a node's agent of kgctl has compared everything with the machine again."""

    def rounds() -> int:
        found = re.search(
            r"^kilo_reconciles_total (\d+)", network.scraped(name, "/metrics"), re.MULTILINE
        )
        return int(found[1]) if found else 0

    began = rounds()
    within(lambda: rounds() > began + 1, f"{name} runs no rounds")


@pytest.mark.needs(
    "root", "bash", "curl", "ip", "iptables", "nft", "ping", "wg", "wg-quick", "wireguard-go"
)
def test_from_kilos_agent_and_back(api_server: ApiServer, tmp_path: Path) -> None:
    with (
        Lab() as lab,
        AgentLab(lab, api_server, tmp_path) as network,
        KiloAgents(network, *OPTIONS) as kilo,
    ):
        bare = {name: present(network, name) for name in MOVED}
        kilo.install(ALL)
        within(lambda: _discovered(network, kilo), "nobody discovered home-1")
        for name in ALL:  # what they now know of each other
            kilo.apply(name)
        assert network.unreached(ALL) == [], network.describe()
        before = {name: present(network, name) for name in MOVED}
        assert any("KILO-IPIP" in line for line in before["ams-2"])
        device = identity(network, "ams-1")
        with Pinging(network["pod-fra-1"], NODE["home-2"].pod) as others:
            with Pinging(network["pod-ams-2"], NODE["fra-1"].pod) as through:
                network["ams-1"].ip("route", "add", *STALE)
                network["ams-1"].run("iptables", "-t", "nat", "-I", "POSTROUTING", *STALE_RULE)
                for name in MOVED:
                    moved(network, kilo, name, "--clean-up=false")
                for name in MOVED:
                    resynced(network, name)
                    assert present(network, name) == before[name]
                    assert repeated_rules(network, name) == []
                assert identity(network, "ams-1") == device
                for name in MOVED:
                    assert network.agents[name].end(signal.SIGTERM) == 0
                    assert present(network, name) == before[name]
                    kilo.start(name)
                    assert present(network, name) == before[name]
                    assert repeated_rules(network, name) == []
                assert identity(network, "ams-1") == device
            assert through.losses.lost <= TOLERATED, (through.losses, network.describe())
            # and for good: what goes with kgctl's agent is also what Kilo's had made
            for name in MOVED:
                moved(network, kilo, name, "--clean-up-interface")
            for name in MOVED:
                assert network.agents[name].end(signal.SIGTERM) == 0
                assert present(network, name) == bare[name]
        assert others.losses.lost <= TOLERATED, (others.losses, network.describe())


def _discovered(network: AgentLab, kilo: KiloAgents) -> bool:
    """Return whether the leaders elsewhere have announced where home-1 calls from."""
    for name in ALL:
        kilo.check_in(name)
    leaders = ("ams-1", "fra-1", "fra-2")
    shown = [network.annotation(name, "discovered-endpoints") or "" for name in leaders]
    return all("198.18.30.30" in one for one in shown)
