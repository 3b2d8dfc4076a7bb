"""The wanted state of a host: routes, extra networks, and its commands in a dry run."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgctl.connect.dryrun import device_commands, link_commands, route_commands
from kgctl.connect.network import Memory, NotAMemberError, Wanted, wanted_of
from kgctl.host.routes import route_change
from kgctl.mesh.endpoint import parse_endpoint
from kgctl.mesh.key import PublicKey
from kgctl.mesh.node import Node
from kgctl.mesh.owners import NOTHING, Present
from kgctl.mesh.peer import Peer
from kgctl.mesh.policy import Limits
from kgctl.mesh.state import State, network_of
from kgctl.mesh.text import parse_duration
from kgctl.state.example import TAKEN_AT, Example
from kgctl.state.objects import state_of
from kgctl.wireguard.conf import peer_configuration
from kgctl.wireguard.device import (
    DeviceChange,
    DeviceState,
    PeerChange,
    device_change,
    wanted_peers,
)
from kgctl.wireguard.keys import PrivateKey
from tests.wireguard.test_device import KEYS, cidr

STATE = state_of(Example().read())
NAME = "laptop"


def wanted(*extra: str) -> Wanted:
    return wanted_of(
        STATE, name=NAME, now=TAKEN_AT, granularity="auto", extra=[cidr(text) for text in extra]
    )


def test_it_is_what_showconf_prints() -> None:
    topology = network_of(STATE, now=TAKEN_AT)
    own = next(peer for peer in topology.peers if peer.name == NAME)
    assert wanted().peers == peer_configuration(topology, own).peers


def test_it_says_where_the_others_call_this_host() -> None:
    ports = {name: wanted_of(STATE, name=name, now=TAKEN_AT, granularity="auto").listen_port
             for name in ("laptop", "office")}  # fmt: skip
    assert ports == {"laptop": None, "office": 51820}  # the laptop's router's port is not its own


def test_routes_follow_kilo_s_rules() -> None:
    topology = network_of(STATE, now=TAKEN_AT)
    routes = {str(route.destination): route.gateway for route in wanted().routes}
    for segment in topology.segments:
        assert routes[f"{segment.wireguard_ip}/32"] is None
        for network in (*segment.allowed_ips[:-1], *segment.allowed_location_ips):
            if segment.endpoint is None or segment.endpoint.address != network.address:
                assert routes[str(network.masked())] == segment.wireguard_ip
    for peer in topology.peers:
        for network in peer.allowed_ips:
            assert (str(network.masked()) in routes) == (peer.name != NAME)


def test_extra_networks_go_to_the_first_ready_node_s_segment() -> None:
    topology = network_of(STATE, now=TAKEN_AT)
    segment = topology.segment_of(STATE.ready_nodes(TAKEN_AT)[0].name)
    assert segment is not None
    found = wanted("10.43.0.0/16")
    owners = [one.public_key for one in found.peers if cidr("10.43.0.0/16") in one.allowed_ips]
    assert owners == [segment.key]
    routes = {str(route.destination): route.gateway for route in found.routes}
    assert routes["10.43.0.0/16"] == topology.segments[0].wireguard_ip


def a_named_endpoint(*leading: str) -> Wanted:
    """Return what a network asks in which a-1, with a name, and a-2 may lead location a.

    Those ``leading`` have a WireGuard IP.
    """
    nodes = tuple(
        Node(
            name,
            subnet=cidr(f"10.42.{number}.0/24"),
            endpoint=parse_endpoint(endpoint),
            internal_ip=cidr(f"192.168.1.{number}/24"),
            key=PublicKey(bytes([number] * 32)),
            last_seen=int(TAKEN_AT),
            location=name[0],
            wireguard_ip=cidr("10.4.0.1/16") if name in leading else None,
            granularity="location",
        )
        for number, (name, endpoint) in enumerate(
            {
                "a-1": "a1.example.com:51820",
                "a-2": "198.51.100.3:51820",
                "b-1": "198.51.100.2:51820",
            }.items(),
            start=1,
        )
    )
    own = Peer(name="host", allowed_ips=(cidr("10.5.0.1/32"),), public_key=PublicKey(b"h" * 32))
    state = State(nodes=nodes, peers=(own,))
    return wanted_of(state, name="host", now=TAKEN_AT, granularity="auto")


@pytest.mark.parametrize("leading", [("a-1", "b-1"), ("a-2", "b-1")], ids=" ".join)
def test_where_a_name_decides_who_leads_it_is_who_the_agents_chose(
    leading: tuple[str, ...],
) -> None:
    found = a_named_endpoint(*leading)
    number = int(leading[0][-1])
    (section,) = (one for one in found.peers if cidr("10.42.1.0/24") in one.allowed_ips)
    assert section.public_key == PublicKey(bytes([number] * 32))
    assert cidr("10.42.2.0/24") in section.allowed_ips
    assert found.names[section.public_key] == leading[0]
    assert found.doubts == {}


def test_where_nothing_tells_who_leads_it_is_said() -> None:
    assert a_named_endpoint("b-1").doubts == {"location:a": ("a-1", "a-2")}


def test_without_a_peer_of_that_name_it_is_said() -> None:
    with pytest.raises(NotAMemberError, match='"nobody" is no longer in the cluster'):
        wanted_of(STATE, name="nobody", now=TAKEN_AT, granularity="auto")


def test_commands_hold_no_secret() -> None:
    key = PrivateKey(b"a" * 32)
    state = DeviceState(private_key=key, listen_port=51820, peers=wanted_peers(wanted().peers, {}))
    change = device_change(DeviceState(), state, given={}, now=0)
    lines = [
        *link_commands("kilo0", exists=False, mtu=1420, addresses=(cidr("fd00::1/128"),)),
        *device_commands("kilo0", change, private_key=Path("/etc/my key"), peer=NAME),
        *route_commands("kilo0", route_change([], wanted().routes)),
    ]
    assert lines[:4] == [
        "ip link add kilo0 type wireguard",
        "ip link set kilo0 mtu 1420",
        "ip address replace fd00::1/128 dev kilo0 nodad",
        "ip link set kilo0 up",
    ]
    assert "wg set kilo0 private-key '/etc/my key'" in lines
    assert key.reveal() not in "\n".join(lines)
    secrets = [one.preshared_key.reveal() for one in wanted().peers if one.preshared_key]
    assert not any(secret in line for secret in secrets for line in lines)


def test_an_endpoint_in_brackets_is_no_pattern_of_a_shell() -> None:
    key = PublicKey.parse(str(KEYS[0]))
    assert key is not None
    one = PeerChange(public_key=key, endpoint=parse_endpoint("[2001:db8::1]:51820"))
    change = DeviceChange(peers=(one,))
    (line,) = device_commands("kilo0", change, private_key=None, peer=NAME)
    assert line == f"wg set kilo0 peer {key} endpoint '[2001:db8::1]:51820'"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1m30s", 90), ("1.5h", 5400), ("0", 0), ("30", None), ("-1s", None), ("", None)],
)
def test_durations_are_go_s(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


def claimed_twice(present: Present = NOTHING) -> Wanted:
    """Return what a network asks in which b has the internal IP of a, and c the key of d."""
    places = {"a": (1, KEYS[0]), "b": (1, KEYS[1]), "c": (3, KEYS[2]), "d": (4, KEYS[2])}
    nodes = tuple(
        Node(
            name,
            subnet=cidr(f"10.42.{number}.0/24"),
            endpoint=parse_endpoint(f"198.51.100.{number}:51820"),
            internal_ip=cidr(f"10.1.0.{address}/24"),
            key=key,
            last_seen=1000,
        )
        for number, (name, (address, key)) in enumerate(places.items())
    )
    own = Peer(name="laptop", allowed_ips=(cidr("10.5.0.1/32"),), public_key=PublicKey(b"o" * 32))
    return wanted_of(
        State(nodes, (own,)), name="laptop", now=1000.0, granularity="full", present=present
    )


def owners(found: Wanted) -> dict[str, list[str]]:
    shared = cidr("10.1.0.1/32")
    return {
        "address": [
            found.names[one.public_key] for one in found.peers if shared in one.allowed_ips
        ],
        "key": [found.names[one.public_key] for one in found.peers if one.public_key == KEYS[2]],
    }


def test_what_two_have_is_the_first_one_s_unless_this_host_is_set_up_for_the_other() -> None:
    fresh = claimed_twice()
    assert owners(fresh) == {"address": ["a"], "key": ["c"]}
    assert {one.claim.name for one in fresh.refusals} == {"b", "d"}
    present = Present({KEYS[2]: "d"}, {cidr("10.1.0.1/32"): KEYS[1]})
    found = claimed_twice(present)
    assert owners(found) == {"address": ["b"], "key": ["d"]}
    assert {one.claim.name for one in found.refusals} == {"a", "c"}
    routes = {str(route.destination) for route in found.routes}
    assert "10.42.3.0/24" in routes  # those of d
    assert "10.42.2.0/24" not in routes


def test_new_heartbeats_alone_are_no_work_and_anything_else_is() -> None:
    memory = Memory()

    def ask(state: State, **given: object) -> Wanted:
        return wanted_of(
            state,
            name=NAME,
            now=TAKEN_AT,
            granularity="auto",
            memory=memory,
            **given,  # type: ignore[arg-type]
        )

    first = ask(STATE)
    assert first == wanted()
    beaten = STATE._replace(
        nodes=tuple(one._replace(last_seen=one.last_seen + 1) for one in STATE.nodes)
    )
    assert ask(beaten) is first
    assert ask(beaten, limits=Limits(deny=(cidr("10.42.0.0/24"),))) is not first
    again = ask(STATE)
    assert again == first
    stale = STATE._replace(
        nodes=tuple(
            one._replace(last_seen=0) if one.name == "gcp-1" else one for one in STATE.nodes
        )
    )
    assert ask(stale).routes != first.routes
    extra = ask(STATE, extra=(cidr("10.43.0.0/16"),))
    assert extra == wanted("10.43.0.0/16")
    claims = claimed_twice(Present({}, {cidr("10.1.0.1/32"): KEYS[1]}))
    assert owners(claims)["address"] == ["b"]
