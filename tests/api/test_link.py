"""``kgctl link`` between two real API servers, with the rights that docs/ grants."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kgctl import link
from tests.support.faults import FaultyProxy, Request
from tests.support.reporting import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apiserver.server import ApiServer

ROLE = Path(__file__).parents[2] / "docs" / "rbac-link.yaml"
PEERS = "/apis/kilo.squat.ai/v1alpha1/peers"
KILO = "kilo.squat.ai/"


def node(name: str, cluster: int, number: int, location: str, **annotations: str) -> dict[str, Any]:
    own = {
        "key": base64.b64encode(hashlib.sha256(f"{cluster} {name}".encode()).digest()).decode(),
        "endpoint": f"203.0.113.{10 * cluster + number}:51820",
        "internal-ip": f"172.{16 + cluster}.0.{number}/24",
        "wireguard-ip": f"10.{100 + cluster}.0.1/16",
        "location": location,
        "granularity": "location",
        "last-seen": "4102444800",
    } | {key.replace("_", "-"): value for key, value in annotations.items()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": {KILO + key: own[key] for key in own}},
        "spec": {"podCIDR": f"10.{cluster}.{number}.0/24"},
    }


WEST = [node("w1", 1, 1, "eu"), node("w2", 1, 2, "eu"), node("w3", 1, 3, "us")]
EAST = [node("e1", 2, 1, "asia")]
OTHERS_PEER = {
    "apiVersion": "kilo.squat.ai/v1alpha1",
    "kind": "Peer",
    "metadata": {"name": "laptop"},
    "spec": {
        "allowedIPs": ["10.5.0.1/32"],
        "publicKey": base64.b64encode(bytes(range(32))).decode(),
    },
}


NO_SERVICES = ("--service-cidr", "west=none", "--service-cidr", "east=none")


class Pair:
    """Two clusters, west of three nodes and east of one, and kgctl on both of them."""

    def __init__(self, west: ApiServer, east: ApiServer) -> None:
        self.west, self.east = west, east
        rules = yaml.safe_load(ROLE.read_text())["rules"]
        self.west_config = west.user("linker", rules)
        self.east_config = east.user("linker", rules)
        self.reset()

    def reset(self) -> None:
        for server, nodes in ((self.west, WEST), (self.east, EAST)):
            server.clear()
            server.apply([*nodes, OTHERS_PEER] if server is self.east else nodes)
            while len(server.request("GET", "/api/v1/nodes?resourceVersion=0")["items"]) != len(
                nodes
            ):
                time.sleep(0.05)

    def command(self, name: str, *options: str, east: Path | None = None) -> list[str]:
        clusters = [f"west={self.west_config}", f"east={east or self.east_config}"]
        if name == "link" and "--service-cidr" not in options:
            options = (*options, *NO_SERVICES)
        return [sys.executable, "-m", "kgctl", name, *clusters, *options]

    def run(
        self, name: str, *options: str, east: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(name, *options, east=east),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )

    @contextlib.contextmanager
    def watching(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """Keep the links current, for a while."""
        with subprocess.Popen(
            self.command("link", "--watch", *options), stdout=subprocess.DEVNULL, text=True
        ) as process:
            try:
                yield process
            finally:
                process.terminate()

    def specs(self) -> dict[str, dict[str, Any]]:
        """Return the spec of every peer, by cluster and name."""
        return {
            f"{cluster}/{peer['metadata']['name']}": peer["spec"]
            for cluster, server in (("west", self.west), ("east", self.east))
            for peer in server.request("GET", PEERS)["items"]
        }


@pytest.fixture
def pair(api_server: ApiServer, other_api_server: ApiServer) -> Iterator[Pair]:
    yield Pair(api_server, other_api_server)
    api_server.clear()
    other_api_server.clear()


def test_python_links_and_unlinks_without_a_command_line(pair: Pair) -> None:
    configs = {"west": pair.west_config, "east": pair.east_config}
    clusters = [link.ClusterRef.of_context(name, kubeconfig=path) for name, path in configs.items()]
    spec = link.LinkSpec(clusters, service_cidrs={"west": (), "east": ()})
    reporter = Recorder()
    link.apply_plan(link.plan_links(spec, reporter))
    assert set(pair.specs()) == {
        "west/link-east.asia", "east/laptop", "east/link-west.eu", "east/link-west.us",
    }  # fmt: skip
    assert link.plan_links(spec, reporter).is_empty
    link.apply_plan(link.plan_unlink(spec, reporter))
    assert set(pair.specs()) == {"east/laptop"}
    (warning,) = reporter.warned  # this user may not look for mirrored services
    assert warning.startswith("not allowed to list the services of west, east")
    assert reporter.shown == []
    for one in clusters:
        one.close()


def test_each_segment_becomes_a_peer_of_the_other_cluster(pair: Pair) -> None:
    networks = ("--service-cidr", "east=10.43.0.0/16", "--service-cidr", "west=none")
    run = pair.run("link", "--yes", *networks)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == (
        "west:\n"
        "  + peer link-east.asia\n"
        "      allowedIPs: 10.2.1.0/24, 172.18.0.1/32, 10.102.0.1/32, 10.43.0.0/16\n"
        "      endpoint: 203.0.113.21:51820\n"
        "east:\n"
        "  + peer link-west.eu\n"
        "      allowedIPs: 10.1.1.0/24, 172.17.0.1/32, 10.1.2.0/24, 172.17.0.2/32, 10.101.0.1/32\n"
        "      endpoint: 203.0.113.11:51820\n"
        "  + peer link-west.us\n"
        "      allowedIPs: 10.1.3.0/24, 172.17.0.3/32, 10.101.0.2/32\n"
        "      endpoint: 203.0.113.13:51820\n"
        "3 to add, 0 to change, 0 to remove\ndone: 3 added, 0 changed, 0 removed\n"
    )
    specs = pair.specs()
    assert set(specs) == {
        "west/link-east.asia",
        "east/link-west.eu",
        "east/link-west.us",
        "east/laptop",
    }
    assert specs["east/link-west.eu"]["allowedIPs"] == [
        "10.1.1.0/24", "172.17.0.1/32", "10.1.2.0/24", "172.17.0.2/32", "10.101.0.1/32",
    ]  # fmt: skip
    assert specs["east/link-west.eu"]["endpoint"] == {
        "dnsOrIP": {"ip": "203.0.113.11"}, "port": 51820,
    }  # fmt: skip
    assert "10.43.0.0/16" in specs["west/link-east.asia"]["allowedIPs"]
    again = pair.run("link", "--yes", *networks)
    assert (again.returncode, again.stdout) == (0, "nothing to do\n")


def test_nothing_is_written_unasked_nor_where_a_check_fails(pair: Pair) -> None:
    before = pair.specs()
    dry = pair.run("link", "--dry-run")
    assert dry.returncode == 0
    assert "(dry run)" in dry.stdout
    unasked = pair.run("link")
    assert unasked.returncode == 1
    assert "--yes" in unasked.stderr
    overlapping = pair.run("link", "--yes", "--service-cidr", "east=10.1.0.0/16")
    assert overlapping.returncode == 1
    assert "lies in 10.1.0.0/16, the service network of east" in overlapping.stderr
    assert "--allow overlap" in overlapping.stderr
    assert pair.specs() == before
    allowed = pair.run("link", "--yes", "--service-cidr", "east=10.1.0.0/16", "--allow", "overlap")
    assert allowed.returncode == 0


KUBEADM = "/api/v1/namespaces/kube-system/configmaps"


def skip_if_services_are_told(server: ApiServer) -> None:
    """Skip a test of kubeadm's ConfigMap, which is read where there are no ServiceCIDRs."""
    if server.tells_services:
        pytest.skip("this Kubernetes has ServiceCIDR objects, so kubeadm's ConfigMap is not read")


@contextlib.contextmanager
def kubeadm(server: ApiServer, services: str) -> Iterator[None]:
    """Have a cluster tell its service network as one does that kubeadm made."""
    written = {"kind": "ClusterConfiguration", "networking": {"serviceSubnet": services}}
    server.request("POST", KUBEADM, {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kubeadm-config"},
        "data": {"ClusterConfiguration": yaml.safe_dump(written)},
    })  # fmt: skip
    try:
        yield
    finally:
        server.request("DELETE", f"{KUBEADM}/kubeadm-config")


def test_a_service_network_that_a_cluster_tells_is_linked(pair: Pair) -> None:
    """By ServiceCIDR objects, which API servers have since Kubernetes 1.29, or by kubeadm."""
    objects = pair.east.tells_services
    with contextlib.nullcontext() if objects else kubeadm(pair.east, "10.43.0.0/16"):
        told = pair.run("link", "--yes", "--service-cidr", "west=none")
    assert told.returncode == 0
    source = "its ServiceCIDR objects" if objects else "kubeadm's ConfigMap"
    assert told.stderr == f"east: service network 10.43.0.0/16, from {source}\n"
    assert "10.43.0.0/16" in pair.specs()["west/link-east.asia"]["allowedIPs"]
    if objects:
        return  # it cannot be taken away: kube-apiserver makes the object again
    untold = pair.run("link", "--yes", "--service-cidr", "west=none")
    assert untold.stderr == (
        "east does not publish its service network: the other clusters reach pods there, but no "
        "services; give --service-cidr east=CIDR, or =none\n"
    )
    assert "  ~ peer link-east.asia (allowedIPs)\n" in untold.stdout


def test_two_clusters_that_tell_the_same_service_network_are_linked_without(pair: Pair) -> None:
    clusters = [f"west={pair.west_config}", f"east={pair.east_config}"]
    with kubeadm(pair.west, "10.43.0.0/16"), kubeadm(pair.east, "10.43.0.0/16"):
        run = subprocess.run(
            [sys.executable, "-m", "kgctl", "link", *clusters, "--yes"],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
    assert "overlaps 10.43.0.0/16, the service network of east: it is not linked" in run.stderr
    assert "10.43.0.0/16" not in str(pair.specs())


def test_a_leader_that_moves_keeps_the_name_of_its_link(pair: Pair) -> None:
    assert pair.run("link", "--yes").returncode == 0
    before = pair.specs()
    pair.west.apply([node("w2", 1, 2, "eu", leader="true")])
    time.sleep(1)
    run = pair.run("link", "--yes")
    assert "  ~ peer link-west.eu (publicKey, endpoint)\n      publicKey: " in run.stdout
    assert "      endpoint: 203.0.113.11:51820 -> 203.0.113.12:51820\n" in run.stdout
    after = pair.specs()
    assert set(after) == set(before)
    assert after["east/link-west.eu"]["endpoint"]["dnsOrIP"] == {"ip": "203.0.113.12"}


def test_what_is_gone_goes_when_told_and_nothing_else_ever(pair: Pair) -> None:
    assert pair.run("link", "--yes").returncode == 0
    pair.west.request("DELETE", "/api/v1/nodes/w3")
    time.sleep(1)
    kept = pair.run("link", "--yes")
    assert "  ? peer link-west.us is stale; --prune removes it\n" in kept.stdout
    assert "east/link-west.us" in pair.specs()
    pruned = pair.run("link", "--yes", "--prune")
    assert "  - peer link-west.us\n" in pruned.stdout
    assert pruned.stderr == ""
    assert set(pair.specs()) == {"west/link-east.asia", "east/link-west.eu", "east/laptop"}
    unlinked = pair.run("unlink", "--yes")
    assert unlinked.returncode == 0
    stay = "not allowed to list the services of west, east: any mirrors there stay"
    assert unlinked.stderr.startswith(stay)
    assert set(pair.specs()) == {"east/laptop"}
    assert pair.run("unlink", "--yes").stdout == "nothing to do\n"


def test_a_peer_of_somebody_else_is_never_taken_over(pair: Pair) -> None:
    theirs = {**OTHERS_PEER, "metadata": {"name": "link-west.eu"}}
    pair.east.apply([theirs])
    before = pair.specs()
    run = pair.run("link", "--yes")
    assert run.returncode == 1
    assert "link-west.eu exists, but kgctl link did not make it" in run.stderr
    assert pair.specs() == before


def test_after_a_failure_at_any_write_the_next_run_does_the_rest(pair: Pair) -> None:
    assert pair.run("link", "--yes").returncode == 0
    linked = pair.specs()
    user = pair.east.users.with_certificate("linker")
    with FaultyProxy(pair.east.url, pair.east.ca) as proxy:
        token = pair.east.users.with_token("admin")
        through = pair.east.write_kubeconfig("faulty", token, url=proxy.url)
        assert user != token
        for write in range(2):
            for fault in (Request.hang_up, done_and_unsaid):
                pair.reset()
                proxy.faults[:] = []
                proxy.faults += [Request.pass_on] * (2 + write) + [fault]
                failed = pair.run("link", "--yes", east=through)
                assert failed.returncode == 1, failed.stdout
                assert f"{1 + write} of 3 steps were done" in failed.stderr
                proxy.faults.clear()
                assert pair.specs() != linked or fault is done_and_unsaid
                assert pair.run("link", "--yes", east=through).returncode == 0
                assert pair.specs() == linked


def done_and_unsaid(request: Request) -> None:
    """Have the API server do it, and lose the answer."""
    wfile, request.wfile = request.wfile, Nowhere()  # type: ignore[assignment]
    request.pass_on()
    request.wfile = wfile
    request.hang_up()


class Nowhere:
    def write(self, data: bytes) -> int:
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


def test_watching_follows_a_leader_that_moves(pair: Pair) -> None:
    with pair.watching("--yes"):
        wait_for(lambda: "east/link-west.eu" in pair.specs())
        pair.west.apply([node("w2", 1, 2, "eu", leader="true")])
        key = node("w2", 1, 2, "eu")["metadata"]["annotations"][KILO + "key"]
        wait_for(lambda: pair.specs()["east/link-west.eu"]["publicKey"] == key)


def test_watching_leaves_a_leader_that_falls_silent(pair: Pair) -> None:
    """Its heartbeat gets old by itself, 60 seconds after the last; the other node's goes on."""
    silent = int(time.time()) - 45
    pair.west.apply([node("w1", 1, 1, "eu", last_seen=str(silent))])
    first, second = (
        node(name, 1, number, "eu")["metadata"]["annotations"][KILO + "key"]
        for name, number in (("w1", 1), ("w2", 2))
    )

    def is_linked(key: str) -> bool:
        pair.west.apply([node("w2", 1, 2, "eu", last_seen=str(int(time.time())))])
        return bool(pair.specs().get("east/link-west.eu", {}).get("publicKey") == key)

    with pair.watching("--yes"):
        wait_for(lambda: is_linked(first))
        wait_for(lambda: is_linked(second))
        print(f"followed {time.time() - silent - 60:.1f} s after the heartbeat was stale")


def wait_for(condition: Any, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
