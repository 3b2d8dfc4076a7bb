"""Rounds of an agent on a machine in memory: what is set, and what is left alone."""

from __future__ import annotations

import gc
import json
import os
import threading
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from kgctl.errors import HostError
from kgctl.mesh.agent_plan import Device
from kgctl.mesh.endpoint import Endpoint
from kgctl.mesh.key import PublicKey
from kgctl.mesh.text import time_text
from tests.agent.machine import INTERFACES, OWN, TIME, Machine, own_node, the_node
from tests.host.test_host import Dns
from tests.support.several import key, peer
from tests.wireguard.test_device import cidr

FRA = the_node(2, "fra")
FILES = Path("/proc/self/fd")


def destinations(machine: Machine) -> set[str]:
    return {str(route.dst) for route in machine.plan.routes}


def test_a_leader_is_set_up_and_announced() -> None:
    machine = Machine()
    assert machine.round(own_node(), FRA, peer("laptop", "10.5.0.1/32"))
    assert machine.plan.leads
    assert machine.link.up
    assert (machine.link.address, machine.link.mtu) == (cidr("10.4.0.1/16"), 1420)
    assert machine.link.state.listen_port == 51820
    assert len(machine.link.state.peers) == 2
    assert {"10.42.2.0/24", "10.2.0.1/32", "10.5.0.1/32"} <= destinations(machine)
    assert machine.installed.private == INTERFACES.links[3]
    assert machine.announced["key"] == OWN
    assert machine.announced["endpoint"] == "198.51.100.11:51820"
    assert machine.announced["internal-ip"] == "10.1.0.11/24"
    assert machine.announced["wireguard-ip"] == "10.4.0.1/16"
    figures = machine.rounds.figures
    assert (figures.ready, figures.leads, figures.nodes, figures.peers) == (True, True, 2, 1)


def test_a_follower_has_its_link_down_and_nothing_else_of_it_changed() -> None:
    machine = Machine()
    leader = the_node(3, "ams", leader="true", internal_ip="10.1.0.13/24")
    assert machine.round(own_node(), FRA, leader)
    assert not machine.plan.leads
    assert not machine.link.up
    assert machine.link.address is None
    assert machine.link.changes == []
    assert machine.announced["wireguard-ip"] == ""
    assert all(route.device is not Device.WIREGUARD for route in machine.plan.routes)


def test_a_follower_calls_nobody() -> None:
    machine = Machine()
    machine.round(own_node(), FRA)
    assert machine.link.state.peers
    leader = the_node(3, "ams", leader="true", internal_ip="10.1.0.13/24")
    machine.round(own_node(), FRA, leader)
    assert not machine.link.up
    assert not machine.link.state.peers
    machine.round(own_node(), FRA)
    assert machine.link.up
    assert len(machine.link.state.peers) == 1


def test_a_node_of_the_same_place_is_dialled_there() -> None:
    machine = Machine(granularity="full")
    near = the_node(
        3, "ams", internal_ip="10.1.0.13/24", endpoint="10.1.0.13:51820", persistent_keepalive="10"
    )
    outside = json.dumps({key("ams-3"): {"IP": "198.51.100.1", "Port": 4444, "DNS": ""}})
    witness = the_node(2, "fra", discovered_endpoints=outside)
    machine.round(own_node(), near, witness)
    endpoints = {str(its): one.endpoint for its, one in machine.link.state.peers.items()}
    assert str(endpoints[key("ams-3")]) == "10.1.0.13:51820"
    elsewhere = near["metadata"]["annotations"] | {"kilo.squat.ai/location": "fra"}
    near["metadata"]["annotations"] = elsewhere
    machine.round(own_node(), near, witness)
    endpoints = {str(its): one.endpoint for its, one in machine.link.state.peers.items()}
    assert str(endpoints[key("ams-3")]) == "198.51.100.1:4444"


def test_nothing_inside_the_tunnel_is_dialled() -> None:
    machine = Machine()
    first = the_node(
        5, "home", internal_ip="192.168.77.10/24", endpoint="192.168.77.10:51820",
        persistent_keepalive="10",
    )  # fmt: skip
    home = PublicKey.parse(key("home-5"))
    assert home is not None
    machine.round(own_node(), FRA, first)
    assert str(machine.link.state.peers[home].endpoint) == "192.168.77.10:51820"
    wider = the_node(
        5, "home", internal_ip="192.168.77.10/24", endpoint="192.168.77.10:51820",
        persistent_keepalive="10", allowed_location_ips="192.168.77.0/24",
    )  # fmt: skip
    machine.round(own_node(), FRA, wider)
    assert "192.168.77.0/24" in destinations(machine)
    assert machine.link.state.peers[home].endpoint is None
    assert len(machine.link.state.peers[home].allowed_ips) == 4
    # it called from inside the tunnel, as one does that was caught before
    peers = dict(machine.link.state.peers)
    caught = Endpoint(IPv4Address("192.168.77.10"), 51820)
    peers[home] = replace(peers[home], endpoint=caught, last_handshake=TIME)
    machine.link.state = replace(machine.link.state, peers=peers)
    machine.round(own_node(), FRA, wider, whole=True)
    assert machine.link.state.peers[home].endpoint is None
    assert machine.announced["discovered-endpoints"] == "{}"
    # what is not inside any more can be dialled
    machine.round(own_node(), FRA, first)
    assert str(machine.link.state.peers[home].endpoint) == "192.168.77.10:51820"


def test_what_neighbours_see_of_each_other_concerns_no_other_place() -> None:
    machine = Machine(granularity="full")
    moving = the_node(5, "home", endpoint="192.168.77.10:51820", persistent_keepalive="10")
    inside = json.dumps({key("home-5"): {"IP": "192.168.77.10", "Port": 51820, "DNS": ""}})
    outside = json.dumps({key("home-5"): {"IP": "192.0.2.7", "Port": 4444, "DNS": ""}})
    neighbour = the_node(2, "home", discovered_endpoints=inside)
    witness = the_node(3, "nyc", discovered_endpoints=outside)
    machine.round(own_node(), moving, neighbour, witness)
    endpoints = {str(its): one.endpoint for its, one in machine.link.state.peers.items()}
    assert str(endpoints[key("home-5")]) == "192.0.2.7:4444"


def test_nothing_new_costs_nothing() -> None:
    machine = Machine()
    machine.round(own_node(), FRA)
    reads = machine.link.reads
    later = the_node(2, "fra", last_seen=str(int(TIME) + 30))
    # heartbeats, and annotations that others write for others
    machine.round(own_node(), later, now=TIME + 31)
    machine.round(own_node(), the_node(2, "fra", wireguard_ip="10.4.0.2/16"), now=TIME + 31)
    assert machine.installed.calls == [True]
    assert len(machine.link.changes) == 1
    assert machine.link.reads == reads


def test_a_change_writes_only_that() -> None:
    machine = Machine()
    machine.round(own_node(), FRA)
    machine.round(own_node(), FRA, the_node(4, "nyc"))
    change = machine.link.changes[-1]
    assert [one.new for one in change.peers] == [True]
    assert change.remove == ()
    assert machine.installed.calls == [True, False]
    machine.round(own_node(), FRA)
    assert len(machine.link.changes[-1].remove) == 1


def test_a_whole_round_mends_what_others_changed() -> None:
    machine = Machine()
    machine.round(own_node(), FRA)
    (gone,) = machine.link.state.peers
    machine.link.state = replace(machine.link.state, peers={}, listen_port=7)
    machine.link.mtu, machine.link.up, machine.link.address = 900, False, None
    machine.round(own_node(), FRA, whole=True)
    assert list(machine.link.state.peers) == [gone]
    assert machine.link.state.listen_port == 51820
    assert (machine.link.mtu, machine.link.up) == (1420, True)
    assert machine.link.address == cidr("10.4.0.1/16")
    assert machine.installed.calls == [True, True]


def test_an_endpoint_that_moved_is_not_put_back_and_a_new_one_is_set() -> None:
    machine = Machine()
    machine.round(own_node(), FRA)
    ((key, before),) = machine.link.state.peers.items()
    moved = Endpoint(IPv4Address("192.0.2.77"), 4242)
    peers = {key: replace(before, endpoint=moved, last_handshake=9e12)}
    machine.link.state = replace(machine.link.state, peers=peers)
    machine.round(own_node(), FRA, whole=True)
    assert machine.link.state.peers[key].endpoint == moved
    machine.round(own_node(), the_node(2, "fra", endpoint="203.0.113.99:51820"))
    assert str(machine.link.state.peers[key].endpoint) == "203.0.113.99:51820"


def test_endpoints_are_discovered_of_those_that_move() -> None:
    machine = Machine()
    home = the_node(5, "home", persistent_keepalive="25")
    nodes = (own_node(), FRA, home, peer("laptop", "10.5.0.1/32"))
    machine.round(*nodes)
    assert machine.announced["discovered-endpoints"] == ""
    at = Endpoint(IPv4Address("192.0.2.7"), 4000)
    peers = {
        its: replace(one, endpoint=at, last_handshake=TIME)
        for its, one in machine.link.state.peers.items()
    }
    machine.link.state = replace(machine.link.state, peers=peers)
    machine.round(*nodes, whole=True)
    assert machine.announced["discovered-endpoints"].count('"IP":"192.0.2.7"') == 2
    machine.link.state = replace(
        machine.link.state,
        peers={its: replace(one, last_handshake=0.0) for its, one in peers.items()},
    )
    machine.round(*nodes, whole=True)
    assert machine.announced["discovered-endpoints"] == "{}"


def test_what_is_forced_is_in_force_at_once_and_gone_with_it() -> None:
    machine = Machine()
    machine.round(own_node(), FRA)
    machine.round(own_node(force_endpoint="192.0.2.1:4500"), FRA)
    assert machine.link.state.listen_port == 4500
    assert machine.announced["endpoint"] == "192.0.2.1:4500"
    machine.round(own_node(endpoint="192.0.2.1:4500"), FRA)
    assert machine.link.state.listen_port == 51820
    assert machine.announced["endpoint"] == "198.51.100.11:51820"


def test_an_address_that_changes_is_followed() -> None:
    machine = Machine()
    machine.round(own_node(), FRA)
    moved = (*INTERFACES.addresses[:1], (2, cidr("198.51.100.99/24")), INTERFACES.addresses[2])
    machine.interfaces = INTERFACES._replace(addresses=moved)
    machine.round(own_node(), FRA, whole=True)
    assert machine.announced["endpoint"] == "198.51.100.99:51820"


def test_a_name_that_does_not_resolve_concerns_one_peer() -> None:
    dns = Dns()
    machine = Machine(dns)
    named = the_node(4, "nyc", endpoint="gone.example.com:51820")
    assert machine.round(own_node(), FRA, named)
    machine.names.settle(30)
    assert machine.round(own_node(), FRA, named)
    endpoints = [one.endpoint for one in machine.link.state.peers.values()]
    assert sorted(map(str, endpoints)) == ["203.0.113.2:51820", "None"]
    assert len(machine.link.state.peers) == 2


def test_an_invalid_peer_is_out_at_once() -> None:
    machine = Machine()
    machine.round(own_node(), FRA, peer("laptop", "10.5.0.1/32"))
    assert machine.round(own_node(), FRA, peer("laptop", "nonsense"))
    assert len(machine.link.state.peers) == 1
    assert machine.round(own_node(), FRA, peer("laptop", "10.5.0.2/32"))
    assert "10.5.0.2/32" in destinations(machine)


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ({"allowed_location_ips": "0.0.0.0/0"}, "all or most of the Internet"),
        ({"allowed_location_ips": "127.0.0.0/8"}, "loopback"),
        ({"allowed_location_ips": "10.1.0.0/25"}, "which this machine has itself"),
        ({"allowed_location_ips": "10.250.0.1/32"}, "the API server"),
        ({"internal_ip": "10.1.0.11/24"}, "another route there already"),
        ({"internal_ip": "8.8.8.8/24"}, "public addresses"),
    ],
)
def test_a_hostile_claim_is_refused_once_and_counted(claim: dict[str, str], reason: str) -> None:
    machine = Machine()
    before = Machine()
    before.round(own_node(), FRA)
    hostile = the_node(2, "fra", **claim)
    for _ in range(2):
        assert machine.round(own_node(), hostile, whole=True)
    assert destinations(machine) <= destinations(before)
    assert "10.42.2.0/24" in destinations(machine)
    (line,) = machine.told()
    assert line["claimer"] == "node fra-2"
    assert reason in line["reason"]
    assert sum(machine.rounds.figures.refusals.values()) == 1


def test_a_refused_claim_takes_nothing_from_others() -> None:
    machine = Machine()
    home = the_node(5, "home", allowed_location_ips="192.168.77.0/24")
    machine.round(own_node(), the_node(2, "fra", allowed_location_ips="0.0.0.0/0"), home)
    assert "192.168.77.0/24" in destinations(machine)


def test_a_wide_claim_keeps_clear_of_the_api_server() -> None:
    machine = Machine()
    machine.round(own_node(), the_node(2, "fra", allowed_location_ips="10.128.0.0/9"))
    inside = [cidr(one) for one in destinations(machine) if one.startswith("10.250")]
    assert inside
    assert not any(one.contains(IPv4Address("10.250.0.1")) for one in inside)


def test_a_node_that_is_not_ready_changes_nothing() -> None:
    machine = Machine()
    machine.round(own_node(), FRA)
    changes = len(machine.link.changes)
    without = own_node()
    del without["spec"]["podCIDR"]
    without["spec"]["podCIDR"] = ""
    assert machine.round(without, FRA)
    assert len(machine.link.changes) == changes
    assert machine.installed.calls == [True]
    (line,) = machine.told()
    assert "takes no part in the network" in line["msg"]
    assert machine.announced["key"] == OWN


def test_a_missing_node_object_is_waited_for() -> None:
    machine = Machine()
    assert machine.round(FRA)
    assert machine.round(FRA)
    assert [line["msg"] for line in machine.told()] == ['there is no Node "ams-1": waiting for it']
    assert machine.round(own_node(), FRA)
    assert machine.plan.leads


def test_a_failed_step_is_repeated() -> None:
    machine = Machine()
    machine.installed.errors = [HostError("cannot run iptables")]
    assert not machine.round(own_node(), FRA)
    assert machine.announced["wireguard-ip"] == "10.4.0.1/16"
    assert machine.round(own_node(), FRA)
    assert machine.installed.calls == [True, True]
    assert machine.rounds.figures.errors == {"apply": 1}
    assert machine.round(own_node(), FRA)
    assert machine.installed.calls == [True, True]


def test_the_next_stale_heartbeat_is_known() -> None:
    machine = Machine()
    machine.round(own_node(), FRA, the_node(4, "nyc", last_seen=str(int(TIME) - 20)))
    assert machine.rounds.stale_at == int(TIME) + 40
    machine.round(own_node())
    assert machine.rounds.stale_at == float("inf")
    assert machine.plan.leads
    assert machine.link.state.peers == {}


def test_a_peer_ends_at_its_time_though_heartbeats_stand_still() -> None:
    clock = [TIME]
    machine = Machine(clock=lambda: clock[0])
    guest = peer("guest", "10.5.0.9/32")
    guest["metadata"]["annotations"] = {"kgctl.dev/expires": time_text(int(TIME) + 90)}
    objects = (own_node(), FRA, guest, peer("laptop", "10.5.0.1/32"))
    assert machine.round(*objects)
    assert machine.rounds.expires_at == int(TIME) + 90
    assert (len(machine.link.state.peers), machine.rounds.figures.peers) == (3, 2)
    assert "10.5.0.9/32" in destinations(machine)
    clock[0] = int(TIME) + 89.9
    assert machine.round(*objects)
    assert len(machine.link.state.peers) == 3
    clock[0] = int(TIME) + 90.0
    assert machine.round(*objects, now=TIME)
    assert PublicKey.parse(key("peer guest")) not in machine.link.state.peers
    assert (len(machine.link.state.peers), machine.rounds.figures.peers) == (2, 1)
    assert "10.5.0.9/32" not in destinations(machine)
    assert machine.rounds.expires_at == float("inf")


def test_a_detected_granularity_is_that_of_the_others() -> None:
    machine = Machine(granularity="auto")
    machine.round(own_node(), the_node(2, "fra", granularity="full"))
    assert machine.announced["granularity"] == "full"
    machine = Machine(granularity="auto")
    machine.round(own_node())
    assert machine.announced["granularity"] == "location"


def test_many_rounds_keep_nothing() -> None:
    """KGCTL_SOAK_ROUNDS=10000 is the long run."""
    machine = Machine()
    rounds = int(os.environ.get("KGCTL_SOAK_ROUNDS", "400"))

    def some(count: int) -> int:
        for number in range(count):
            nodes = [FRA, the_node(4, "nyc", last_seen=str(int(TIME) + number % 7))]
            peers = [peer("laptop", f"10.5.0.{number % 200 + 1}/32")]
            hostile = the_node(5, "lis", allowed_location_ips=f"8.8.{number % 50}.0/24")
            assert machine.round(own_node(), *nodes, hostile, *peers, whole=number % 5 == 0)
        machine.link.changes.clear()
        machine.installed.calls.clear()
        machine.lines.clear()
        gc.collect()
        return len(gc.get_objects())

    some(rounds // 4)  # what is remembered once, such as what was told
    before = some(rounds // 4)
    threads, files = threading.active_count(), len(list(FILES.iterdir()))
    after = some(rounds // 2)
    assert after <= before + 50
    assert threading.active_count() <= threads
    assert len(list(FILES.iterdir())) <= files
