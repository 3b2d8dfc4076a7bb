"""The test harness: with hand-written configurations, packets go where they should."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.network import plan, probe, tunnel
from tests.network.commands import run
from tests.network.namespace import ETC_NETNS, PREFIX, RUN, Lab, sweep

if TYPE_CHECKING:
    from tests.network.layout import SmallCluster


def leader_configs(cluster: SmallCluster) -> dict[str, str]:
    """Return a configuration for every leader, as Kilo would have it, written by hand."""
    public = {name: keys.public for name, keys in cluster.keys.items()}
    interface = f"[Interface]\nListenPort = {plan.PORT}\n"
    amsterdam = f"""
[Peer]
AllowedIPs = 10.42.0.0/24, 10.10.0.1/32, 10.42.1.0/24, 10.10.0.2/32, 10.4.0.1/32
Endpoint = 198.51.100.10:{plan.PORT}
PersistentKeepalive = %d
PublicKey = {public["ams-1"]}
"""
    frankfurt = f"""
[Peer]
AllowedIPs = 10.42.2.0/24, 10.20.0.1/32, 10.4.0.2/32
Endpoint = 203.0.113.20:{plan.PORT}
PersistentKeepalive = %d
PublicKey = {public["fra-1"]}
"""
    home = f"""
[Peer]
AllowedIPs = 10.42.3.0/24, 192.168.77.10/32, 10.4.0.3/32
Endpoint = 192.168.77.10:{plan.PORT}
PersistentKeepalive = %d
PublicKey = {public["home-1"]}
"""
    laptop = f"\n[Peer]\nAllowedIPs = 10.5.0.1/32, fd10:5::1/128\nPublicKey = {public['laptop']}\n"
    keepalive = plan.KEEPALIVE
    return {
        "ams-1": interface + frankfurt % 0 + home % 0 + laptop,
        "fra-1": interface + amsterdam % 0 + home % 0 + laptop,
        "home-1": interface + amsterdam % keepalive + frankfurt % keepalive + laptop,
    }


def laptop_config(cluster: SmallCluster, allowed: dict[str, str]) -> str:
    """Return a wg-quick file for the laptop: a section for each node in ``allowed``."""
    endpoints = {node.name: node.endpoints["ipv4"] for node in plan.NODES}
    sections = [
        f"[Interface]\nAddress = 10.5.0.1/32, fd10:5::1/128\n"
        f"PrivateKey = {cluster.keys['laptop'].private}\n"
    ]
    sections += [
        f"[Peer]\nAllowedIPs = {networks}\nEndpoint = {endpoints[name]}\n"
        f"PersistentKeepalive = {plan.KEEPALIVE}\nPublicKey = {cluster.keys[name].public}\n"
        for name, networks in allowed.items()
    ]
    return "\n".join(sections)


AMS_AND_FRA = {
    "ams-1": "10.42.0.0/24, 10.10.0.1/32, 10.42.1.0/24, 10.10.0.2/32, 10.4.0.1/32",
    "fra-1": "10.42.2.0/24, 10.20.0.1/32, 10.4.0.2/32",
}


@pytest.fixture
def led(cluster: SmallCluster) -> SmallCluster:
    """The small cluster with every leader configured by hand."""
    configs = leader_configs(cluster)
    for node in plan.LEADERS:
        cluster.lead(node, configs[node.name])
    return cluster


def test_without_tunnels_the_insides_are_apart(cluster: SmallCluster) -> None:
    assert probe.reaches(cluster["laptop"], "198.51.100.10"), "NAT works"
    assert probe.reaches(cluster["phone"], "2001:db8:20::20"), "IPv6 works"
    assert probe.reaches(cluster["ams-2"], plan.AMS_1.ipv4.pod), "the location's own network works"
    assert not probe.reaches(cluster["laptop"], "10.4.0.1", within=1)
    assert not probe.reaches(cluster["fra-1"], plan.AMS_2.ipv4.pod, within=1)
    assert not probe.reaches(cluster["ams-1"], "198.18.40.40", within=1), "NAT lets nothing in"
    assert not probe.reaches(cluster["phone"], "2001:db8:31::10", within=1), "nor does it on IPv6"


def test_leaders_and_followers_reach_each_other(led: SmallCluster) -> None:
    for source in plan.NODES:
        for target in plan.NODES:
            for address in target.ipv4.to_ping:
                assert probe.reaches(led[source.name], address), f"{source.name} to {address}"


def test_a_node_behind_nat_is_seen_at_its_router(led: SmallCluster) -> None:
    assert probe.reaches(led["home-1"], "10.4.0.1")
    home = tunnel.dump(led["ams-1"])[led.keys["home-1"].public]
    assert home.endpoint == f"198.18.30.30:{plan.PORT}"
    assert home.handshake_age is not None
    assert home.handshake_age < 60


def test_a_laptop_joins_with_a_file(led: SmallCluster) -> None:
    said = tunnel.join(led["laptop"], laptop_config(led, AMS_AND_FRA))
    assert "ip -4 route add 10.42.2.0/24 dev kgctl" in said
    for node in (plan.AMS_1, plan.AMS_2, plan.FRA_1):
        for address in node.ipv4.to_ping:
            assert probe.reaches(led["laptop"], address), f"laptop to {node.name} at {address}"
    assert probe.reaches(led["ams-2"], "10.5.0.1"), "and is reached by a follower"
    assert not probe.reaches(led["laptop"], "10.4.0.3", within=1), "not asked for, not reached"
    assert probe.throughput(led.lab, led["laptop"], led["ams-2"], plan.AMS_2.ipv4.pod) > 1e6
    tunnel.leave(led["laptop"])
    assert not probe.reaches(led["laptop"], "10.4.0.1", within=1)


def test_two_behind_nat_meet_where_the_others_see_them(led: SmallCluster) -> None:
    """What Kilo's discovered endpoints are for: both call the other's router at once."""
    laptop, home = led["laptop"], led["home-1"]
    tunnel.join(laptop, laptop_config(led, {**AMS_AND_FRA, "home-1": "10.4.0.3/32"}))
    assert probe.reaches(laptop, "10.4.0.1")
    assert not probe.reaches(laptop, "10.4.0.3", within=1)
    seen = tunnel.dump(led["ams-1"])
    calls = {
        "laptop": (home, tunnel.KILO, str(plan.KEEPALIVE)),
        "home-1": (laptop, "kgctl", str(plan.KEEPALIVE)),
    }
    for name, (caller, device, keepalive) in calls.items():
        key = led.keys[name].public
        endpoint = seen[key].endpoint
        assert endpoint is not None
        settings = ("endpoint", endpoint, "persistent-keepalive", keepalive)
        caller.run("wg", "set", device, "peer", key, *settings)
    assert probe.reaches(laptop, "10.4.0.3", within=60)


def test_a_gateway_carries_everything(led: SmallCluster) -> None:
    laptop = led["laptop"]
    assert probe.seen_as(laptop, plan.WEB_IPV4) == "198.18.40.40"
    config = laptop_config(led, {"fra-1": "0.0.0.0/0, ::/0"})
    tunnel.join(laptop, config.replace("PrivateKey", "DNS = 10.43.0.10, svc.local\nPrivateKey", 1))
    assert probe.seen_as(laptop, plan.WEB_IPV4) == "203.0.113.20"
    assert probe.seen_as(laptop, plan.WEB_IPV6) == "2001:db8:20::20", "which the office has not"
    assert probe.reaches(laptop, "10.4.0.2")
    resolver = laptop.run("cat", "/etc/resolv.conf").stdout
    assert "nameserver 10.43.0.10" in resolver
    assert "search svc.local" in resolver
    tunnel.leave(laptop)
    assert probe.seen_as(laptop, plan.WEB_IPV4) == "198.18.40.40"
    assert "nameserver" not in laptop.run("cat", "/etc/resolv.conf").stdout


def test_a_killed_run_leaves_nothing_for_long() -> None:
    """A namespace of a process that is gone is removed by the next run."""
    with Lab() as lab:
        mine = lab.add("mine")
        free = next(pid for pid in range(4_194_303, 0, -1) if not Path(f"/proc/{pid}").exists())
        name = f"{PREFIX}{free}x0-left"
        run(["ip", "netns", "add", name])
        (ETC_NETNS / name).mkdir()
        (RUN / name).mkdir()
        assert sweep() == [name]
        left = run(["ip", "netns", "list"]).stdout
        assert name not in left
        assert mine.name in left
    assert not (ETC_NETNS / name).exists()
    assert not (RUN / name).exists()
    assert mine.name not in run(["ip", "netns", "list"]).stdout
