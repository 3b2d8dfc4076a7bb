"""A network within the policy of claims: the effects of a hostile node on a laptop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hypothesis import given

from kgctl.errors import MeshError
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.granted import limited
from kgctl.mesh.guards import Reason
from kgctl.mesh.policy import Limits
from kgctl.mesh.routes import peer_routes
from kgctl.mesh.state import network_of
from kgctl.state.objects import state_of
from kgctl.wireguard.quick import QuickSettings, quick_configuration
from tests.support.several import key, objects_of
from tests.support.strategies import clusters

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.topology import Topology
    from kgctl.state.interface import Objects

NOW = 1_800_000_000.0
PREFIX = "kilo.squat.ai/"


def _cidr(text: str) -> Cidr:
    cidr = parse_cidr(text)
    assert cidr is not None
    return cidr


def _node(name: str, number: int, place: str, **annotations: str) -> dict[str, Any]:
    own = {
        "key": key(f"node {name}"),
        "last-seen": "4102444800",
        "granularity": "location",
        "location": place,
        "endpoint": f"203.0.113.{number}:51820",
        "internal-ip": f"10.1.{number}.1/24",
        "wireguard-ip": f"10.4.0.{number}/16",
        **{name.replace("_", "-"): value for name, value in annotations.items()},
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {PREFIX + key: value for key, value in own.items()},
        },
        "spec": {"podCIDR": f"10.42.{number}.0/24"},
    }


def _peer(name: str, *networks: str) -> dict[str, Any]:
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": name},
        "spec": {"allowedIPs": list(networks), "publicKey": key(f"peer {name}")},
    }


def _topology(*objects: dict[str, Any]) -> Topology:
    return network_of(state_of(objects_of(list(objects))), now=NOW)


HONEST = (
    _node("a", 1, "fsn", allowed_location_ips="192.168.7.0/24"),
    _node("b", 2, "office", allowed_location_ips="10.128.0.0/9"),
    _peer("laptop", "10.5.0.1/32"),
    _peer("printer", "10.5.0.2/32", "192.168.90.0/24"),
)


def test_an_honest_network_stays_as_it_is() -> None:
    topology = _topology(*HONEST)
    found = limited(topology, beside="laptop")
    assert found.topology == topology
    assert found.refusals == []


def test_a_hostile_node_gets_nothing_of_a_laptop() -> None:
    evil = _node(
        "evil", 3, "x", internal_ip="9.9.9.9/32",
        allowed_location_ips="11.0.0.0/8,12.0.0.0/6,16.0.0.0/4,32.0.0.0/3,64.0.0.0/2,128.0.0.0/3,10.5.0.1/32,"
        "169.254.169.254/32,192.168.44.0/24",
    )  # fmt: skip
    topology = _topology(*HONEST, evil)
    found = limited(topology, beside="laptop")
    segment = found.topology.segment_of("evil")
    assert segment is not None
    networks = [str(one) for one in (*segment.allowed_ips, *segment.allowed_location_ips)]
    assert networks == ["10.42.3.0/24", "10.4.0.3/32", "192.168.44.0/24"]
    reasons = {str(one.claim.network): one.reason for one in found.by_segment["location:x"]}
    assert reasons == {
        "9.9.9.9/32": Reason.DEFAULT,
        "11.0.0.0/8": Reason.DEFAULT,
        "12.0.0.0/6": Reason.DEFAULT,
        "16.0.0.0/4": Reason.DEFAULT,
        "32.0.0.0/3": Reason.DEFAULT,
        "64.0.0.0/2": Reason.DEFAULT,
        "128.0.0.0/3": Reason.DEFAULT,
        "169.254.169.254/32": Reason.SPECIAL,
    }  # the laptop's own address Kilo has filtered
    assert {one.claimer for one in found.refusals} == {"node evil"}
    destinations = {str(route.destination) for route in peer_routes(found.topology, "laptop")}
    assert not destinations & {"64.0.0.0/2", "12.0.0.0/6", "9.9.9.9/32", "169.254.169.254/32"}
    assert {"10.42.3.0/24", "10.4.0.3/32", "10.4.0.1/32"} <= destinations


def test_a_hostile_network_of_wireguard_ips() -> None:
    nodes = [
        _node(name, number, name, wireguard_ip=f"198.51.100.{number}/24")
        for number, name in enumerate("ab", 1)
    ]
    topology = _topology(*nodes, HONEST[2])
    assert str(topology.subnet) == "198.51.100.0/24"
    found = limited(topology, beside="laptop")
    destinations = [str(route.destination) for route in peer_routes(found.topology, "laptop")]
    assert not [one for one in destinations if one.startswith("198.51.100.")]
    assert "10.42.1.0/24" in destinations
    assert {one.claim.name for one in found.refusals} == {"a", "b"}


def test_a_copied_endpoint_and_ones_own() -> None:
    thief = _node("thief", 3, "x", internal_ip="203.0.113.1/32")
    own = _node("own", 4, "x", internal_ip="203.0.113.4/24")
    found = limited(_topology(*HONEST, thief, own), beside="laptop")
    by_name = {one.claim.name: one for one in found.refusals}
    assert by_name["thief"].reason is Reason.ENDPOINT
    assert not by_name["thief"].is_expected
    assert "the endpoint of node a" in by_name["thief"].why
    assert "own" not in by_name  # it leads: whoever routes leaves its endpoint out


def test_a_peer_is_judged_as_a_node_is() -> None:
    topology = _topology(*HONEST, _peer("exit", "10.5.0.9/32", "0.0.0.0/0", "::/0"))
    found = limited(topology, beside="laptop")
    peer = found.topology.peer("exit")
    assert peer is not None
    assert [str(one) for one in peer.allowed_ips] == ["10.5.0.9/32"]
    limits = Limits(accept={"exit": (_cidr("0.0.0.0/0"),)})
    agreed = limited(topology, limits, beside="laptop").topology.peer("exit")
    assert agreed is not None
    assert [str(one) for one in agreed.allowed_ips] == ["10.5.0.9/32", "0.0.0.0/0"]
    whole = limited(topology, beside="exit").topology.peer("exit")
    assert whole == topology.peer("exit")


def test_an_annotation_full_of_networks_that_clash_takes_no_long_time() -> None:
    """15,000 single addresses of another node's network, which Kilo filters out."""
    many = ",".join(f"10.129.{number // 250}.{number % 250}/32" for number in range(15_000))
    evil = _node("evil", 3, "a", allowed_location_ips=many)
    began = time.process_time()
    segment = _topology(*HONEST, evil).segment_of("evil")
    assert time.process_time() - began < 5
    assert segment is not None
    assert segment.allowed_location_ips == ()
    assert len(segment.filtered_location_ips) == 15_000


@given(clusters())
def test_what_is_left_is_a_part_of_what_was_claimed(objects: Objects) -> None:
    try:
        topology = network_of(state_of(objects), now=NOW, granularity="location")
    except MeshError:
        return
    found = limited(topology).topology
    kept = {segment.name: segment for segment in topology.segments}
    for after in found.segments:
        before = kept[after.name]
        claimed = (*before.allowed_ips, *before.allowed_location_ips)
        for one in (*after.allowed_ips, *after.allowed_location_ips):
            assert any(
                claim.contains(one.address) and claim.prefix <= one.prefix for claim in claimed
            )
    assert limited(found).topology == found


def test_the_file_says_what_it_does_not_have() -> None:
    evil = _node("evil", 3, "x", allowed_location_ips="0.0.0.0/5,16.0.0.0/4,128.0.0.0/2")
    topology = _topology(*HONEST, evil)
    laptop = topology.peer("laptop")
    assert laptop is not None
    text = str(quick_configuration(topology, laptop, QuickSettings()))
    assert (
        "# refused: node evil claims 0.0.0.0/5, 128.0.0.0/2, 16.0.0.0/4: that is wider than /8\n"
        in text
    )
    assert "128.0.0.0/2" not in "".join(one for one in text.splitlines() if one[:1] != "#")
