"""External machines join with kgctl's output only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.network import plan, probe, tunnel

if TYPE_CHECKING:
    from tests.network.conftest import GoLive
    from tests.network.live import LiveNetwork
    from tests.network.plan import Inside, Machine, Outside

PORT = ("--listen-port", str(plan.PORT))
"""A router keeps its mapping only for a machine whose port stays when it comes again."""


@pytest.mark.parametrize("inside", ["ipv4", "ipv6"], ids=lambda family: f"{family}-inside")
@pytest.mark.parametrize(
    ("outside", "machine"),
    [
        pytest.param("ipv4", plan.LAPTOP, id="laptop-behind-nat"),
        pytest.param("ipv6", plan.PHONE, id="phone-on-ipv6"),
    ],
)
def test_everybody_reaches_everybody(
    go_live: GoLive, inside: Inside, outside: Outside, machine: Machine
) -> None:
    """Two machines, one with a preshared key, and a node behind NAT among the others."""
    live = go_live(inside, outside)
    members = (machine, plan.SERVER)
    for member in members:
        live.add(member, endpoint=member.endpoints.get(outside), preshared=member is machine)
    live.lead()
    for member in members:
        live.join(member, *PORT)

    _meet_behind_nat(live, members)

    everything = [address for node in plan.NODES for address in node.inside(inside).to_ping]
    for member in members:
        targets = [*everything, *(other.inside(inside) for other in members)]
        assert probe.unreached(live[member.name], targets, within=60) == [], member.name
    for node in plan.NODES:
        targets = [member.inside(inside) for member in members]
        assert probe.unreached(live[node.name], targets) == [], node.name


def _meet_behind_nat(live: LiveNetwork, members: tuple[Machine, ...]) -> None:
    """Have everybody call a leader that tells the others where it sees them; come again."""
    for name in (*(member.name for member in members), "home-1"):
        assert probe.reaches(live[name], plan.AMS_1.inside(live.inside).pod), name
    live.tell_endpoints()
    live.lead()
    for member in members:
        live.leave(member)
        live.join(member, *PORT)


def test_both_ends_hold_the_preshared_key_and_need_it(live: LiveNetwork) -> None:
    live.add(plan.LAPTOP, preshared=True)
    live.lead()
    live.join(plan.LAPTOP)
    assert probe.reaches(live["laptop"], plan.FRA_1.ipv4.pod)

    key = live.peer(plan.LAPTOP)["presharedKey"]
    public = live.cluster.keys["fra-1"].public
    assert tunnel.dump(live["laptop"], "kgctl")[public].preshared_key == key
    laptop = live.peer(plan.LAPTOP)["publicKey"]
    assert tunnel.dump(live["fra-1"])[laptop].preshared_key == key

    live.leave(plan.LAPTOP)
    config = live.file(plan.LAPTOP)
    assert config.count(key) == len(plan.LEADERS)
    tunnel.join(live["laptop"], config.replace(key, tunnel.preshared_key()))
    assert not probe.reaches(live["laptop"], plan.FRA_1.ipv4.pod, within=2)


def test_a_gateway_carries_all_traffic(live: LiveNetwork) -> None:
    live.add(plan.LAPTOP)
    live.lead()
    laptop = live["laptop"]
    assert probe.seen_as(laptop, plan.WEB_IPV4) == plan.OFFICE_IPV4

    live.join(plan.LAPTOP, "--gateway", "fra-1")

    assert probe.seen_as(laptop, plan.WEB_IPV4) == "203.0.113.20"
    assert probe.seen_as(laptop, plan.WEB_IPV6) == "2001:db8:20::20", "which the office has not"
    inside = [
        address for node in (plan.AMS_1, plan.AMS_2, plan.FRA_1) for address in node.ipv4.to_ping
    ]
    assert probe.unreached(laptop, inside) == [], "the cluster stays where it is"
    live.leave(plan.LAPTOP)
    assert probe.seen_as(laptop, plan.WEB_IPV4) == plan.OFFICE_IPV4


def test_a_gateway_brings_ipv4_to_a_machine_that_has_only_ipv6(go_live: GoLive) -> None:
    live = go_live("ipv4", "ipv6")
    live.add(plan.PHONE)
    live.lead()
    assert not probe.reaches(live["phone"], plan.WEB_IPV4, within=1)
    live.join(plan.PHONE, "--gateway", "ams-1")
    assert probe.seen_as(live["phone"], plan.WEB_IPV4) == "198.51.100.10"
    assert probe.seen_as(live["phone"], plan.WEB_IPV6) == "2001:db8:10::10"


SERVICES = ("--service-cidr", "10.43.0.0/16")
DNS_SERVICE = "10.43.0.10"


@pytest.mark.parametrize("node", [plan.AMS_1, plan.FRA_1], ids=lambda node: node.name)
def test_services_are_reached_through_the_node_that_was_chosen(
    live: LiveNetwork, node: plan.NodePlan
) -> None:
    live.add(plan.LAPTOP)
    live.lead()
    with live.cluster.service(node, DNS_SERVICE):
        config = live.join(plan.LAPTOP, *SERVICES, "--via", node.name, "--dns", DNS_SERVICE)
        assert probe.reaches(live["laptop"], DNS_SERVICE)
        assert f"nameserver {DNS_SERVICE}" in live["laptop"].run("cat", "/etc/resolv.conf").stdout
        assert any(line.startswith("#") and node.name in line for line in config.splitlines())
        live.leave(plan.LAPTOP)

        other = plan.FRA_1 if node is plan.AMS_1 else plan.AMS_1
        live.join(plan.LAPTOP, *SERVICES, "--via", other.name)
        assert not probe.reaches(live["laptop"], DNS_SERVICE, within=1), "it went the other way"


def test_only_what_was_asked_for_is_reached(live: LiveNetwork) -> None:
    live.add(plan.LAPTOP)
    live.lead()
    live.join(plan.LAPTOP, "--only", "ams")
    laptop = live["laptop"]
    reached = [*plan.AMS_1.ipv4.to_ping, *plan.AMS_2.ipv4.to_ping]
    assert probe.unreached(laptop, reached) == []
    assert not probe.reaches(laptop, plan.FRA_1.ipv4.pod, within=1)
    assert list(tunnel.dump(laptop, "kgctl")) == [live.cluster.keys["ams-1"].public]


def test_routes_go_where_the_table_says(live: LiveNetwork) -> None:
    live.add(plan.LAPTOP)
    live.lead()
    laptop = live["laptop"]
    live.join(plan.LAPTOP, "--table", "4242")
    assert str(plan.FRA_1.ipv4.pod_subnet) in laptop.ip("route", "show", "table", "4242")
    assert str(plan.FRA_1.ipv4.pod_subnet) not in laptop.ip("route")
    live.leave(plan.LAPTOP)
    live.join(plan.LAPTOP, "--table", "off")
    assert str(plan.FRA_1.ipv4.pod_subnet) not in laptop.ip("route", "show", "table", "all")
