"""A node whose public address is also its internal IP: a common routing loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.network import plan, probe, tunnel

if TYPE_CHECKING:
    from tests.network.live import LiveNetwork

FRANKFURT = "203.0.113.20"
TO_PING = ("10.4.0.2", plan.FRA_1.ipv4.pod)


def test_a_file_works_where_the_plain_one_routes_the_tunnel_into_itself(live: LiveNetwork) -> None:
    live.annotate(plan.FRA_1, {"internal-ip": f"{FRANKFURT}/24"})
    live.add(plan.LAPTOP)
    live.lead()
    laptop = live["laptop"]

    plain = _by_hand(live)
    assert f"{FRANKFURT}/32" in plain, "the endpoint lies within the allowed IPs"
    tunnel.join(laptop, plain)
    assert not probe.reaches(laptop, TO_PING[0], within=2)
    assert probe.reaches(laptop, plan.AMS_1.ipv4.pod), "other nodes are not concerned"
    live.leave(plan.LAPTOP)

    config = live.join(plan.LAPTOP)
    assert probe.unreached(laptop, TO_PING) == []
    assert any(line.startswith("#") and FRANKFURT in line for line in config.splitlines())


def test_a_gateway_goes_round_its_own_endpoint(live: LiveNetwork) -> None:
    live.annotate(plan.FRA_1, {"internal-ip": f"{FRANKFURT}/24"})
    live.add(plan.LAPTOP)
    live.lead()
    laptop = live["laptop"]
    live.join(plan.LAPTOP, "--gateway", "fra-1")
    assert probe.unreached(laptop, (*TO_PING, plan.AMS_1.ipv4.pod)) == []
    assert probe.seen_as(laptop, plan.WEB_IPV4) == FRANKFURT


def _by_hand(live: LiveNetwork) -> str:
    """Return what people wrote until now: what showconf prints below an [Interface] of theirs."""
    sections = live.read("showconf", "peer", "laptop")
    key = (live.directory / "laptop.key").read_text()
    return f"[Interface]\nAddress = {plan.LAPTOP.ipv4}/32\nPrivateKey = {key}\n{sections}"
