"""``kgctl connect`` on a host whose wall clock jumps while the API server is away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.network import plan, probe, tunnel
from tests.network.objects import HEARTBEAT_AHEAD
from tests.network.site import Site, within
from tests.network.stream import Pinging
from tests.network.test_connect_claims import hearsay
from tests.network.uplink import Uplink
from tests.network.wallclock import WallClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.apiserver.server import ApiServer
    from tests.network.connection import Connection
    from tests.network.layout import SmallCluster

DAY = 24 * 3600
JUMP = 2 * 3600
NODES = ("ams-1", "fra-1")
AWAY = 62.0
"""Seconds without the API server: a node is left out 60 s after its last heartbeat."""
AGE = 20
"""Seconds since the last heartbeats when they are published; agents write one every 30 s."""
KEPT = ("10.42.0.0/24 via 10.4.0.1 dev kilo0", "10.42.2.0/24 via 10.4.0.2 dev kilo0")
ELSEWHERE = "203.0.113.20:40000"
POD, FAR_POD = plan.AMS_1.ipv4.pod, plan.FRA_1.ipv4.pod
AMS_IPV4 = plan.AMS_1.endpoints["ipv4"]

pytestmark = pytest.mark.needs("cc")


@pytest.fixture
def site(cluster: SmallCluster, api_server: ApiServer) -> Iterator[Site]:
    with Uplink(cluster["laptop"], api_server.url) as uplink:
        yield Site(cluster, api_server, uplink)


def publish(site: Site, ahead: int = 0) -> None:
    """Publish nodes with heartbeats that last where clocks are ``ahead`` of this machine's.

    Those of ams-1 last in any case: where no node is ready, nothing is changed. fra-1 says of it
    that it is elsewhere, which counts once its session seems to be dead.
    """
    now = int(time.time())
    site.annotate("ams-1", last_seen=str(now + DAY), persistent_keepalive="2")
    seen = str(now + ahead + HEARTBEAT_AHEAD)
    site.annotate("fra-1", last_seen=seen, discovered_endpoints=hearsay(site, ELSEWHERE))


def beat(site: Site) -> None:
    """Publish fra-1's heartbeat by this machine's clock, and wait until the laptop has heard."""
    site.annotate("fra-1", last_seen=str(int(time.time()) - AGE))
    site.withdraw("home-1")  # comes after it
    within(20.0, lambda: len(tunnel.dump(site.laptop)) == len(NODES))


def stays(site: Site, connection: Connection) -> None:
    """Hold nodes, endpoints and routes against what they are to be, for as long as it is away."""
    keys = {name: site.cluster.keys[name].public for name in NODES}
    start = time.monotonic()
    while (seconds := time.monotonic() - start) < AWAY:
        told = f"after {seconds:.0f} s:\n{connection.describe()}"
        peers = tunnel.dump(site.laptop)
        assert set(peers) == set(keys.values()), told
        assert peers[keys["ams-1"]].endpoint == AMS_IPV4, told
        routes = site.laptop.ip("route")
        assert all(route in routes for route in KEPT), told
        time.sleep(0.5)


def test_a_clock_that_jumps_ahead_ends_no_node(site: Site, tmp_path: Path) -> None:
    clock = WallClock(tmp_path)
    publish(site)
    site.publish("home-1")
    with site.joined("--resync-period", "1s", within=clock.within) as connection:
        site.lead(only=("fra-1",))
        assert probe.reaches(site.laptop, FAR_POD)
        with Pinging(site.laptop, POD) as pings, Pinging(site.laptop, FAR_POD) as far_pings:
            beat(site)
            site.uplink.cut()
            clock.jump(JUMP)
            stays(site, connection)
        for losses in (pings.losses, far_pings.losses):
            assert losses.sent > 1000
            assert losses.lost == 0
        assert connection.said("failed to sync") == []
        assert connection.end() == 0, connection.describe()


def test_a_clock_that_was_ahead_and_is_put_right_ends_no_node(site: Site, tmp_path: Path) -> None:
    """The server comes back for a moment when the clock is right, and goes away again."""
    clock = WallClock(tmp_path, JUMP)
    publish(site, JUMP)
    with site.joined("--resync-period", "1s", within=clock.within) as connection:
        site.lead(only=("fra-1",))
        assert probe.reaches(site.laptop, FAR_POD)
        with Pinging(site.laptop, POD) as pings, Pinging(site.laptop, FAR_POD) as far_pings:
            site.uplink.cut()
            connection.until("cannot follow")
            clock.jump(0)
            site.publish("home-1")
            site.uplink.mend()
            within(40.0, lambda: len(tunnel.dump(site.laptop)) == len(NODES) + 1)
            beat(site)
            site.uplink.cut()
            stays(site, connection)
        for losses in (pings.losses, far_pings.losses):
            assert losses.sent > 1000
            assert losses.lost == 0
        assert connection.end() == 0, connection.describe()
