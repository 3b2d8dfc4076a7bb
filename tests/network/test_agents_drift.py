"""``kgctl drift``, ``check --node-agent`` and ``status`` on the nodes of agents."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.network.agents import NODE, AgentLab
from tests.network.connection import kgctl
from tests.network.namespace import Lab
from tests.network.tunnel import KILO

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.apiserver.server import ApiServer

PATIENCE = 120.0

pytestmark = pytest.mark.needs(
    "root", "ip", "iptables", "nft", "ping", "wg", "wg-quick", "wireguard-go"
)


@pytest.fixture(scope="module")
def network(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentLab]:
    with Lab() as lab, AgentLab(lab, api_server, tmp_path_factory.mktemp("agents")) as made:
        made.start_all()
        assert made.unreached(NODE) == [], made.describe()
        yield made


def drift(network: AgentLab, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    return kgctl(network[name], "drift", *options, check=False)


def eventually(condition: Callable[[], bool], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.5)


def test_a_node_is_as_its_agent_set_it_up(network: AgentLab) -> None:
    """Also one that does not lead; endpoints behind NAT are discovered after a while."""
    for name in NODE:
        eventually(
            lambda name=name: drift(network, name).returncode == 0,  # type: ignore[misc]
            lambda name=name: drift(network, name).stdout,  # type: ignore[misc]
        )
        done = drift(network, name)
        assert done.stdout.startswith(f"{name} matches the cluster, with ")
        assert done.stderr == ""


def kill_at_rest(network: AgentLab, name: str) -> None:
    """Kill an agent that has nothing left to do; one in the midst of a change is started again."""
    for _ in range(5):
        eventually(lambda: drift(network, name).returncode == 0, lambda: drift(network, name))
        network.agents[name].kill()
        if drift(network, name).returncode == 0:
            return
        network.start(name)
    pytest.fail(network.describe())


def the_changes_by_hand_are_named(network: AgentLab) -> None:
    fra = network["fra-1"]
    kill_at_rest(network, "fra-1")
    key = network.annotation("ams-1", "key")
    fra.ip("route", "delete", "10.42.1.0/24")
    fra.ip("route", "add", "10.99.0.0/24", "dev", KILO, "proto", "static", "scope", "global")
    fra.ip("rule", "add", "to", "10.98.0.0/16", "lookup", "1107")
    fra.run("iptables", "-t", "nat", "-D", "KILO-NAT", "1")
    fra.ip("link", "set", KILO, "mtu", "1300")
    fra.run("wg", "set", KILO, "peer", str(key), "allowed-ips", "10.42.1.0/24,10.97.0.0/16")
    before = network.traces("fra-1")
    done = drift(network, "fra-1")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "fra-1 differs in 6 places"
    said = "\n".join(lines)
    assert "- route 10.42.1.0/24 via 10.4.0.1 dev kilo0 src 10.2.0.21: missing" in said
    assert "+ route 10.99.0.0/24 dev kilo0: unexpected" in said
    assert "+ policy rule to 10.98.0.0/16 lookup 1107: unexpected" in said
    assert "- IPv4 nat KILO-NAT: " in said
    assert "  kilo0: MTU 1300, should be 1420" in said
    assert "node ams-1: allowed IPs lack " in said
    assert "too many: 10.97.0.0/16" in said
    found = json.loads(drift(network, "fra-1", "-o", "json").stdout)
    kinds = sorted(one["kind"] for one in found["differences"])
    assert kinds == ["allowed-ips", "firewall", "mtu", "route", "route", "rule"]
    assert network.traces("fra-1") == before  # it only looked


def checked(network: AgentLab, name: str, *options: str) -> list[dict[str, str]]:
    done = kgctl(network[name], "check", "--node-agent", "-o", "json", *options, check=False)
    assert done.returncode in (0, 1), done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)["findings"]
    return found


def the_agent_is_found_gone_with_what_it_left(network: AgentLab) -> None:
    found = checked(network, "fra-1")
    codes = [one["code"] for one in found]
    assert codes == ["KG801", "KG802", "KG802", "KG802", "KG802", "KG802"]
    assert "no kgctl agent runs on this machine" in found[0]["sentence"]
    assert "does not run" in kgctl(network["fra-1"], "status").stdout
    fra = network["fra-1"]
    fra.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
    key = network.annotation("ams-1", "key")
    fra.run("wg", "set", KILO, "peer", str(key), "endpoint", "10.42.5.10:51820")
    codes = [one["code"] for one in checked(network, "fra-1", "--ignore", "KG801,KG802")]
    assert codes == ["KG805", "KG806"]


def the_successor_mends_all_of_it(network: AgentLab) -> None:
    network.start("fra-1")
    eventually(lambda: checked(network, "fra-1") == [], lambda: checked(network, "fra-1"))
    assert kgctl(network["fra-1"], "check", "--node-agent").stdout
    assert "the agent of node fra-1 runs for " in kgctl(network["fra-1"], "status").stdout


def test_a_killed_agent_is_found_and_what_was_changed_meanwhile_is_named_and_mended(
    network: AgentLab,
) -> None:
    """One test, as each part needs the one before, and workers share tests out."""
    the_changes_by_hand_are_named(network)
    the_agent_is_found_gone_with_what_it_left(network)
    the_successor_mends_all_of_it(network)


def test_a_refused_claim_and_a_silent_peer_are_found(network: AgentLab) -> None:
    network.add_peer("laptop", "203.0.113.128/25", "10.5.0.2/32", persistentKeepalive=2)
    eventually(
        lambda: {one["code"] for one in checked(network, "ams-1")} == {"KG803", "KG804"},
        lambda: checked(network, "ams-1"),
    )
    found = {one["code"]: one for one in checked(network, "ams-1")}
    assert "peer laptop" in found["KG804"]["sentence"] or "laptop" in found["KG804"]["sentence"]
    assert "no session with laptop, last handshake never" in found["KG803"]["sentence"]
    status = kgctl(network["ams-1"], "status", "-o", "json")
    (tunnel,) = json.loads(status.stdout)["items"]
    assert tunnel["agent"]["node"] == "ams-1"
    assert tunnel["agent"]["running"] is True
    assert tunnel["refusals"][0]["since"] > 0


def test_nftables_and_the_encapsulation_are_compared_too(network: AgentLab) -> None:
    """A node that leads, and one that does not, have rules and routes in table 1107."""
    pair = ("ams-1", "ams-2")
    for name in pair:
        network.agents[name].end()
        network[name].ip("link", "add", "tunl0", "type", "bridge")  # kernels may lack IP in IP
        network.start(name, "--encapsulate", "always", "--firewall", "nftables")
    for name in pair:
        eventually(
            lambda name=name: drift(network, name).returncode == 0,  # type: ignore[misc]
            lambda name=name: drift(network, name).stdout,  # type: ignore[misc]
        )
    network.agents["ams-2"].kill()
    ams = network["ams-2"]
    ams.run("nft", "flush", "chain", "inet", "kgctl", "KILO-IPIP")
    ams.ip("link", "set", "tunl0", "mtu", "1300")
    ams.ip("rule", "delete", "from", "10.42.2.0/24", "to", "10.1.0.11", "lookup", "1107")
    ams.ip("route", "flush", "table", "1107")
    ams.run("iptables", "-t", "nat", "-N", "KILO-NAT")  # of the other program
    done = drift(network, "ams-2")
    assert done.returncode == 1
    kinds = [line.split(":")[0].split(" 10.")[0] for line in done.stdout.splitlines()[1:]]
    assert sorted(kinds) == sorted([
        "  tunl0", "- route", "- policy rule from", "- nftables KILO-IPIP", "+ IPv4 nat KILO-NAT",
    ])  # fmt: skip
