"""Effects of one hostile node on a linked cluster, with ``kgctl link --watch`` unattended."""

from __future__ import annotations

import contextlib
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.test_link import (
    KILO,
    PEERS,
    Pair,
    kubeadm,
    node,
    skip_if_services_are_told,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.apiserver.server import ApiServer

HOSTILE = "w3"
PEER = "east/link-west.us"
HONEST = ["10.1.3.0/24", "172.17.0.3/32", "10.101.0.2/32"]
KEEPS = ["10.1.3.0/24", "10.101.0.2/32"]


@pytest.fixture
def pair(api_server: ApiServer, other_api_server: ApiServer) -> Iterator[Pair]:
    yield Pair(api_server, other_api_server)
    api_server.clear()
    other_api_server.clear()


@contextlib.contextmanager
def watching(pair: Pair, said: Path, *options: str) -> Iterator[Callable[[], str]]:
    """Keep the links current; the value returns what was said so far."""
    with said.open("w") as file, subprocess.Popen(
        pair.command("link", "--watch", "--yes", *options),
        stdout=subprocess.DEVNULL, stderr=file, text=True,
    ) as process:  # fmt: skip
        try:
            yield said.read_text
        finally:
            process.terminate()


def claim(pair: Pair, **annotations: str) -> None:
    """Have the hostile node write its own annotations."""
    pair.west.apply([node(HOSTILE, 1, 3, "us", **annotations)])


def is_said(said: Callable[[], str], network: str, reason: str) -> bool:
    """Tell whether a line about a network of west gives the reason."""
    lines = [one for one in said().splitlines() if one.startswith("west: ")]
    return any(network in one and reason in one for one in lines)


def networks(pair: Pair) -> list[str]:
    found: list[str] = pair.specs()[PEER]["allowedIPs"]
    return found


def generation(pair: Pair) -> int:
    """Return how often the spec of the hostile node's Peer was written."""
    stored = pair.east.request("GET", f"{PEERS}/{PEER.partition('/')[2]}")
    number: int = stored["metadata"]["generation"]
    return number


def test_nothing_that_a_hostile_node_claims_reaches_the_other_cluster(
    pair: Pair, tmp_path: Path
) -> None:
    assert pair.run("link", "--yes").returncode == 0
    assert networks(pair) == HONEST
    with watching(pair, tmp_path / "said") as said:
        for claimed, reason in (
            ("203.0.113.21", "the endpoint of node e1 of east"),  # a routing loop
            ("169.254.169.254", "it holds a link-local address"),
            ("1.1.1.1", "that holds public addresses"),
            ("172.18.0.1", "it overlaps the internal IP of node e1 of east"),
            ("10.2.1.7", "it overlaps the pod subnet of node e1 of east"),
            ("172.17.0.1", "nobody confirmed them: 172.17.0.1/32 of node w3"),
            ("10.66.0.1", "nobody confirmed them: 10.66.0.1/32 of node w3"),
        ):
            claim(pair, internal_ip=f"{claimed}/32")
            wait_for(partial(is_said, said, f"{claimed}/32", reason))
            wait_for(lambda: networks(pair) == KEEPS)
        claim(pair)  # what was there before needs nobody
        wait_for(lambda: networks(pair) == HONEST)
        time.sleep(1)
        assert said().count("1.1.1.1/32") == 2  # the claim, and how it would be accepted
    claim(pair, internal_ip="10.66.0.1/32")
    time.sleep(1)
    confirmed = pair.run("link", "--yes")
    assert "allowedIPs: -172.17.0.3/32, +10.66.0.1/32\n" in confirmed.stdout
    with watching(pair, tmp_path / "said") as said:
        pair.west.apply([node("w2", 1, 2, "eu", leader="true")])
        wait_for(lambda: pair.specs()["east/link-west.eu"]["endpoint"]["dnsOrIP"] == {
            "ip": "203.0.113.12",
        })  # fmt: skip
        assert "10.66.0.1/32" in networks(pair)
        assert said() == ""


def test_what_a_peer_holds_already_is_narrowed_also_where_its_segment_is_gone(
    pair: Pair, tmp_path: Path
) -> None:
    assert pair.run("link", "--yes").returncode == 0
    more = ["1.1.1.1/32", "169.254.169.254/32", "203.0.113.21/32"]
    for name in ("link-west.us", "link-west.eu"):
        stored = pair.east.request("GET", f"{PEERS}/{name}")
        stored["spec"]["allowedIPs"] += more
        pair.east.request("PUT", f"{PEERS}/{name}", stored)
    pair.west.request("DELETE", "/api/v1/nodes/w3")
    with watching(pair, tmp_path / "said") as said:
        wait_for(lambda: networks(pair) == HONEST)
        wait_for(lambda: not set(more) & set(pair.specs()["east/link-west.eu"]["allowedIPs"]))
        assert said().count("link-west.us of east holds networks that nobody is granted") == 1
    again = pair.run("link", "--yes")
    assert "nothing to do" in again.stdout or "is stale" in again.stdout
    assert networks(pair) == HONEST


def test_an_endpoint_that_nobody_can_dial_is_not_copied(pair: Pair, tmp_path: Path) -> None:
    claim(pair, endpoint="10.1.9.9:51820")
    assert pair.run("link", "--yes", "--allow", "endpoints").returncode == 0
    assert pair.specs()[PEER]["endpoint"]["dnsOrIP"] == {"ip": "10.1.9.9"}
    with watching(pair, tmp_path / "said", "--allow", "endpoints") as said:
        claim(pair, endpoint="127.0.0.1:22")
        wait_for(lambda: "endpoint" not in pair.specs()[PEER])
        assert pair.specs()[PEER]["persistentKeepalive"] == 25
        claim(pair)  # and one that can be dialled is back
        wait_for(lambda: "endpoint" in pair.specs()[PEER])
        wait_for(lambda: "persistentKeepalive" not in pair.specs()[PEER])
        assert said() == ""
    assert networks(pair) == HONEST


def test_one_bad_segment_is_left_out_and_the_others_are_followed(
    pair: Pair, tmp_path: Path
) -> None:
    assert pair.run("link", "--yes").returncode == 0
    before = pair.specs()[PEER]
    stolen = node("e1", 2, 1, "asia")["metadata"]["annotations"][KILO + "key"]
    with watching(pair, tmp_path / "said", "--prune") as said:
        claim(pair, key=stolen)
        wait_for(lambda: "left out: location:us of west" in said())
        pair.west.apply([node("w2", 1, 2, "eu", leader="true")])
        wait_for(lambda: pair.specs()["east/link-west.eu"]["endpoint"]["dnsOrIP"] == {
            "ip": "203.0.113.12",
        })  # fmt: skip
        claim(pair, granularity="full")
        wait_for(lambda: "its nodes disagree about the granularity" in said())
        pair.east.apply([node("e1", 2, 1, "asia", endpoint="203.0.113.99:51820")])
        asia = "west/link-east.asia"
        wait_for(lambda: pair.specs()[asia]["endpoint"]["dnsOrIP"] == {"ip": "203.0.113.99"})
    assert pair.specs()[PEER] == before
    refused = pair.run("link", "--yes")  # a person is told, and nothing is written
    assert refused.returncode == 1
    assert "nothing was changed" in refused.stderr


def test_the_key_of_a_machine_outside_leaves_one_segment_out(pair: Pair, tmp_path: Path) -> None:
    """That machine's Peer then looks like a link that was made by hand."""
    assert pair.run("link", "--yes").returncode == 0
    before = pair.specs()
    with watching(pair, tmp_path / "said", "--prune") as said:
        claim(pair, key=before["east/laptop"]["publicKey"])
        wait_for(lambda: "it has the public key of peer laptop of east" in said())
        pair.west.apply([node("w2", 1, 2, "eu", leader="true")])
        wait_for(lambda: pair.specs()["east/link-west.eu"]["endpoint"]["dnsOrIP"] == {
            "ip": "203.0.113.12",
        })  # fmt: skip
        assert {one: pair.specs()[one] for one in (PEER, "east/laptop")} == {
            one: before[one] for one in (PEER, "east/laptop")
        }
        assert said().count("left out: location:us of west") == 1
        claim(pair, key=before["east/laptop"]["publicKey"], internal_ip="10.5.0.1/32")
        wait_for(partial(is_said, said, "10.5.0.1/32", "it overlaps"))
        assert networks(pair) == HONEST
        claim(pair)
        pair.west.apply([node(HOSTILE, 1, 3, "us", endpoint="203.0.113.19:51820")])
        wait_for(lambda: pair.specs()[PEER]["endpoint"]["dnsOrIP"] == {"ip": "203.0.113.19"})
    refused = pair.run("link", "--yes", "--dry-run")
    assert refused.returncode == 0, refused.stderr


def test_a_segment_that_flaps_is_damped_and_no_other_one_waits(pair: Pair, tmp_path: Path) -> None:
    assert pair.run("link", "--yes").returncode == 0
    first = generation(pair)
    with watching(pair, tmp_path / "said") as said:
        pair.west.apply([node("w2", 1, 2, "eu", leader="true")])
        wait_for(lambda: pair.specs()["east/link-west.eu"]["endpoint"]["dnsOrIP"] == {
            "ip": "203.0.113.12",
        })  # fmt: skip
        began, flaps = time.monotonic(), 0
        while time.monotonic() < began + 20:
            flaps += 1
            claim(pair, endpoint=f"198.51.100.{flaps % 200}:51820")
            time.sleep(0.15)
        writes = generation(pair) - first
        pair.west.apply([node("w1", 1, 1, "eu", leader="true")])
        wait_for(lambda: pair.specs()["east/link-west.eu"]["endpoint"]["dnsOrIP"] == {
            "ip": "203.0.113.11",
        })  # fmt: skip
        assert said().count("peer link-west.us changes all the time") == 1
    print(f"{flaps} flaps, {writes} writes")
    assert flaps > 50
    assert 4 <= writes <= 7


def test_a_service_network_that_a_cluster_tells_is_judged_and_one_that_is_given_is_not(
    pair: Pair,
) -> None:
    skip_if_services_are_told(pair.east)
    with kubeadm(pair.east, "198.51.100.0/24"):
        told = pair.run("link", "--yes", "--service-cidr", "west=none")
    assert told.stderr == (
        "east: service network 198.51.100.0/24, from kubeadm's ConfigMap, is not linked: that "
        "holds public addresses; if that is right, give it: --service-cidr east=198.51.100.0/24\n"
    )
    assert "198.51.100.0/24" not in pair.specs()["west/link-east.asia"]["allowedIPs"]
    given = pair.run("link", "--yes", "--service-cidr", "west=none",
                     "--service-cidr", "east=198.51.100.0/24")  # fmt: skip
    assert given.stderr == ""
    assert "198.51.100.0/24" in pair.specs()["west/link-east.asia"]["allowedIPs"]


def test_limits_of_the_command_line_hold_for_their_cluster(pair: Pair) -> None:
    claim(pair, internal_ip="1.1.1.1/32")
    run = pair.run("link", "--yes", "--deny", "west=10.1.2.0/24,10.66.0.0/16",
                   "--only-networks", "10.0.0.0/8,1.1.1.1/32",
                   "--accept", "west/w3=1.1.1.0/24")  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    found: dict[str, Any] = {name: spec["allowedIPs"] for name, spec in pair.specs().items()}
    assert found[PEER] == ["10.1.3.0/24", "1.1.1.1/32", "10.101.0.2/32"]
    assert found["east/link-west.eu"] == ["10.1.1.0/24", "10.101.0.1/32"]
    assert found["west/link-east.asia"] == ["10.2.1.0/24", "10.102.0.1/32"]
    unaccepted = pair.run("link", "--yes")
    assert unaccepted.stderr == (
        "west: refused: node w3 claims 1.1.1.1/32: that holds public addresses; if that is right: "
        "--accept west/w3=1.1.1.1/32\n"
    )
    assert networks(pair) == KEEPS
