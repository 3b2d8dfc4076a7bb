"""Three clusters, a hub and two spokes behind NAT: packets between all pods."""

from __future__ import annotations

import subprocess
import sys
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kgctl.state.load import load_cluster
from tests.network import agent, laying, tunnel
from tests.network.namespace import Lab
from tests.network.randomly import Plan, Site
from tests.network.test_link import ROLE, SERVICE, SERVICES, WEB, node

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.apiserver.server import ApiServer

KEEPER = Path(ROLE).with_name("rbac-link-secrets.yaml")
SECRETS = "/api/v1/namespaces/kube-system/secrets"
PODS = {"h1": "10.42.1.2", "h2": "10.42.2.2", "a1": "10.142.1.2", "b1": "10.152.1.2"}
NAMES = ("eu", "us", "edge")


class Mesh:
    """The hub eu: two nodes on a public network, one leads. us and edge: a node behind NAT each."""

    def __init__(self, servers: Mapping[str, ApiServer], lab: Lab, file: Path) -> None:
        self.servers, self.lab, self.file = servers, lab, file
        h1 = node("h1", PODS["h1"], "192.168.1.2", "198.18.101.2", "10.4.0.1/16")
        h2 = node("h2", PODS["h2"], "192.168.1.3", "198.18.102.2", "10.4.0.1/16")
        a1 = node("a1", PODS["a1"], "192.168.2.2", None, "10.104.0.1/16")
        b1 = node("b1", PODS["b1"], "192.168.3.2", None, "10.105.0.1/16")
        self.plans = {
            "eu": Plan("location", [Site("hub", "192.168.1", None, [h1, h2])], []),
            "us": Plan("location", [Site("first", "192.168.2", "198.18.2.2", [a1])], []),
            "edge": Plan("location", [Site("second", "192.168.3", "198.18.3.2", [b1])], []),
        }
        rules = yaml.safe_load(KEEPER.read_text())["rules"]
        rules += yaml.safe_load(ROLE.read_text())["rules"]
        self.kubeconfigs = {}
        for name, server in servers.items():
            self.kubeconfigs[name] = server.user("mesh-linker", rules)
            server.clear()
            server.apply(self.plans[name].objects())
            laying.wire(lab, self.plans[name])
        clusters: list[dict[str, Any]] = [
            {"name": name, "kubeconfig": str(self.kubeconfigs[name])} for name in NAMES
        ]
        clusters[2]["serviceCIDRs"] = [SERVICES]
        with_service = lab.namespaces["b1"]
        with_service.ip("address", "add", f"{SERVICE}/32", "dev", "lo")
        lab.start(with_service, sys.executable, str(WEB))
        file.write_text(yaml.safe_dump({
            "apiVersion": "kgctl.dev/v1alpha1", "kind": "Mesh", "clusters": clusters,
            "topology": {"hubs": ["eu"]}, "presharedKeys": "generate",
        }))  # fmt: skip

    def kgctl(self, command: str, *options: str) -> None:
        argv = [sys.executable, "-m", "kgctl", command, "-f", str(self.file), "--yes", *options]
        subprocess.run(argv, check=True, timeout=60, stdout=subprocess.DEVNULL)

    def agents(self, *names: str) -> None:
        """Have every node of these clusters do what its agent would, by what these hold now."""
        for name in names or NAMES:
            cluster = load_cluster(self.kubeconfigs[name])
            laying.set_up(self.lab, self.plans[name], cluster)

    def answered(self, source: str, target: str, seconds: int = 15) -> bool:
        argv = ("ping", "-n", "-c", "1", "-w", str(seconds), "-i", "0.5", PODS[target])
        pod = self.lab.namespaces[f"{source}-pod"]
        return pod.run(*argv, timeout=seconds + 20, check=False).returncode == 0


@pytest.fixture
def mesh(
    api_server: ApiServer,
    other_api_server: ApiServer,
    third_api_server: ApiServer,
    tmp_path: Path,
) -> Iterator[Mesh]:
    servers = dict(zip(NAMES, (api_server, other_api_server, third_api_server), strict=True))
    with Lab() as lab:
        made = Mesh(servers, lab, tmp_path / "mesh.yaml")
        yield made
        made.kgctl("unlink")
    for server in servers.values():
        assert not server.request("GET", SECRETS)["items"]
        server.clear()


@pytest.mark.network
@pytest.mark.needs("root", "curl", "ip", "iptables", "nft", "wg", "wireguard-go")
def test_spokes_reach_each_other_through_the_hub_with_preshared_keys(mesh: Mesh) -> None:
    mesh.agents()
    assert not mesh.answered("a1", "b1", seconds=1)  # not linked yet
    mesh.kgctl("link")
    mesh.agents()
    hub = mesh.lab.namespaces["h1"]
    agent.hide_strangers(hub, load_cluster(mesh.kubeconfigs["eu"]).topology(hostname="h1"))
    ways = list(permutations(PODS, 2))
    assert [way for way in ways if not mesh.answered(*way)] == []
    keys = {peer.preshared_key for peer in tunnel.dump(hub).values()}
    assert len(keys) == 2
    assert None not in keys
    assert counted(mesh, "a1", "b1")
    pod = mesh.lab.namespaces["a1-pod"]
    page = pod.run("curl", "--silent", "--max-time", "10", f"http://{SERVICE}/").stdout
    assert page == PODS["a1"]

    hub.run("iptables", "-P", "FORWARD", "DROP")  # as Docker sets it up
    for name in ("h1", "h2"):  # of what passes through, Kilo's own rules let in and out
        for side in ("-s", "-d"):
            hub.run("iptables", "-A", "FORWARD", side, f"{PODS[name]}/24", "-j", "ACCEPT")
    assert mesh.answered("a1", "h2")
    assert not mesh.answered("a1", "b1", seconds=1)
    hub.run("iptables", "-I", "FORWARD", "-i", "kilo0", "-o", "kilo0", "-j", "ACCEPT")
    assert mesh.answered("a1", "b1")

    mesh.kgctl("link", "--rotate-preshared-keys")
    tunnel.remove(mesh.lab.namespaces["a1"])
    mesh.agents("us")
    assert not mesh.answered("a1", "b1", seconds=2)  # the hub has the old key still
    mesh.agents("eu", "edge")
    assert mesh.answered("a1", "b1")
    assert not keys & {peer.preshared_key for peer in tunnel.dump(hub).values()}


def counted(mesh: Mesh, source: str, target: str) -> bool:
    """Tell whether a ping arrives at the other's node from the address that it was sent from."""
    namespace = mesh.lab.namespaces[target]
    namespace.run(
        "nft",
        "-f",
        "-",
        stdin=f"""
table ip seen {{
    chain pre {{
        type filter hook prerouting priority 0
        ip protocol icmp ip saddr {PODS[source]} counter
    }}
}}
""",
    )
    assert mesh.answered(source, target)
    return "packets 0 " not in namespace.run("nft", "list", "table", "ip", "seen").stdout
