"""``kgctl link`` of three clusters, one of which no longer has a valid network."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.test_link import PEERS, node, wait_for
from tests.api.test_link_mesh import NAMES, Trio
from tests.api.test_link_mirror import SERVICES, clear_services, service, slice_of, slices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.apiserver.server import ApiServer

CONFIRMED = "*=172.16.0.0/12"  # the internal IPs of all nodes
WARNING = "us: its network cannot be built, so its links stay as they are"
TOO_SMALL = {"wireguard_ip": "10.102.0.1/32"}  # no address for the one segment


@pytest.fixture
def trio(
    api_server: ApiServer,
    other_api_server: ApiServer,
    third_api_server: ApiServer,
    tmp_path: Path,
) -> Iterator[Trio]:
    servers = (api_server, other_api_server, third_api_server)
    made = Trio(dict(zip(NAMES, servers, strict=True)), tmp_path)
    yield made
    made.reset()
    for server in servers:
        server.clear()


@contextlib.contextmanager
def watching(trio: Trio) -> Iterator[Callable[[], str]]:
    """Keep the links current; the value returns what was said so far on stderr."""
    argv = [sys.executable, "-m", "kgctl", "link", "-f", str(trio.file), "--yes", "--watch"]
    path = trio.file.with_name("said")
    with path.open("w") as file, subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=file
    ) as process:  # fmt: skip
        try:
            yield path.read_text
            assert process.poll() is None, path.read_text()
        finally:
            process.terminate()


def change(trio: Trio, name: str, *nodes: dict[str, Any]) -> None:
    trio.servers[name].apply(list(nodes))


def is_dialled(trio: Trio, place: str, address: str) -> bool:
    endpoint: dict[str, Any] = trio.specs()[place].get("endpoint", {})
    return endpoint.get("dnsOrIP") == {"ip": address}


def follow(trio: Trio, address: str) -> None:
    """Have a leader of eu move, and wait until edge dials it there."""
    change(trio, "eu", node("e1", 1, 1, "x", endpoint=f"{address}:51820"))
    wait_for(partial(is_dialled, trio, "edge/link-eu.x", address))


def of_us(specs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what us has, and what the others have for it."""
    return {place: specs[place] for place in specs if "us/" in place or "/link-us" in place}


@pytest.mark.parametrize(
    ("annotations", "reason"),
    [
        (TOO_SMALL, "ran out of IP addresses: 1 segments need"),
        ({"granularity": "street"}, 'mesh granularity "street" of node "u1" is not supported'),
        ({"last_seen": "1"}, "did not find any valid Kilo nodes"),
    ],
)
def test_links_between_the_others_are_kept_and_those_of_the_unbuilt_one_stay(
    trio: Trio, annotations: dict[str, str], reason: str
) -> None:
    trio.write(prune=True, presharedKeys="generate", accept=[CONFIRMED, "*=10.2.1.0/24"])
    trio.linked()
    before, keys = trio.specs(), trio.kept()
    with watching(trio) as said:
        change(trio, "us", node("u1", 2, 1, "x", **annotations))
        wait_for(lambda: WARNING in said())
        assert reason in said()
        follow(trio, "203.0.113.41")
        # what its Peers have there is nobody else's meanwhile, whoever accepted that
        thief = node("d1", 3, 1, "x", endpoint="192.168.0.1:51820", persistent_keepalive="25",
                     internal_ip="10.2.1.7/32")  # fmt: skip
        change(trio, "edge", thief)
        wait_for(lambda: "edge: refused: node d1 claims 10.2.1.7/32: it overlaps" in said())
        wait_for(lambda: "172.19.0.1/32" not in trio.specs()["eu/link-edge.x"]["allowedIPs"])
        time.sleep(1)
        assert "10.2.1.7/32" not in str(trio.specs())
        assert (of_us(trio.specs()), trio.kept()) == (of_us(before), keys)
        assert said().count("cannot be built") == 1

        change(trio, "us", node("u1", 2, 1, "x", endpoint="203.0.113.29:51820"))
        wait_for(partial(is_dialled, trio, "eu/link-us.x", "203.0.113.29"))
        wait_for(partial(is_dialled, trio, "us/link-eu.x", "203.0.113.41"))
        assert "us: its network can be built again: its links are updated\n" in said()
    after = trio.specs()
    assert trio.kept() == keys
    assert {one: after[one]["presharedKey"] for one in after} == {
        one: before[one]["presharedKey"] for one in before
    }


def test_a_spoke_that_is_unbuilt_stays_reachable_through_the_hub(trio: Trio) -> None:
    trio.write(topology={"hubs": ["eu"]}, prune=True, accept=[CONFIRMED])
    trio.linked()
    before = trio.specs()
    assert "10.2.1.0/24" in before["edge/link-eu.x"]["allowedIPs"]
    with watching(trio) as said:
        change(trio, "us", node("u1", 2, 1, "x", **TOO_SMALL))
        wait_for(lambda: WARNING in said())
        follow(trio, "203.0.113.41")
        specs = trio.specs()
        assert set(specs["edge/link-eu.x"]["allowedIPs"]) == set(
            before["edge/link-eu.x"]["allowedIPs"]
        )
        assert of_us(specs) == of_us(before)
        stored = trio.servers["eu"].request("GET", f"{PEERS}/link-us.x")
        stored["spec"]["allowedIPs"].append("10.99.0.0/24")  # a person's, whom nobody follows
        trio.servers["eu"].request("PUT", f"{PEERS}/link-us.x", stored)
        follow(trio, "203.0.113.43")
        assert "10.99.0.0/24" in trio.specs()["eu/link-us.x"]["allowedIPs"]
        assert "10.99.0.0/24" not in trio.specs()["edge/link-eu.x"]["allowedIPs"]


def test_a_hub_that_is_unbuilt_leaves_what_the_spokes_have_of_it(trio: Trio) -> None:
    trio.write(topology={"hubs": ["us"]}, prune=True, accept=[CONFIRMED])
    trio.linked()
    before = trio.specs()
    with watching(trio) as said:
        change(trio, "us", node("u1", 2, 1, "x", **TOO_SMALL))
        wait_for(lambda: WARNING in said())
        change(trio, "eu", node("e1", 1, 1, "x", endpoint="203.0.113.41:51820"))
        time.sleep(2)
        assert trio.specs() == before
        change(trio, "us", node("u1", 2, 1, "x"))
        wait_for(partial(is_dialled, trio, "us/link-eu.x", "203.0.113.41"))
    assert set(trio.specs()) == set(before)


def test_what_mirrors_a_service_of_an_unbuilt_cluster_stays(trio: Trio) -> None:
    eu, us = trio.servers["eu"], trio.servers["us"]
    for server in trio.servers.values():
        clear_services(server)
    us.request("POST", SERVICES, service())
    us.request("POST", slices(us), slice_of(us, "web-x1", "10.2.1.7"))
    trio.write(mirror=["us=shop/web"], prune=True, accept=[CONFIRMED])
    trio.linked()

    def mirrored() -> list[str]:
        items = eu.request("GET", slices(eu))["items"]
        return [
            address for one in items for end in one["endpoints"] for address in end["addresses"]
        ]

    assert mirrored() == ["10.2.1.7"]
    with watching(trio) as said:
        change(trio, "us", node("u1", 2, 1, "x", **TOO_SMALL))
        wait_for(lambda: WARNING in said())
        us.request("POST", slices(us), slice_of(us, "web-x2", "10.2.1.8"))
        follow(trio, "203.0.113.41")
        assert mirrored() == ["10.2.1.7"]
        change(trio, "us", node("u1", 2, 1, "x"))
        wait_for(lambda: sorted(mirrored()) == ["10.2.1.7", "10.2.1.8"])
    for server in trio.servers.values():
        clear_services(server)


def test_without_watching_it_is_an_error_and_nothing_is_changed(trio: Trio) -> None:
    trio.write(prune=True, accept=[CONFIRMED])
    trio.linked()
    before = trio.specs()
    change(trio, "us", node("u1", 2, 1, "x", **TOO_SMALL))
    change(trio, "eu", node("e1", 1, 1, "x", endpoint="203.0.113.41:51820"))
    time.sleep(1)
    run = trio.run("link", "--yes")
    assert (run.returncode, run.stdout) == (1, "")
    assert "us: ran out of IP addresses" in run.stderr
    assert trio.specs() == before
