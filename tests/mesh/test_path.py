"""Paths of packets, and why they stop: small networks, one rule of Kilo or WireGuard each."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kgctl.kube.objects import NodeObject
from kgctl.mesh.cidr import parse_address
from kgctl.mesh.path.ends import absent_owner, find_end
from kgctl.mesh.path.route import Reason
from kgctl.mesh.path.walk import find_path
from kgctl.mesh.state import network_of
from kgctl.render.graph.dot import to_dot
from kgctl.render.path import path_edges, path_to_object, path_to_text
from kgctl.state.interface import Objects
from kgctl.state.objects import state_of
from tests.support.harmless import network
from tests.support.strategies import clusters, hostile_clusters
from tests.support.strictdot import shape_of

if TYPE_CHECKING:
    from kgctl.mesh.path.walk import Path
    from kgctl.mesh.topology import Topology

NOW = 1_800_000_000.0


def _key(name: str) -> str:
    return base64.b64encode(name.encode().ljust(32, b"k")).decode()


def _node(name: str, number: int, endpoint: str, **annotations: str) -> NodeObject:
    """Return a node at the location that its name's letter names."""
    own = {
        "location": name[0],
        "endpoint": f"{endpoint}:51820",
        "internal-ip": f"10.{ord(name[0])}.0.{number}/24",
        "key": _key(name),
        "last-seen": str(int(NOW)),
        **{field.replace("_", "-"): value for field, value in annotations.items()},
    }
    return NodeObject(
        name, f"10.42.{number}.0/24", {}, {f"kilo.squat.ai/{f}": v for f, v in own.items()}
    )


def _peer(name: str, *allowed_ips: str, endpoint: str = "", keepalive: int = 0) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "allowedIPs": list(allowed_ips),
        "publicKey": _key(name),
        "persistentKeepalive": keepalive,
    }
    if endpoint:
        spec["endpoint"] = {"dnsOrIP": {"ip": endpoint}, "port": 51820}
    return {"metadata": {"name": name}, "spec": spec}


def _network(
    nodes: list[NodeObject], *peers: dict[str, Any], granularity: str = "location"
) -> Topology:
    state = state_of(Objects(nodes, list(peers), {}))
    return network_of(state, now=NOW, granularity=granularity, hostname="")


def _path(topology: Topology, start: str, target: str) -> Path:
    ends = find_end(topology, start), find_end(topology, target)
    assert ends[0] is not None
    assert ends[1] is not None
    return find_path(topology, ends[0], ends[1])


def _names(path: Path) -> list[str]:
    assert path.back is not None
    there = [hop.end.name for hop in path.there.hops]
    return [*there, "|", *(hop.end.name for hop in path.back.hops)]


def _reason(path: Path) -> Reason | None:
    walk = path.back or path.there
    return None if walk.failure is None else walk.failure.reason


A1 = _node("a1", 1, "198.51.100.1", leader="true")
A2 = _node("a2", 2, "198.51.100.2")
B1 = _node("b1", 3, "203.0.113.1")
HOME = "192.168.0.9"
"""Where something behind NAT is, as it sees itself."""


def test_it_goes_through_both_leaders_and_comes_back() -> None:
    path = _path(_network([A1, A2, B1]), "a2", "b1")
    assert path.reachable
    assert _names(path) == ["a1", "b1", "|", "a1", "a2"]
    assert [hop.encrypted for hop in path.there.hops] == [False, True]
    tunnel = path.there.hops[1]
    assert (str(tunnel.key), str(tunnel.endpoint)) == (_key("b1"), "203.0.113.1:51820")
    assert (str(tunnel.chosen_by), str(tunnel.let_in_by)) == ("10.42.3.0/24", "10.42.2.0/24")


def test_within_a_location_nothing_is_encrypted_and_with_full_granularity_all_is() -> None:
    within = _path(_network([A1, A2]), "a1", "a2")
    assert [hop.encrypted for hop in within.there.hops] == [False]
    full = _path(_network([A1, A2], granularity="full"), "a1", "a2")
    assert [hop.encrypted for hop in full.there.hops] == [True]


@pytest.mark.parametrize(
    ("address", "last", "what"),
    [
        ("10.42.2.77", "a2", "a pod of a2"),
        ("10.97.0.2", "a2", "the internal IP of a2"),
        ("10.4.0.1", "a1", "the WireGuard IP of a1"),
        ("10.5.0.1", "p", "peer p"),
        ("172.20.1.9", "p", "behind peer p"),
        ("172.21.1.9", "a1", "in the network of location:a"),
    ],
)
def test_every_address_of_the_network_is_known(address: str, last: str, what: str) -> None:
    a1 = _node("a1", 1, "198.51.100.1", leader="true", allowed_location_ips="172.21.0.0/16")
    peer = _peer("p", "10.5.0.1/32", "172.20.0.0/16", endpoint="192.0.2.9")
    path = _path(_network([a1, A2, B1], peer), "b1", address)
    assert path.reachable
    assert path.there.last.name == last
    assert path.target.what == what


def test_the_longest_prefix_wins_over_the_node_that_has_the_wider_network() -> None:
    peer = _peer("p", "10.42.3.128/25", endpoint="192.0.2.9")
    topology = _network([A1, A2, B1], peer)
    assert _path(topology, "a2", "10.42.3.127").there.last.name == "b1"
    assert _path(topology, "a2", "10.42.3.128").there.last.name == "p"
    refused = _path(topology, "10.42.3.128", "a2")
    assert refused.start.machine is not None
    assert refused.start.machine.name == "p"


def test_a_source_that_another_claims_is_not_let_in() -> None:
    topology = _network([A1, A2, B1], _peer("p", "10.42.3.0/28", endpoint="192.0.2.9"))
    path = _path(topology, "b1", "a2")
    assert _reason(path) is Reason.SOURCE_REFUSED
    assert path.there.failure is not None
    assert path.there.failure.machine.name == "a1"
    assert path.there.failure.why == (
        "a1 drops it: 10.42.3.2 may not come from b1, since 10.42.3.0/28 of p has it"
    )


def test_a_packet_that_arrives_elsewhere_has_not_arrived() -> None:
    topology = _network([A1, A2, B1], _peer("p", "10.42.3.0/28", endpoint="192.0.2.9"))
    assert _reason(_path(topology, "a2", "b1")) is Reason.ELSEWHERE


def test_of_two_equal_networks_a_node_has_the_last_and_a_peer_the_first() -> None:
    peers = [
        _peer("p", "172.20.0.0/16", "10.5.0.1/32", endpoint="192.0.2.9"),
        _peer("q", "172.20.9.9/16", "10.5.0.2/32", endpoint="192.0.2.10"),  # the same to the kernel
    ]
    topology = _network([A1], *peers, _peer("z", "10.5.0.3/32", endpoint="192.0.2.11"))
    assert _path(topology, "a1", "172.20.1.1").there.last.name == "q"
    assert _path(topology, "z", "172.20.1.1").there.hops[0].end.name == "p"


def test_a_network_that_a_clash_took_out_is_not_reached() -> None:
    a1 = _node("a1", 1, "198.51.100.1", allowed_location_ips="172.21.0.0/16")
    b1 = _node("b1", 3, "203.0.113.1", allowed_location_ips="172.21.0.0/16")
    topology = _network([a1, b1, _node("c1", 4, "203.0.113.9")])
    assert _path(topology, "c1", "172.21.0.1").there.last.name == "b1"  # a's went first
    assert _reason(_path(topology, "a1", "8.8.8.8")) is Reason.NO_ROUTE


def test_who_would_have_an_address_is_told() -> None:
    late = _node("c1", 4, "203.0.113.9", last_seen="0", allowed_location_ips="172.22.0.0/16")
    a1 = _node("a1", 1, "198.51.100.1", allowed_location_ips="172.21.0.0/16")
    b1 = _node("b1", 3, "203.0.113.1", allowed_location_ips="172.21.9.0/24")
    bad = {**_peer("p", "10.5.0.1/32", "nonsense")}
    state = state_of(Objects([a1, b1, late], [bad], {}))
    topology = network_of(state, now=NOW, granularity="location", hostname="")
    said = {
        "10.42.4.9": "of c1, which takes no part: no heartbeat",
        "172.22.1.1": "of c1, which takes no part: no heartbeat",
        "172.21.0.1": "in 172.21.0.0/16 of location:a, which Kilo leaves out: it clashes with "
        "another network",
        "10.5.0.1": 'of peer p, which is invalid: allowed IP "nonsense" is not a CIDR '
        "(address/prefix)",
        "8.8.8.8": None,
    }
    for text, words in said.items():
        address = parse_address(text)
        assert address is not None
        assert absent_owner(state, topology, NOW, address) == words


@pytest.mark.parametrize(
    ("start", "target", "keepalive", "reason"),
    [
        ("h1", "b1", "0", None),  # the one behind NAT calls
        ("b1", "h1", "0", Reason.NO_KEEPALIVE),
        ("b1", "h1", "25", None),
        ("h1", "i1", "25", Reason.PRIVATE_ENDPOINT),  # two behind NAT
        ("h1", "p", "25", Reason.NO_ENDPOINT),
        ("p", "h1", "25", Reason.PRIVATE_ENDPOINT),
        ("b1", "p", "25", Reason.NO_KEEPALIVE),  # the peer has none
        ("p", "b1", "25", None),
    ],
)
def test_who_can_call_whom(start: str, target: str, keepalive: str, reason: Reason | None) -> None:
    behind = [_node(f"{at}1", number, HOME, persistent_keepalive=keepalive)
              for number, at in enumerate("hi", 5)]  # fmt: skip
    topology = _network([B1, *behind], _peer("p", "10.5.0.1/32"))
    assert _reason(_path(topology, start, target)) is reason


def test_two_behind_nat_meet_where_a_node_discovered_both() -> None:
    found = "".join(
        f'"{_key(name)}": {{"IP": "198.18.0.{number}", "Port": 40000, "Zone": ""}}{comma}'
        for number, name, comma in ((1, "h1", ","), (2, "p", ""))
    )
    b1 = _node("b1", 3, "203.0.113.1", discovered_endpoints=f"{{{found}}}")
    home = _node("h1", 5, HOME, persistent_keepalive="25")
    for keepalive in (25, 0):
        peer = _peer("p", "10.5.0.1/32", keepalive=keepalive)
        assert _path(_network([b1, home], peer), "p", "h1").reachable is bool(keepalive)
    same = found.replace("198.18.0.2", "198.18.0.1")
    other = _node("h2", 6, HOME, persistent_keepalive="25", key=_key("p"))
    b1 = _node("b1", 3, "203.0.113.1", discovered_endpoints=f"{{{same}}}")
    path = _path(_network([b1, home, other], granularity="full"), "h1", "h2")
    assert _reason(path) is Reason.SAME_NAT


def test_two_of_one_location_call_each_other_at_private_endpoints() -> None:
    pair = [_node(f"h{number}", number, f"10.104.0.{number}") for number in (5, 6)]
    path = _path(_network(pair, granularity="full"), "h5", "h6")
    assert path.reachable


def test_an_endpoint_that_is_routed_into_the_tunnel_is_a_loop() -> None:
    peer = _peer("p", "10.5.0.1/32", "203.0.113.0/24", endpoint="192.0.2.9")
    assert _reason(_path(_network([A1, B1], peer), "a1", "b1")) is Reason.ROUTING_LOOP


def test_an_internal_ip_that_is_the_endpoint_is_never_sent_into_the_tunnel() -> None:
    b1 = _node("b1", 3, "203.0.113.1", internal_ip="203.0.113.1/24")
    topology = _network([A1, b1], _peer("p", "10.5.0.1/32", keepalive=25))
    assert _reason(_path(topology, "a1", "203.0.113.1")) is Reason.OUTSIDE
    assert _reason(_path(topology, "p", "203.0.113.1")) is Reason.OUTSIDE
    assert _path(topology, "p", "b1").reachable


def test_of_two_with_one_key_wireguard_knows_the_last() -> None:
    twin = _node("c1", 4, "203.0.113.9", key=_key("b1"))
    topology = _network([A1, B1, twin])
    assert _path(topology, "a1", "c1").there.failure is None
    assert _reason(_path(topology, "a1", "b1")) is Reason.NO_ALLOWED_IP


def test_families_do_not_mix() -> None:
    topology = _network([A1], _peer("p", "fd00:5::1/128", keepalive=25))
    assert _reason(_path(topology, "p", "a1")) is Reason.NO_COMMON_FAMILY


def test_a_peer_whose_addresses_others_claim_has_none() -> None:
    topology = _network([A1], _peer("p", "10.5.0.1/32"), _peer("q", "10.5.0.1/32"))
    for start, target in (("q", "a1"), ("a1", "q")):
        path = _path(topology, start, target)
        assert _reason(path) is Reason.NO_ADDRESS
        assert "peer q has no address" in path_to_text(path)
        assert path_to_object(path)["reachable"] is False


def test_a_name_can_be_told_apart() -> None:
    topology = _network([A1, B1], _peer("b1", "10.5.0.1/32", endpoint="192.0.2.9"))
    kinds = {text: find_end(topology, text) for text in ("b1", "node/b1", "peer/b1", "peer/a1")}
    machines = {text: end and end.machine and end.machine.kind for text, end in kinds.items()}
    expected = {"b1": "node", "node/b1": "node", "peer/b1": "peer", "peer/a1": None}
    assert machines == expected


@given(clusters(), st.sampled_from(["location", "full"]), st.data())
def test_a_path_ends_and_a_way_back_is_one_from_where_it_came(
    objects: Objects, granularity: str, data: st.DataObject
) -> None:
    state = state_of(objects)
    assume(state.ready_nodes(NOW))
    topology = network_of(state, now=NOW, granularity=granularity, hostname="")
    names = [node.name for segment in topology.segments for node in segment.nodes]
    names += [f"peer/{peer.name}" for peer in topology.peers]
    path = _path(topology, *(data.draw(st.sampled_from(names)) for _ in range(2)))
    for walk in (path.there, *([path.back] if path.back else [])):
        steps = [walk.hops[0].start, *(hop.end for hop in walk.hops)] if walk.hops else []
        assert not steps or steps[-1].name == walk.last.name
        assert all(hop.let_in_by and hop.chosen_by for hop in walk.hops if hop.encrypted)
        for hop in walk.hops:
            assert walk.source is not None
            assert walk.destination is not None
            assert hop.let_in_by is None or hop.let_in_by.contains(walk.source)
            assert hop.chosen_by is None or hop.chosen_by.contains(walk.destination)
    assert path.reachable is (path_to_object(path)["reachable"])


@given(hostile_clusters(), st.data())
def test_hostile_names_act_on_neither_a_terminal_nor_a_graph(
    objects: Objects, data: st.DataObject
) -> None:
    topology = network(state_of(objects))
    if topology is None:
        return
    names = [node.name for segment in topology.segments for node in segment.nodes]
    path = _path(topology, *(f"node/{data.draw(st.sampled_from(names))}" for _ in range(2)))
    text = path_to_text(path)
    assert all(line.isprintable() for line in text.splitlines())
    drawn = list(path_edges(path))
    plain, full = shape_of(to_dot(topology)), shape_of(to_dot(topology, drawn))
    assert full.edges == plain.edges + len(drawn)
