"""A network of agents alone: packets between pods, nodes and peers, whatever happens to them."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.network import probe
from tests.network.agents import LAYOUT, NODE, PRINTER, AgentLab
from tests.network.commands import run
from tests.network.connection import kgctl
from tests.network.namespace import Lab
from tests.network.stream import Pinging
from tests.network.tunnel import KILO, KeyPair, dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.apiserver.server import ApiServer

ALL = tuple(NODE)
LEADERS = ("ams-1", "fra-1", "fra-2", "home-1")
PATIENCE = 120.0
AWAY = float(os.environ.get("KGCTL_AWAY_SECONDS", "70"))
"""Seconds for which the API server is away: more than the 60 for which a heartbeat counts.

``make soak`` takes five minutes.
"""
TOLERATED = 2
"""Packets that a busy machine may drop by itself, of 100 a second; a lost session costs 1,500."""

pytestmark = pytest.mark.needs(
    "root", "curl", "dot", "ip", "iptables", "nft", "ping", "wg", "wg-quick", "wireguard-go"
)


@pytest.fixture(scope="module")
def network(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentLab]:
    """All agents, in location granularity; each test leaves the network whole."""
    with Lab() as lab, AgentLab(lab, api_server, tmp_path_factory.mktemp("agents")) as made:
        made.bare = {name: made.traces(name) for name in ALL}
        made.start_all()
        whole(made)
        yield made


def within(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> float:
    """Wait until it is true; return the seconds that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, what
        time.sleep(0.1)
    return time.monotonic() - began


def whole(network: AgentLab) -> None:
    """Wait until all pods and nodes reach each other, and until nothing changes any more."""
    assert network.unreached(ALL) == [], network.describe()

    def home_is_known() -> bool:
        """The others have no route to home-1 until they know where it is behind its router."""
        shown = (network[name].ip("route") for name in LEADERS if name != "home-1")
        return all("192.168.77.10 via" in one for one in shown)

    within(home_is_known, "home-1 was not discovered")


def test_all_pods_and_nodes_reach_each_other(network: AgentLab) -> None:
    whole(network)
    assert [name for name in ALL if network.annotation(name, "wireguard-ip")] == [*LEADERS]
    assert network.annotation("fra-2", "internal-ip") == ""
    assert network.annotation("home-1", "internal-ip") == "192.168.77.10/24"
    assert network.annotation("ams-1", "endpoint") == "198.51.100.11:51820"
    # behind NAT nobody can dial it; the others learn its endpoint from its packets
    within(
        lambda: "198.18.30.30" in (network.annotation("fra-1", "discovered-endpoints") or ""),
        "nobody discovered home-1",
    )


def test_peers_reach_pods_and_what_is_behind_a_location(network: AgentLab) -> None:
    network.add_peer("server", "10.5.0.1/32", endpoint={
        "dnsOrIP": {"ip": "198.19.61.60"}, "port": 51820,
    })  # fmt: skip
    network.add_peer("laptop", "10.5.0.2/32", persistentKeepalive=2)
    for name in ("server", "laptop"):
        network.join(name)
        targets = [*(node.pod for node in LAYOUT), PRINTER]
        assert probe.unreached(network[name], targets) == [], network.describe()
    assert probe.reaches(network["pod-ams-2"], "10.5.0.2"), network.describe()
    # the printer sees the leader's address, and needs no route back
    assert probe.reaches(network["pod-fra-2"], PRINTER), network.describe()


def test_a_service_address_by_nat(network: AgentLab) -> None:
    """As kube-proxy does it: the node of the client rewrites the destination."""
    target = NODE["fra-1"].pod
    to = ("-t", "nat", "-A", "PREROUTING", "-d", "10.43.0.10", "-j", "DNAT", "--to", target)
    network["home-2"].run("iptables", *to)
    assert probe.reaches(network["pod-home-2"], "10.43.0.10"), network.describe()
    network["home-2"].run("iptables", *(word if word != "-A" else "-D" for word in to))


def test_what_others_change_is_mended(network: AgentLab) -> None:
    ams = network["ams-1"]
    before = network.traces("ams-1")
    ams.ip("route", "delete", "10.42.3.0/24")
    ams.run("iptables", "-t", "nat", "-F", "KILO-NAT")
    ams.ip("link", "set", KILO, "mtu", "1300")
    within(lambda: network.traces("ams-1") == before, "it was not mended")
    ams.ip("link", "set", KILO, "down")
    within(lambda: network.traces("ams-1") == before, "the link was not set up")
    ams.ip("link", "delete", KILO)
    within(lambda: KILO in ams.run("wg", "show", "interfaces").stdout, "it was not made again")
    whole(network)
    find = (
        f"from kgctl.host.userspace import UserspaceDevice as U; print(U({KILO!r}).process().pid)"
    )
    os.kill(int(ams.run(sys.executable, "-c", find).stdout), signal.SIGSTOP)  # its program hangs
    ams.ip("link", "delete", KILO)
    within(lambda: ams.run("ip", "link", "show", KILO, check=False).stdout, "the program hung")
    whole(network)


@pytest.mark.parametrize("left_by", ["kgctl", "another program"])
def test_what_a_killed_agent_left_is_taken_over_without_a_lost_packet(
    network: AgentLab, left_by: str
) -> None:
    """Kilo's agent leaves the same key, device, routes and rules, but no record of kgctl's."""
    source, target = network["pod-ams-2"], NODE["fra-1"].pod
    assert probe.reaches(source, target)
    with Pinging(source, target) as pinging:
        network.agents["ams-1"].kill()
        if left_by != "kgctl":
            for path in network["ams-1"].directory.glob("*.json"):
                path.unlink()
        agent = network.start("ams-1")
        agent.until("event")
        time.sleep(3)
    assert pinging.losses.lost <= TOLERATED, network.describe()


def test_an_endpoint_that_changes_is_followed(network: AgentLab) -> None:
    network.annotate("fra-1", force_endpoint="203.0.113.21:51999")
    key = network.annotation("fra-1", "key")

    def followed() -> bool:
        peer = dump(network["ams-1"], KILO).get(key or "")
        return peer is not None and peer.endpoint == "203.0.113.21:51999"

    within(followed, "ams-1 did not follow")
    assert network.unreached(["ams-1", "fra-1"]) == []
    network.annotate("fra-1", force_endpoint=None)
    within(
        lambda: network.annotation("fra-1", "endpoint") == "203.0.113.21:51820",
        "the forced endpoint stayed",
    )
    whole(network)


def test_a_leader_that_dies_is_replaced(network: AgentLab) -> None:
    network.agents["home-1"].kill()
    network["home-1"].ip("link", "set", "lan", "down")
    # what it would be a while later; after an outage of the API server, agents wait for longer
    network.annotate("home-1", last_seen=str(int(time.time()) - 300))
    took = within(
        lambda: network.annotation("home-2", "wireguard-ip"), "home-2 did not become the leader"
    )
    assert took < PATIENCE
    left = [name for name in ALL if name != "home-1"]
    assert network.unreached(left) == [], network.describe()
    network["home-1"].ip("link", "set", "lan", "up")
    network["home-1"].ip("route", "replace", "default", "via", "192.168.77.1")
    network.start("home-1")
    whole(network)


def test_it_tells_of_itself(network: AgentLab) -> None:
    shown = kgctl(network["ams-1"], "status").stdout
    assert "fra-1" in shown
    assert "home-1" in shown
    assert "ok" in network.scraped("ams-1", "/health")
    metrics = network.scraped("ams-1", "/metrics")
    assert "\nkilo_leader 1" in metrics
    assert "\nkilo_nodes 6" in metrics
    assert "\nkilo_leader 0" in network.scraped("ams-2", "/metrics")
    assert "<svg" in network.scraped("ams-1", "/graph")
    assert "unsupported format" in network.scraped("ams-1", "/graph?format=exe")


def test_a_node_leaves_without_a_trace_and_comes_back(network: AgentLab) -> None:
    agent = network.agents["fra-1"]
    agent.end(signal.SIGTERM)
    agent = network.start("fra-1", "--clean-up-interface")
    assert network.unreached(["ams-1", "fra-1"]) == []
    assert agent.end(signal.SIGTERM) == 0, agent.describe()
    assert network.traces("fra-1") == network.bare["fra-1"]
    found = network.server.request("GET", "/api/v1/nodes/fra-1")["metadata"]["annotations"]
    assert [name for name in found if name.endswith(("key", "endpoint", "last-seen"))] == []
    within(lambda: "10.42.3.0/24" not in network["ams-1"].ip("route"), "its routes stayed on ams-1")
    network.start("fra-1")
    whole(network)


def test_a_hostile_node_gets_nothing(network: AgentLab) -> None:
    before = network["ams-1"].ip("route")
    network.annotate("fra-2", allowed_location_ips="0.0.0.0/0,127.0.0.0/8,10.1.0.12/32")
    refused = network.agents["ams-1"].until("refused a claim")
    assert refused["claimer"] == "node fra-2"
    assert network["ams-1"].ip("route") == before
    assert "kgctl_refused_claims" in network.scraped("ams-1", "/metrics")
    network.annotate("fra-2", allowed_location_ips=None)
    whole(network)


def test_the_command_line_detects_the_granularity(network: AgentLab) -> None:
    kubeconfig = str(network.server.kubeconfig)
    command = [sys.executable, "-m", "kgctl", "--kubeconfig", kubeconfig, "get", "segments"]
    found = json.loads(run([*command, "-o", "json"], timeout=60).stdout)["items"]
    names = [one["name"] for one in found]
    assert names == ["location:ams", "location:fra", "location:home", "node:fra-2"]


def test_keys_stay(network: AgentLab) -> None:
    keys = {name: network.annotation(name, "key") for name in ALL}
    assert len(set(keys.values())) == len(ALL)
    for name in ALL:
        path = network[name].directory / "kilo" / "key"
        assert path.stat().st_mode & 0o777 == 0o600
        public = network[name].run("wg", "pubkey", stdin=path.read_text()).stdout.strip()
        assert public == keys[name]


def test_an_api_server_that_is_away_or_restored_ends_no_session(network: AgentLab) -> None:
    """Its process ends, it comes back with another state, and at last with that of a backup.

    The heartbeats of the backup are too old by then. This is the last test, since for a while after
    an outage no node counts as gone.
    """
    source, target = network["pod-ams-2"], NODE["home-2"].pod
    assert probe.reaches(source, target)
    late = KeyPair.generate().public

    def late_on() -> list[bool]:
        return [late in dump(network[name], KILO) for name in LEADERS]

    with Pinging(source, target) as pinging:
        before = {name: network.traces(name) for name in ALL}
        network.cut()  # a server that ends waits for its connections
        began = time.monotonic()
        with network.server.rolled_back() as roll_back:
            network.publish_peer("late", ["10.5.0.9/32"], late)
            time.sleep(max(0.0, began + AWAY - time.monotonic()))
            assert {name: network.traces(name) for name in ALL} == before
            network.mend()
            within(lambda: all(late_on()), "they do not catch up")
            network.cut()
            roll_back()
            network.mend()
            within(lambda: not any(late_on()), "they do not follow to the state of the backup")
            within(lambda: all(map(partial(_beats, network), ALL)), "no heartbeats after that")
            within(lambda: {name: network.traces(name) for name in ALL} == before, "it left traces")
    assert pinging.losses.lost <= TOLERATED, (pinging.losses, network.describe())
    whole(network)


def _beats(network: AgentLab, name: str) -> bool:
    return float(network.annotation(name, "last-seen") or 0) > time.time() - 40
