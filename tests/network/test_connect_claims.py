"""``kgctl connect`` with a node that claims foreign networks: effects in packets."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.network import plan, probe, tunnel
from tests.network.connection import kgctl
from tests.network.far import API_ADDRESS, API_RESOLVER, far_site
from tests.network.namespace import ETC_NETNS
from tests.network.site import AT_ONCE, Site, within
from tests.network.stream import Pinging
from tests.network.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apiserver.server import ApiServer
    from tests.network.layout import SmallCluster
    from tests.network.namespace import Namespace

ALL_BUT_10 = (
    "0.0.0.0/5", "8.0.0.0/7", "11.0.0.0/8", "12.0.0.0/6", "16.0.0.0/4", "32.0.0.0/3", "64.0.0.0/2",
    "128.0.0.0/1",
)  # fmt: skip
METADATA = "169.254.169.254"
RESOLVER = "10.66.0.53"  # somewhere on the way, with nothing of this host's around it
OFFICE_ROUTER = "192.168.88.1"


@pytest.fixture
def site(cluster: SmallCluster, api_server: ApiServer) -> Iterator[Site]:
    with Uplink(cluster["laptop"], api_server.url) as uplink:
        yield Site(cluster, api_server, uplink)


class Counted:
    """Packets that come out of the tunnel of a node, for what is not inside, and for what is.

    By default all pods, internal and WireGuard IPs are inside.
    """

    def __init__(self, node: Namespace, inside: str = "10.0.0.0/10") -> None:
        self._node = node
        for rule in (["!", "-d", inside], ["-d", inside]):
            node.run("iptables", "-t", "mangle", "-A", "PREROUTING", "-i", "kilo0", *rule)

    def packets(self) -> tuple[int, int]:
        shown = self._node.run("iptables", "-t", "mangle", "-nvxL", "PREROUTING").stdout
        foreign, own = (int(line.split()[0]) for line in shown.splitlines()[2:4])
        return foreign, own

    def end(self) -> None:
        self._node.run("iptables", "-t", "mangle", "-F", "PREROUTING")


def ways(laptop: Namespace) -> dict[str, str]:
    """Return by which device the laptop sends where."""
    found = {}
    for address in (plan.WEB_IPV4, OFFICE_ROUTER, METADATA, RESOLVER, "1.1.1.1", "192.168.88.200"):
        words = laptop.ip("route", "get", address).split()
        found[address] = words[words.index("dev") + 1]
    return found


def test_a_hostile_node_gets_nothing_of_what_the_laptop_reaches(site: Site) -> None:
    site.publish("ams-1", "ams-2", "fra-1")
    laptop, hostile = site.laptop, site.cluster["fra-1"]
    resolv_conf = ETC_NETNS / laptop.name / "resolv.conf"
    before_conf = resolv_conf.read_text()
    resolv_conf.write_text(f"nameserver {RESOLVER}\n")
    before = ways(laptop)
    assert set(before.values()) == {"uplink"}
    counted = Counted(hostile)
    try:
        with site.joined() as connection:
            site.lead()
            assert probe.reaches(laptop, plan.FRA_1.ipv4.pod)
            halves = ("192.168.88.0/25", "192.168.88.128/25", f"{OFFICE_ROUTER}/32")
            claims = (*ALL_BUT_10, *halves, f"{METADATA}/32", f"{RESOLVER}/32", "10.66.0.0/16",
                      "127.0.0.0/8", "1.1.1.1/32", "10.80.0.0/16")  # fmt: skip
            site.annotate("fra-1", allowed_location_ips=",".join(claims))
            connection.until("refused a claim")
            within(AT_ONCE, lambda: "10.80.0.0/16" in laptop.ip("route"))  # what it may claim
            assert ways(laptop) == before
            assert probe.reaches(laptop, OFFICE_ROUTER)
            assert probe.seen_as(laptop, plan.WEB_IPV4) == plan.OFFICE_IPV4
            for address in (RESOLVER, METADATA, "1.1.1.1"):  # nobody is there
                probe.reaches(laptop, address, within=1)
            assert probe.reaches(laptop, plan.FRA_1.ipv4.pod)
            foreign, own = counted.packets()
            assert foreign == 0
            assert own > 0

            said = len(connection.said("refused a claim"))
            assert {one["claimer"] for one in connection.said("refused a claim")} == {"node fra-1"}
            told = {one["reason"]: one for one in connection.said("refused a claim")}
            assert "0.0.0.0/5" in told["that is all or most of the Internet"]["networks"]
            assert any(f"{RESOLVER}, a DNS server of this host" in reason for reason in told)
            assert any("192.168.88.0/24, which this machine has" in reason for reason in told)
            time.sleep(0.5)
            site.publish("home-1")
            connection.until("synchronised", len(connection.said("synchronised")))
            assert len(connection.said("refused a claim")) == said  # each once

            status = kgctl(laptop, "status", "-o", "json").stdout
            refusals = json.loads(status)["items"][0]["refusals"]
            assert {one["claimer"] for one in refusals} == {"node fra-1"}
            assert "resolver" in {one["reason"] for one in refusals}
            assert "refused: node fra-1 claims" in kgctl(laptop, "status").stderr
    finally:
        counted.end()
        resolv_conf.write_text(before_conf)


def test_what_the_person_accepts_is_granted_and_the_rest_denied(site: Site) -> None:
    site.publish("ams-1", "ams-2", "fra-1")
    laptop = site.laptop
    site.annotate("fra-1", allowed_location_ips="192.0.2.0/24,10.80.0.0/16,10.90.0.0/16")
    unknown = '--accept "fra-11" is not a node or peer of the network; did you mean "fra-1"?'
    options = ("--accept", "fra-1=192.0.2.0/24,fra-11=192.0.2.0/24", "--deny", "10.90.0.0/16")
    with site.joined(*options) as connection:
        connection.until(unknown)
        site.withdraw("ams-2")  # a further round says it no further time
        connection.until("synchronised", count=2)
        site.publish("ams-2")
        assert len(connection.said(unknown)) == 1
        assert len(connection.said("--accept")) == 1
        routes = laptop.ip("route")
        assert "192.0.2.0/24 via 10.4.0.2" in routes
        assert "10.80.0.0/16 via 10.4.0.2" in routes
        assert "10.90.0.0/16" not in routes
    argv = ("--kubeconfig", str(site.kubeconfig), "connect", "laptop", "--dry-run")
    dry = kgctl(laptop, *argv, "--accept", "fra-11=10.0.0.0/8")
    assert dry.stdout.count(f"# {unknown}\n") == 1
    assert "# refused: node fra-1 claims 192.0.2.0/24: that holds public addresses" in dry.stdout


def hearsay(site: Site, endpoint: str) -> str:
    """Return what a node writes that says of ams-1 that it is at ``endpoint``."""
    host, _, port = endpoint.rpartition(":")
    key = site.cluster.keys["ams-1"].public
    return json.dumps({key: {"IP": host, "Port": int(port), "Zone": ""}})


def test_hearsay_neither_moves_a_session_nor_keeps_one_from_beginning(site: Site) -> None:
    laptop, hostile = site.laptop, site.cluster["fra-1"]
    key, false = site.cluster.keys["ams-1"].public, "203.0.113.20:40000"
    site.publish("ams-1", "ams-2", "fra-1")
    site.annotate("ams-1", persistent_keepalive="2")  # else nobody believes what is said of it
    hostile.run("iptables", "-A", "INPUT", "-p", "udp", "--dport", "40000")

    def caught() -> int:
        shown = hostile.run("iptables", "-nvxL", "INPUT").stdout.splitlines()
        return int(shown[2].split()[0])

    try:
        with site.joined("--resync-period", "1s"):
            with Pinging(laptop, plan.AMS_1.ipv4.pod) as pings:
                site.annotate("fra-1", discovered_endpoints=hearsay(site, false))
                time.sleep(4)
                assert tunnel.dump(laptop)[key].endpoint == plan.AMS_1.endpoints["ipv4"]
            assert pings.losses.lost == 0
            shown = kgctl(laptop, "status").stderr
            assert f"ams-1: node fra-1 claimed to see it at {false}" in shown
        with site.joined("--resync-period", "1s"):  # which waits until a ping is answered
            assert tunnel.dump(laptop)[key].endpoint == plan.AMS_1.endpoints["ipv4"]
            # nor if it writes that into the other's own annotation: soon it is given up
            site.annotate("ams-1", endpoint=false)
            within(AT_ONCE, lambda: tunnel.dump(laptop)[key].endpoint == false)
            within(30.0, lambda: probe.reaches(laptop, plan.AMS_1.ipv4.pod, within=1))
            assert tunnel.dump(laptop)[key].endpoint == plan.AMS_1.endpoints["ipv4"]
        assert caught() < 60  # the attempts, and what was sent in these seconds
    finally:
        hostile.run("iptables", "-F", "INPUT")


@pytest.fixture
def far(cluster: SmallCluster, api_server: ApiServer) -> Iterator[Site]:
    with far_site(cluster, api_server) as site:
        yield site


def test_the_way_to_the_api_server_stays_whatever_a_network_takes(far: Site) -> None:
    laptop, hostile = far.laptop, far.cluster["fra-1"]
    far.publish("ams-1", "ams-2", "fra-1")
    far.annotate(  # from the start: before the first route, its name is known to nobody
        "fra-1", allowed_location_ips=f"10.77.0.0/16,{API_ADDRESS}/32,{API_RESOLVER}/32"
    )
    counted = Counted(hostile)
    try:
        with far.joined("--resync-period", "2s") as connection:
            far.lead()
            words = {text: laptop.ip("route", "get", text) for text in
                     (API_ADDRESS, API_RESOLVER, "10.77.9.9")}  # fmt: skip
            assert "dev uplink" in words[API_ADDRESS]
            assert "dev uplink" in words[API_RESOLVER]
            assert "dev kilo0" in words["10.77.9.9"]  # it may have the rest
            reasons = " ".join(one["reason"] for one in connection.said("refused a claim"))
            assert "reaches the API server" in reasons
            assert "a DNS server of this host" in reasons
            far.uplink.cut()
            connection.until("cannot follow", 2)
            far.uplink.mend()  # and so it has to look up the name, and to connect again
            far.publish("home-1")
            within(40.0, lambda: len(tunnel.dump(laptop)) == 3)
            foreign, _ = counted.packets()
            assert foreign == 0
            assert connection.end() == 0, connection.describe()
        assert far.peers() == []  # it could be deleted
    finally:
        counted.end()


def test_an_address_and_a_key_stay_with_whom_the_laptop_speaks(site: Site) -> None:
    """The hostile node is the first by name: it is whom a fresh join would give them."""
    laptop, hostile = site.laptop, site.cluster["ams-1"]
    keys = {name: site.cluster.keys[name].public for name in ("ams-1", "fra-1", "home-1")}
    own = str(plan.FRA_1.ipv4.internal.ip)
    site.publish("ams-1", "ams-2", "fra-1")
    counted = Counted(hostile, "10.42.0.0/16")
    try:
        with site.joined() as connection:
            site.lead()
            assert probe.reaches(laptop, own)
            with Pinging(laptop, own) as pings:
                site.annotate("ams-1", internal_ip=f"{own}/24")
                told = connection.until("refused a claim")
                assert told["claimer"] == "node ams-1"
                time.sleep(1)
                assert [str(one) for one in tunnel.dump(laptop)[keys["ams-1"]].allowed_ips
                        if own in str(one)] == []  # fmt: skip
                site.annotate("ams-1", internal_ip="10.10.0.1/24", key=keys["fra-1"])
                within(AT_ONCE, lambda: keys["ams-1"] not in tunnel.dump(laptop))
                time.sleep(1)
            assert pings.losses.lost == 0, pings.losses
            assert set(tunnel.dump(laptop)) == {keys["fra-1"]}
            assert "refused: node ams-1 claims" in kgctl(laptop, "status").stderr
            foreign, _ = counted.packets()
            assert foreign == 0
    finally:
        counted.end()
