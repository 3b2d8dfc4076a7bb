"""Two clusters linked by ``kgctl link``: packets from the pods of each to the other's.

Each has its state in its own API server; nodes act on it as Kilo's agent does.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kgctl.state.load import load_cluster
from tests.api.test_link_mirror import SERVICES as SERVICES_OF_SHOP
from tests.api.test_link_mirror import clear_services
from tests.api.test_link_mirror import service as shop_service
from tests.api.test_link_mirror import slice_of as shop_slice
from tests.api.test_link_mirror import slices as slices_of_shop
from tests.network import laying, tunnel
from tests.network.namespace import Lab
from tests.network.plan import KEEPALIVE, PORT
from tests.network.randomly import Member, Plan, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.apiserver.server import ApiServer

DOCS = Path(__file__).parents[2] / "docs"
ROLE = DOCS / "rbac-link.yaml"
ROLES = (ROLE, DOCS / "rbac-link-services.yaml")
WEB = Path(__file__).with_name("web.py")
SERVICE = "10.144.0.10"
SERVICES = "10.144.0.0/16"
PATIENCE = 60.0
STALE = 100  # seconds


def node(name: str, pod: str, lan: str, public: str | None, wireguard: str) -> Member:
    annotations = {
        "endpoint": f"{public or lan}:{PORT}",
        "internal-ip": f"{lan}/24",
        "location": name[:-1],
        "granularity": "location",
        "wireguard-ip": wireguard,
    }
    if public is None:
        annotations["persistent-keepalive"] = str(KEEPALIVE)
    subnet = f"{pod.rpartition('.')[0]}.0/24"
    keys = tunnel.KeyPair.generate()
    return Member(name, keys, pod, public, lan, annotations, {"podCIDR": subnet})


class Clusters:
    """West: two nodes on a public network. East: one node behind NAT, with a service."""

    def __init__(self, west: ApiServer, east: ApiServer, lab: Lab) -> None:
        self.west, self.east, self.lab = west, east, lab
        ours = "10.104.0.1/16"
        first = node("w1", "10.42.1.2", "192.168.1.2", "198.18.101.2", "10.4.0.1/16")
        second = node("w2", "10.42.2.2", "192.168.1.3", "198.18.102.2", "10.4.0.1/16")
        other = node("e1", "10.142.1.2", "192.168.2.2", None, ours)
        self.plans = {
            "west": Plan("location", [Site("west", "192.168.1", None, [first, second])], []),
            "east": Plan("location", [Site("east", "192.168.2", "198.18.2.2", [other])], []),
        }
        rules = [rule for page in ROLES for rule in yaml.safe_load(page.read_text())["rules"]]
        self.kubeconfigs = {"west": west.user("linker", rules), "east": east.user("linker", rules)}
        for name, server in (("west", west), ("east", east)):
            server.clear()
            server.apply(self.plans[name].objects())
            laying.wire(lab, self.plans[name])
        lab.start(lab.namespaces["e1-pod"], sys.executable, str(WEB))
        with_service = lab.namespaces["e1"]
        with_service.ip("address", "add", f"{SERVICE}/32", "dev", "lo")
        lab.start(with_service, sys.executable, str(WEB))

    def open_shop(self) -> None:
        """Have a service in east with one pod behind it, and its namespace in west."""
        for server in (self.west, self.east):
            clear_services(server)
        self.east.request("POST", SERVICES_OF_SHOP, shop_service())
        behind = shop_slice(self.east, "web-x1", "10.142.1.2", port=80)
        self.east.request("POST", slices_of_shop(self.east), behind)

    def proxied(self, node: str) -> str:
        """Have a node of west do what kube-proxy would; return the service's address there."""
        service = self.west.request("GET", f"{SERVICES_OF_SHOP}/web")
        (only,) = self.west.request("GET", slices_of_shop(self.west))["items"]
        assert only["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
        (endpoint,), (port,) = only["endpoints"], only["ports"]
        cluster_ip, to = service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]
        target = f"{endpoint['addresses'][0]}:{port['port']}"
        rule = f"ip daddr {cluster_ip} tcp dport {to} dnat to {target};"
        chain = f"chain services {{ type nat hook prerouting priority dstnat; {rule} }}"
        rules = f"table ip proxy {{ {chain}; }}\n"
        self.lab.namespaces[node].run("nft", "-f", "-", stdin=rules)
        return f"{cluster_ip}:{to}"

    def link(self, *options: str) -> list[str]:
        clusters = [f"{name}={path}" for name, path in self.kubeconfigs.items()]
        networks = ["--service-cidr", f"east={SERVICES}", "--service-cidr", "west=none"]
        return [sys.executable, "-m", "kgctl", "link", *clusters, "--yes", *networks, *options]

    def agents(self) -> None:
        """Have every node do what its agent would, by what its cluster holds now."""
        for name, plan in self.plans.items():
            laying.set_up(self.lab, plan, load_cluster(self.kubeconfigs[name]))

    def answered(self, source: str, target: str, seconds: int = 15) -> bool:
        argv = ("ping", "-n", "-c", "1", "-w", str(seconds), "-i", "0.5", target)
        pod = self.lab.namespaces[f"{source}-pod"]
        return pod.run(*argv, timeout=seconds + 20, check=False).returncode == 0

    def fails(self, name: str) -> None:
        """Let a node of west be gone, and its heartbeat old."""
        site = self.plans["west"].sites[0]
        member = next(one for one in site.members if one.name == name)
        site.members.remove(member)
        tunnel.remove(self.lab.namespaces[name])
        silent = member.object()
        annotations: dict[str, Any] = silent["metadata"]["annotations"]
        annotations["kilo.squat.ai/last-seen"] = str(int(time.time()) - STALE)
        self.west.apply([silent])


@pytest.fixture
def clusters(api_server: ApiServer, other_api_server: ApiServer) -> Iterator[Clusters]:
    with Lab() as lab:
        yield Clusters(api_server, other_api_server, lab)


@pytest.mark.network
@pytest.mark.needs("root", "curl", "ip", "nft", "wg", "wireguard-go")
def test_pods_and_services_reach_one_another_and_a_failing_leader_is_followed(
    clusters: Clusters, record_property: Callable[[str, object], None]
) -> None:
    clusters.agents()
    assert not clusters.answered("e1", "10.42.1.2", seconds=2)  # not linked yet
    clusters.open_shop()
    command = clusters.link("--mirror", "shop/web")
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
    clusters.agents()
    ways = [("e1", "10.42.1.2"), ("e1", "10.42.2.2"), ("w1", "10.142.1.2"), ("w2", "10.142.1.2"),
            ("e1", "10.4.0.1"), ("w2", "10.104.0.1")]  # fmt: skip
    assert [way for way in ways if not clusters.answered(*way)] == []
    pod = clusters.lab.namespaces["w2-pod"]
    page = pod.run("curl", "--silent", "--max-time", "10", f"http://{SERVICE}/").stdout
    assert page == "10.42.2.2"  # asked across both clusters, and hidden behind nobody
    mirrored = clusters.proxied("w2")  # the same name, and an address of west's own
    page = pod.run("curl", "--silent", "--max-time", "10", f"http://{mirrored}/").stdout
    assert page == "10.42.2.2"

    command = clusters.link("--watch")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        try:
            outage = follow(clusters, watching)
        finally:
            watching.terminate()
    record_property("outage_seconds", round(outage, 1))
    print(f"a leader failed: {outage:.1f} s until it was followed")
    assert clusters.answered("w2", "10.142.1.2")


def follow(clusters: Clusters, watching: subprocess.Popen[str]) -> float:
    """Let the leader of west fail; return the seconds until pods reach one another again."""
    assert watching.stdout is not None
    gone = time.monotonic()
    clusters.fails("w1")
    said = [watching.stdout.readline() for _ in range(2)]
    assert said == ["east:\n", "  ~ peer link-west.w (publicKey, endpoint, allowedIPs)\n"]
    clusters.agents()
    while not clusters.answered("e1", "10.42.2.2", seconds=1):
        assert time.monotonic() - gone < PATIENCE
        clusters.agents()
    return time.monotonic() - gone
