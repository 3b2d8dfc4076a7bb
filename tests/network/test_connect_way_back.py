"""``kgctl connect`` with a tunnel that carries the way to the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.network import plan, probe, tunnel
from tests.network.connection import Connection
from tests.network.far import API_ADDRESS, API_NETWORK, API_RESOLVER, far_site
from tests.network.objects import peer_object
from tests.network.site import AT_ONCE, Site, within
from tests.network.stream import Pinging
from tests.network.test_connect_claims import Counted
from tests.network.test_connect_ways import way

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apiserver.server import ApiServer
    from tests.network.layout import SmallCluster

CUT_OFF = "12"
"""Seconds; else 180."""
POD = plan.AMS_1.ipv4.pod


@pytest.fixture
def far(cluster: SmallCluster, api_server: ApiServer) -> Iterator[Site]:
    with far_site(cluster, api_server, "options timeout:1 attempts:1") as site:
        yield site


def test_who_is_cut_off_takes_the_way_to_the_server_out_of_the_tunnel(far: Site) -> None:
    """The person accepts that fra-1 has the network of their DNS server, and it answers nothing."""
    laptop, hostile = far.laptop, far.cluster["fra-1"]
    keys = far.cluster.keys["laptop"]
    file = laptop.write("laptop.key", f"{keys.private}\n")
    far.publish("ams-1", "ams-2", "fra-1")
    far.annotate("fra-1", allowed_location_ips=API_NETWORK)
    far.lead(peer_object(plan.LAPTOP, keys.public))
    hostile.run("iptables", "-A", "FORWARD", "-d", API_NETWORK, "-j", "DROP")
    counted = Counted(hostile)
    accepted = f"fra-1={API_NETWORK}"
    module = ("tests.network.cut_off", str(far.kubeconfig), str(file), CUT_OFF, accepted)
    try:
        with Connection(laptop, far.kubeconfig, module=module) as connection:
            connection.until("synchronised")
            assert probe.reaches(laptop, POD)
            assert probe.reaches(laptop, plan.FRA_1.ipv4.pod)
            assert way(far, API_RESOLVER) == "kilo0"
            assert way(far, API_ADDRESS) == "uplink"
            swallowed, _ = counted.packets()
            with Pinging(laptop, POD) as pings:
                far.publish("home-1")
                within(AT_ONCE, lambda: len(tunnel.dump(laptop)) == 3)  # the silence begins here
                far.uplink.cut()
                connection.until("cannot follow")
                far.withdraw("home-1")
                far.uplink.mend()  # it is back at once, but nobody can look up where
                within(20.0, lambda: counted.packets()[0] > swallowed)
                assert len(tunnel.dump(laptop)) == 3
                assert way(far, API_RESOLVER) == "kilo0"

                def is_out() -> bool:
                    told = connection.said("kept addresses out of the tunnel")
                    return any(API_RESOLVER in one["addresses"] for one in told)

                within(60.0, is_out)
                assert way(far, API_ADDRESS) == "uplink"
                within(60.0, lambda: len(tunnel.dump(laptop)) == 2)
            assert pings.losses.sent > 500
            assert pings.losses.lost == 0
            within(AT_ONCE, lambda: way(far, API_RESOLVER) == "kilo0")  # as the person wants it
            assert connection.end() == 0, connection.describe()
        assert far.peers() == []
    finally:
        counted.end()
        hostile.run("iptables", "-F", "FORWARD")
