"""``kgctl connect`` with a node that claims all it can, and with a failing API server.

Each takes ``KGCTL_STORM_SECONDS``, which lengthens it (see ``make soak``).
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.apiserver.client import Client
from tests.network import plan, probe, tunnel
from tests.network.site import AT_ONCE, NODES, PREFIX, Site, stranger, within
from tests.network.stream import Pinging
from tests.network.test_connect import POD
from tests.network.test_connect_claims import ALL_BUT_10, ways
from tests.network.test_connect_load import Heartbeats
from tests.network.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apiserver.server import ApiServer
    from tests.network.layout import SmallCluster
    from tests.network.test_connect import Recorder

SECONDS = float(os.environ.get("KGCTL_STORM_SECONDS", "8"))
GROWTH = 16 * 1024
"""KiB that memory may grow while a node writes annotations of 240 kB again and again."""

MANY = ",".join(
    f"100.64.{number >> 8}.{number & 255}/32" for number in range(13_000)
)  # 240 kB, about all that an API server takes


@pytest.fixture
def uplink(cluster: SmallCluster, api_server: ApiServer) -> Iterator[Uplink]:
    with Uplink(cluster["laptop"], api_server.url) as line:
        yield line


@pytest.fixture
def site(cluster: SmallCluster, api_server: ApiServer, uplink: Uplink) -> Site:
    return Site(cluster, api_server, uplink)


def claims(site: Site) -> list[dict[str, str]]:
    """Return what a hostile node writes of itself, one after the other."""
    ams = site.nodes["ams-1"]["metadata"]["annotations"]
    seen = {ams[f"{PREFIX}key"]: {"IP": "203.0.113.66", "Port": 51820, "Zone": ""}}
    return [
        {"allowed-location-ips": ",".join(ALL_BUT_10)},
        {"allowed-location-ips": "0.0.0.0/0,::/0"},
        {"allowed-location-ips": MANY},
        {"allowed-location-ips": "\x1b[2J," * 40_000},
        {"allowed-location-ips": "127.0.0.0/8,169.254.0.0/16,224.0.0.0/4"},
        {"force-endpoint": "127.0.0.1:22"},
        {"discovered-endpoints": json.dumps(seen)},
        {"persistent-keepalive": "1" * 200_000},
        {"location": "x" * 200_000},
        {"last-seen": "9" * 300},
        {},
    ]


def memory(pid: int) -> int:
    """Return the resident memory of a process, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def write(site: Site, name: str, annotations: dict[str, str]) -> None:
    """Write a node's own annotations and these, and take away those of the last time."""
    own = dict(site.nodes[name]["metadata"]["annotations"])
    written = {**own, **{PREFIX + key: value for key, value in annotations.items()}}
    gone = {PREFIX + key: None for one in claims(site) for key in one}
    patch = {"metadata": {"annotations": {**gone, **written}}}
    server = site.server
    with Client(server.url, server.ca, server.users.admin_token) as client:
        client.patch(f"{NODES}/{name}", patch)


def test_a_hostile_node_for_long(site: Site, record_property: Recorder) -> None:
    site.publish("ams-1", "ams-2", "fra-1")
    laptop, turns, slowest = site.laptop, 0, 0.0
    before = ways(laptop)
    with site.joined() as connection:
        site.lead()
        routes = sorted(laptop.ip("route").splitlines())
        taken: list[int] = []
        with Pinging(laptop, POD) as pings:
            start = time.monotonic()
            while time.monotonic() - start < SECONDS or not taken:
                for claim in claims(site):
                    write(site, "fra-1", claim)
                    turns += 1
                    assert ways(laptop) == before
                newcomer = stranger(turns, "zzzz")  # the honest ones are still served
                site.server.apply([newcomer])
                took = within(AT_ONCE, lambda: len(tunnel.dump(laptop)) == 3)
                site.withdraw(newcomer["metadata"]["name"])
                within(AT_ONCE, lambda: len(tunnel.dump(laptop)) == 2)
                slowest = max(slowest, took)
                taken.append(memory(connection.pid))
        within(AT_ONCE, lambda: sorted(laptop.ip("route").splitlines()) == routes)
        assert probe.reaches(laptop, plan.FRA_1.ipv4.pod)
        start = time.monotonic()
        assert connection.end() == 0
        ended = time.monotonic() - start
    record_property("claims", str(turns))
    record_property("pings beside a hostile node", str(pings.losses))
    record_property("slowest change beside it", f"{slowest:.2f}")
    record_property("KiB of memory, first and last", f"{taken[0]} {taken[-1]}")
    record_property("seconds to end beside it", f"{ended:.2f}")
    assert pings.losses.lost == 0
    assert taken[-1] - taken[0] < GROWTH


def test_an_ailing_server_is_asked_less_and_less(
    site: Site, uplink: Uplink, record_property: Recorder
) -> None:
    """Every second it breaks off what it sends, in the middle of events."""
    crowd = [stranger(number, "zzz") for number in range(20)]
    site.server.apply(crowd)
    site.publish("ams-1", "ams-2")
    laptop, stop = site.laptop, threading.Event()

    def ail() -> None:
        while not stop.wait(1.2):
            uplink.cut()
            uplink.mend()

    names = [one["metadata"]["name"] for one in crowd]
    with site.joined() as connection:
        time.sleep(1)
        routes, first = sorted(laptop.ip("route").splitlines()), uplink.connections
        ailing = threading.Thread(target=ail)
        with Heartbeats(site.server, names, 50), Pinging(laptop, POD) as pings:
            start = time.monotonic()
            ailing.start()
            time.sleep(SECONDS)
            stop.set()
            ailing.join()
            seconds, asked = time.monotonic() - start, uplink.connections - first
        assert sorted(laptop.ip("route").splitlines()) == routes
        newcomer = stranger(100, "zzzz")
        site.server.apply([newcomer])
        took = within(45.0, lambda: len(tunnel.dump(laptop)) == 3)
        assert connection.end() == 0, connection.describe()
    record_property("connections while it ails", f"{asked} in {seconds:.0f} s")
    record_property("seconds until it is trusted again", f"{took:.1f}")
    record_property("pings while it ails", str(pings.losses))
    assert pings.losses.lost == 0
    # nodes and peers each: pauses are doubled from 0.25 s on, to 30 s
    assert 2 <= asked <= 2 * (math.log2(4 * seconds) + seconds / 20) + 4
