"""The tunnel of kgctl's file: the same as a hand-written one, and as fast."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from tests.network import plan, probe, tunnel

if TYPE_CHECKING:
    import pytest

    from tests.network.live import LiveNetwork
    from tests.network.namespace import Namespace

RUNS = 3
"""Of each file, by turns, so that what else this machine does meets both."""


def test_it_is_the_tunnel_that_a_person_would_write(
    live: LiveNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    live.add(plan.LAPTOP)
    live.lead()
    laptop, ours, theirs = live["laptop"], live.file(plan.LAPTOP), _by_hand(live)
    states: dict[str, list[str]] = {}
    speeds: dict[str, list[float]] = {"kgctl": [], "by hand": []}
    for _ in range(RUNS):
        for name, config in (("kgctl", ours), ("by hand", theirs)):
            tunnel.join(laptop, config)
            states[name] = _state(laptop)
            assert probe.reaches(laptop, plan.AMS_2.ipv4.pod)
            speeds[name].append(_megabits(live))
            live.leave(plan.LAPTOP)

    assert states["kgctl"] == states["by hand"]
    # With the same peers, addresses, MTU and routes what is left is noise, which on a busy machine
    # is wide: the figures are for who reads them.
    with capsys.disabled():
        print("\nMbit/s through the tunnel:", *map(_summary, speeds.items()), sep="\n  ")
    assert min(map(min, speeds.values())) > 1


def _megabits(live: LiveNetwork) -> float:
    target = plan.AMS_2.ipv4.pod
    return probe.throughput(live.cluster.lab, live["laptop"], live["ams-2"], target) / 1e6


def _summary(measured: tuple[str, list[float]]) -> str:
    name, speeds = measured
    each = ", ".join(f"{speed:.0f}" for speed in speeds)
    return f"{name}: median {statistics.median(speeds):.0f} of {each}"


def _state(namespace: Namespace, device: str = "kgctl") -> list[str]:
    """Return all that can make a difference: peers, addresses, MTU and routes, sorted.

    But for the link-local address: the kernel rolls a new one for every such device.
    """
    link = namespace.ip("-oneline", "link", "show", "dev", device).split()
    routes = [
        line.strip()
        for family in ("-4", "-6")
        for line in namespace.ip(
            family, "route", "show", "table", "all", "dev", device
        ).splitlines()
        if "fe80::" not in line
    ]
    addresses = map(str, tunnel.interface_address(namespace, device))
    peers = map(_peer_state, tunnel.dump(namespace, device).values())
    return sorted([*peers, f"mtu {link[link.index('mtu') + 1]}", *addresses, *routes])


def _peer_state(peer: tunnel.PeerState) -> str:
    networks = ", ".join(sorted(map(str, peer.allowed_ips)))
    return f"{peer.public_key} at {peer.endpoint} every {peer.keepalive} s: {networks}"


def _by_hand(live: LiveNetwork) -> str:
    """Return the file that a person writes who knows the cluster, and has not seen kgctl.

    And who knows better than to route home-1's endpoint, its internal IP, into the tunnel.
    """
    private = (live.directory / "laptop.key").read_text().strip()
    keys = {name: pair.public for name, pair in live.cluster.keys.items()}
    return f"""\
[Interface]
Address = {plan.LAPTOP.ipv4}/32, {plan.LAPTOP.ipv6}/128
PrivateKey = {private}

[Peer]
PublicKey = {keys["ams-1"]}
Endpoint = 198.51.100.10:{plan.PORT}
AllowedIPs = 10.4.0.1/32, 10.42.0.0/24, 10.42.1.0/24, 10.10.0.1/32, 10.10.0.2/32
PersistentKeepalive = {plan.KEEPALIVE}

[Peer]
PublicKey = {keys["fra-1"]}
Endpoint = 203.0.113.20:{plan.PORT}
AllowedIPs = 10.4.0.2/32, 10.42.2.0/24, 10.20.0.1/32
PersistentKeepalive = {plan.KEEPALIVE}

[Peer]
PublicKey = {keys["home-1"]}
Endpoint = 192.168.77.10:{plan.PORT}
AllowedIPs = 10.4.0.3/32, 10.42.3.0/24
PersistentKeepalive = {plan.KEEPALIVE}
"""
