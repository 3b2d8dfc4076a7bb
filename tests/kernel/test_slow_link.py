"""A slow and lossy line (tc netem), which the kernels of many test machines do not have."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.network.probe import ping

if TYPE_CHECKING:
    from tests.kernel.site import Site


def test_a_slow_link_that_loses_packets(site: Site) -> None:
    line = ("netem", "delay", "100ms", "loss", "10%", "seed", "7")
    tc = ("tc", "qdisc", "add", "dev", "uplink", "root")
    if site.host.run(*tc, *line, check=False).returncode != 0:  # iproute2 before 6.7 has no seed
        site.host.run(*tc, *line[:-2])
    shown = json.loads(site.host.run("tc", "-j", "qdisc", "show", "dev", "uplink").stdout)
    assert shown[0]["kind"] == "netem"
    connection = site.connect("--resync-period", "1s")
    connection.until("synchronised")
    answered = ping(site.host, "10.42.0.10", count=3, timeout=60)
    assert answered.received >= 3, connection
    assert answered.rtt is not None
    assert answered.rtt > 100
    assert len(connection.said("synchronised")) == 1, connection
    assert connection.end() == 0, connection
