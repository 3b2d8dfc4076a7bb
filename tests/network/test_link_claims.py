"""``kgctl link`` with a hostile node in the other cluster: effects in packets.

West has an honest node and a hostile one, east three nodes in two locations. The nodes of east are
set up only from the Peers that link wrote there.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import yaml

from kgctl.state.load import load_cluster
from tests.network import laying, probe, tunnel, wiring
from tests.network.namespace import Lab
from tests.network.randomly import Plan, Site
from tests.network.site import PEERS, within
from tests.network.test_connect_claims import METADATA, Counted
from tests.network.test_link import ROLE, node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.apiserver.server import ApiServer

RESOLVER = "203.0.113.53"  # stands for a public one, such as 1.1.1.1
ENDPOINTS = {"w1": "198.18.101.2", "x1": "198.18.102.2", "e1": "198.18.103.2", "e2": "198.18.104.2",
             "f1": "198.18.105.2"}  # fmt: skip
PODS = {"w1": "10.42.1.2", "x1": "10.42.2.2", "e1": "10.142.1.2", "e2": "10.142.2.2",
        "f1": "10.142.3.2"}  # fmt: skip
LANS = {"w1": "192.168.1.2", "x1": "192.168.2.2", "e1": "192.168.3.2", "e2": "192.168.3.3",
        "f1": "192.168.4.2"}  # fmt: skip
SITES = {"west": ("w", "x"), "east": ("e", "f")}
PRIVATE = "10.80.0.0/16"  # nobody else has it: a node may claim it, once a person agrees
PEER = "link-west.x"

Way = tuple[str, str]


class Clusters:
    """The two clusters, their API servers, the namespaces of their nodes, and kgctl on both.

    A resolver and a metadata service are on the Internet, to which every node has a line.
    """

    def __init__(self, west: ApiServer, east: ApiServer, lab: Lab, directory: Path) -> None:
        self.west, self.east, self.lab = west, east, lab
        self._file, self._said = directory / "mesh.yaml", directory / "said"
        self._plans = {name: self._plan(name) for name in SITES}
        self._kubeconfigs = {}
        rules = yaml.safe_load(ROLE.read_text())["rules"]
        for name, server in (("west", west), ("east", east)):
            server.clear()
            server.apply(self._plans[name].objects())
            self._kubeconfigs[name] = server.user("linker", rules)
            laying.wire(lab, self._plans[name])
        wiring.assign(lab.namespaces["internet"], "lo", f"{RESOLVER}/32", f"{METADATA}/32")
        self._file.write_text(yaml.safe_dump({
            "apiVersion": "kgctl.dev/v1alpha1", "kind": "Mesh", "clusters": [
                {"name": name, "kubeconfig": str(path), "serviceCIDRs": [],
                 "share": {"locationIPs": True}}
                for name, path in self._kubeconfigs.items()
            ],
        }))  # fmt: skip

    def _plan(self, cluster: str) -> Plan:
        wireguard = {"west": "10.4.0.1/16", "east": "10.104.0.1/16"}[cluster]
        sites = []
        for location in SITES[cluster]:
            names = [name for name in PODS if name.startswith(location)]
            members = [node(one, PODS[one], LANS[one], ENDPOINTS[one], wireguard) for one in names]
            network = LANS[names[0]].rpartition(".")[0]
            sites.append(Site(f"site-{location}", network, None, members))
        return Plan("location", sites, [])

    def agents(self, cluster: str) -> None:
        """Have the nodes of a cluster do what their agents would, by what it holds now."""
        read = load_cluster(self._kubeconfigs[cluster])
        laying.set_up(self.lab, self._plans[cluster], read)

    def link(self, *options: str) -> list[str]:
        """Return the command line that links the two clusters."""
        return [sys.executable, "-m", "kgctl", "link", "-f", str(self._file), "--yes", *options]

    @contextlib.contextmanager
    def watching(self) -> Iterator[Callable[[], str]]:
        """Keep the links current; the value returns what was said so far on stderr."""
        with self._said.open("w") as file, subprocess.Popen(
            self.link("--watch"), stdout=subprocess.DEVNULL, stderr=file
        ) as process:  # fmt: skip
            try:
                yield self._said.read_text
                assert process.poll() is None, self._said.read_text()
            finally:
                process.terminate()

    def claim(self, **annotations: str) -> None:
        """Have the hostile node write its own annotations."""
        member = next(one for one in self._plans["west"].members if one.name == "x1")
        member.annotations |= {name.replace("_", "-"): annotations[name] for name in annotations}
        self.west.apply([member.object()])

    def held(self) -> set[str]:
        """Return the networks that lead to the hostile node's segment, by the Peer in east."""
        peer = self.east.request("GET", f"{PEERS}/{PEER}")
        return set(peer["spec"]["allowedIPs"])

    def unanswered(self, ways: list[Way]) -> list[Way]:
        """Return the ways, from a namespace to an address, on which no ping is answered."""
        return [
            (source, target)
            for source, target in ways
            if not probe.reaches(self.lab.namespaces[source], target, within=10)
        ]

    def routes(self, ways: list[Way]) -> dict[Way, str]:
        """Return how the kernel of the source sends a packet to the target, for each way."""
        return {
            (source, target): self.lab.namespaces[source].ip("route", "get", target)
            for source, target in ways
        }


@pytest.fixture
def clusters(
    api_server: ApiServer, other_api_server: ApiServer, tmp_path: Path
) -> Iterator[Clusters]:
    with Lab() as lab:
        yield Clusters(api_server, other_api_server, lab, tmp_path)
    api_server.clear()
    other_api_server.clear()


def test_link_watch_gives_a_hostile_node_nothing_of_what_the_other_cluster_reaches(
    clusters: Clusters,
) -> None:
    subprocess.run(clusters.link(), check=True, timeout=60, stdout=subprocess.DEVNULL)
    for name in SITES:
        clusters.agents(name)
    outside = [METADATA, RESOLVER, ENDPOINTS["w1"]]
    ways = [
        *((name, address) for name in ("e1", "e2", "f1") for address in outside),
        ("e2", ENDPOINTS["f1"]),
        ("f1", ENDPOINTS["e1"]),
        ("e1-pod", LANS["f1"]),
        *((f"{name}-pod", PODS[other]) for name in ("e1", "e2", "f1")
          for other in PODS if other != name),
    ]  # fmt: skip
    assert clusters.unanswered(ways) == []
    before = clusters.routes(ways)
    honest = {f"{PODS['x1'].removesuffix('2')}0/24", "10.4.0.2/32"}
    assert clusters.held() == honest | {f"{LANS['x1']}/32"}

    counted = Counted(clusters.lab.namespaces["x1"], f"{PODS['x1']}/32")
    internal = {
        METADATA: "a link-local address",
        RESOLVER: "public addresses",
        ENDPOINTS["e1"]: "the endpoint of node e1 of east",  # f1 would lose its tunnel, in a loop
        ENDPOINTS["w1"]: "the endpoint of node w1 of west",
        PODS["f1"]: "the pod subnet of node f1 of east",
        LANS["f1"]: "the internal IP of node f1 of east",
    }
    located = {
        "64.0.0.0/2": "most of the Internet",
        "128.0.0.0/2": "most of the Internet",
        "203.0.113.0/24": "most of the Internet",
        "169.254.0.0/16": "link-local",
        "10.142.3.0/25": "the pod subnet of node f1 of east",
        PRIVATE: "nobody confirmed",
    }
    with clusters.watching() as said:
        rounds = [({"internal_ip": f"{one}/32"}, {f"{one}/32": internal[one]}) for one in internal]
        rounds.append(({"allowed_location_ips": ",".join(located)}, located))
        for annotations, reasons in rounds:
            clusters.claim(**annotations)
            wait_for_refusals(said, reasons)
            within(20.0, lambda: clusters.held() == honest)
            clusters.agents("east")
            found = clusters.unanswered(ways), clusters.routes(ways), counted.packets()[0]
            assert found == ([], before, 0), annotations

    clusters.claim(internal_ip=f"{METADATA}/32",
                   allowed_location_ips=f"169.254.0.0/16,203.0.113.0/24,{PRIVATE}")  # fmt: skip
    subprocess.run(clusters.link(), check=True, timeout=60, capture_output=True)
    assert clusters.held() == honest | {PRIVATE}  # a person agreed
    clusters.agents("east")
    assert (clusters.unanswered(ways), clusters.routes(ways)) == ([], before)
    foreign, own = counted.packets()
    assert foreign == 0
    assert own > 0
    # what it was granted does arrive, so what else had been would have been counted
    probe.reaches(clusters.lab.namespaces["e1"], "10.80.0.1", within=1)
    assert counted.packets()[0] > 0
    assert f"{METADATA}/32" not in str(tunnel.dump(clusters.lab.namespaces["e1"]))


def wait_for_refusals(said: Callable[[], str], reasons: Mapping[str, str]) -> None:
    """Wait until each of the hostile node's networks was refused for the reason that is given."""
    deadline = time.monotonic() + 20
    while True:
        lines = [one for one in said().splitlines() if "node x1" in one]
        unsaid = [
            network
            for network, reason in reasons.items()
            if not any(network in one and reason in one for one in lines)
        ]
        if not unsaid:
            return
        assert time.monotonic() < deadline, f"{unsaid} not refused as expected:\n{said()}"
        time.sleep(0.05)
