"""Owners of keys and networks that two claim: the same order for every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.errors import MeshError
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.granted import limited
from kgctl.mesh.guards import Reason
from kgctl.mesh.key import PublicKey
from kgctl.mesh.owners import Owned, Present, owned_once
from kgctl.mesh.state import network_of
from kgctl.state.objects import state_of
from kgctl.wireguard.quick import (
    LeftOutError,
    NobodyLeftError,
    QuickSettings,
    quick_configuration,
)
from tests.support.several import key, objects_of
from tests.support.strategies import clusters

if TYPE_CHECKING:
    from random import Random

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.topology import Topology
    from kgctl.state.interface import Objects

NOW = 1_800_000_000.0
PREFIX = "kilo.squat.ai/"


def _cidr(text: str) -> Cidr:
    cidr = parse_cidr(text)
    assert cidr is not None
    return cidr


def _key(text: str) -> PublicKey:
    found = PublicKey.parse(text)
    assert found is not None
    return found


def _node(name: str, number: int, **annotations: str) -> dict[str, Any]:
    own = {
        "key": key(f"node {name}"),
        "last-seen": "4102444800",
        "granularity": "location",
        "location": f"at-{name}",
        "endpoint": f"203.0.113.{number}:51820",
        "internal-ip": f"10.1.{number}.1/24",
        **{one.replace("_", "-"): value for one, value in annotations.items()},
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": {PREFIX + one: own[one] for one in own}},
        "spec": {"podCIDR": f"10.42.{number}.0/24"},
    }


def _peer(name: str, *networks: str, of: str | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": name},
        "spec": {"allowedIPs": list(networks), "publicKey": of or key(f"peer {name}")},
    }


def _topology(*objects: dict[str, Any]) -> Topology:
    return network_of(state_of(objects_of(list(objects))), now=NOW)


def _owners(owned: Owned, network: str) -> list[str]:
    topology = owned.topology
    found = [one.leader.name for one in topology.segments if _cidr(network) in one.allowed_ips]
    return found + [one.name for one in topology.peers if _cidr(network) in one.allowed_ips]


def _said(owned: Owned) -> list[str]:
    return [f"{one.refusal.claimer} {one.refusal.claim.network}: {one.refusal.why}"
            for one in owned.losses]  # fmt: skip


LAPTOP = _peer("laptop", "10.5.0.1/32")


def test_nothing_twice_stays_as_it_is() -> None:
    topology = _topology(_node("a", 1), _node("b", 2), LAPTOP)
    assert owned_once(topology, beside="laptop") == Owned(topology)


def test_an_internal_ip_of_two_nodes_is_the_first_ones_by_name() -> None:
    """By the nodes' names, not by those of their locations, in which order segments come."""
    nodes = (
        _node("a", 1, location="z", internal_ip="10.9.0.1/24"),
        _node("b", 2, location="y", internal_ip="10.9.0.1/24"),
    )
    for order in (nodes, nodes[::-1]):
        owned = owned_once(_topology(*order, LAPTOP), beside="laptop")
        assert _owners(owned, "10.9.0.1/32") == ["a"]
        assert _said(owned) == ["node b 10.9.0.1/32: node a has it, and keeps it"]
        assert owned.losses[0].refusal.reason is Reason.TAKEN


def test_the_present_owner_of_a_network_keeps_it() -> None:
    topology = _topology(
        _node("a", 1, internal_ip="10.9.0.1/24"), _node("b", 2, internal_ip="10.9.0.1/24"), LAPTOP
    )
    networks = {_cidr("10.9.0.1/32"): _key(key("node b"))}
    owned = owned_once(topology, beside="laptop", present=Present(networks=networks))
    assert _owners(owned, "10.9.0.1/32") == ["b"]
    stranger = Present(networks={_cidr("10.9.0.1/32"): _key(key("nobody"))})
    owned = owned_once(topology, beside="laptop", present=stranger)
    assert _owners(owned, "10.9.0.1/32") == ["a"]


def test_a_wireguard_ip_is_its_segments_whoever_claims_it() -> None:
    topology = _topology(
        _node("a", 1, internal_ip="10.4.0.2/16"), _node("b", 2), _peer("c", "10.4.0.1/32"), LAPTOP
    )
    present = Present(networks={_cidr("10.4.0.2/32"): _key(key("node a"))})
    owned = owned_once(topology, beside="laptop", present=present)
    assert _owners(owned, "10.4.0.2/32") == ["b"]
    assert _owners(owned, "10.4.0.1/32") == ["a"]
    assert _said(owned) == [
        "node a 10.4.0.2/32: node b has it, and keeps it",
        "peer c 10.4.0.1/32: node a has it, and keeps it",
    ]


def test_a_node_comes_before_a_peer() -> None:
    topology = _topology(_node("b", 2), _peer("a", "10.1.2.1/32", "10.5.0.9/32"), LAPTOP)
    owned = owned_once(topology, beside="laptop")
    assert _owners(owned, "10.1.2.1/32") == ["b"]
    assert [str(one) for one in owned.topology.peers[0].allowed_ips] == ["10.5.0.9/32"]


def test_networks_that_are_spelled_otherwise_are_one() -> None:
    peers = (_peer("a", "10.6.0.7/24"), _peer("b", "10.6.0.0/24", "10.5.0.3/32"))
    owned = owned_once(_topology(_node("n", 1), *peers, LAPTOP), beside="laptop")
    assert _owners(owned, "10.6.0.7/24") == ["a"]
    assert _owners(owned, "10.6.0.0/24") == []


def test_two_internal_ips_of_one_location_are_one_segments() -> None:
    pair = [_node(name, number, location="x", internal_ip="10.9.0.1/24")
            for number, name in enumerate("ab", 1)]  # fmt: skip
    topology = _topology(*pair, LAPTOP)
    assert owned_once(topology, beside="laptop") == Owned(topology)


def test_a_key_of_two_leaders_is_the_first_ones_by_name() -> None:
    nodes = (
        _node("a", 1, location="z", key=key("same")),
        _node("b", 2, location="y", key=key("same")),
        _node("b2", 3, location="y"),
    )
    for order in (nodes, nodes[::-1]):
        owned = owned_once(_topology(*order, LAPTOP), beside="laptop")
        assert [one.leader.name for one in owned.topology.segments] == ["a"]
        assert _said(owned)[:2] == [
            "node b 10.42.2.0/24: node a has the same public key, and keeps it",
            "node b 10.1.2.1/32: node a has the same public key, and keeps it",
        ]
        assert (
            "node b2 10.42.3.0/24: node a has the public key of its leader b, and keeps it"
            in _said(owned)
        )
        assert {one.place and one.place.name for one in owned.losses} == {"location:z"}


def test_a_key_stays_with_whom_the_machine_knows_by_it() -> None:
    topology = _topology(
        _node("a", 1, key=key("same")), _node("b", 2, key=key("same")),
        _peer("c", "10.5.0.9/32", of=key("same")), LAPTOP,
    )  # fmt: skip
    for known in "abc":
        present = Present(keys={_key(key("same")): known})
        owned = owned_once(topology, beside="laptop", present=present)
        names = [one.leader.name for one in owned.topology.segments]
        assert names + [one.name for one in owned.topology.peers] == ([known, "laptop"])
    gone = Present(keys={_key(key("same")): "x"})
    kept = owned_once(topology, beside="laptop", present=gone).topology
    assert [one.leader.name for one in kept.segments] == ["a"]
    assert [one.name for one in kept.peers] == ["laptop"]


def test_the_machines_own_key_is_nobody_elses() -> None:
    own = _peer("laptop", "10.5.0.1/32", of=key("same"))
    topology = _topology(_node("a", 1, key=key("same")), _node("b", 2), own)
    present = Present(keys={_key(key("same")): "a"})
    owned = owned_once(topology, beside="laptop", present=present)
    assert [one.leader.name for one in owned.topology.segments] == ["b"]
    assert _said(owned)[0] == (
        "node a 10.42.1.0/24: this machine itself has the same public key, and keeps it"
    )


def test_who_loses_a_key_loses_no_network_to_its_keeper() -> None:
    """The two have one network as well: it is told once."""
    nodes = [
        _node(name, number, key=key("same"), internal_ip="10.9.0.1/24")
        for number, name in enumerate("ab", 1)
    ]
    owned = owned_once(_topology(*nodes, LAPTOP), beside="laptop")
    assert {one.refusal.reason for one in owned.losses} == {Reason.KEY}


@given(clusters(), st.randoms(use_true_random=False))
def test_no_key_and_no_network_is_twos(objects: Objects, random: Random) -> None:
    """The order of the objects does not matter, and nothing that is one's alone is lost."""
    try:
        topology = network_of(state_of(objects), now=NOW, granularity="location")
    except MeshError:
        return
    owned = owned_once(topology)
    parts = [
        *((one.key, one.allowed_ips + one.allowed_location_ips) for one in owned.topology.segments),
        *((one.public_key, one.allowed_ips) for one in owned.topology.peers),
    ]
    keys = [key for key, _ in parts]
    networks = [one for _, networks in parts for one in {cidr.masked() for cidr in networks}]
    assert len(keys) == len(set(keys))
    assert len(networks) == len(set(networks))
    before = {one.key for one in topology.segments} | {one.public_key for one in topology.peers}
    assert set(keys) == before
    shuffled = objects._replace(
        nodes=random.sample(list(objects.nodes), len(objects.nodes)),
        peers=random.sample(list(objects.peers), len(objects.peers)),
    )
    again = network_of(state_of(shuffled), now=NOW, granularity="location")
    assert owned_once(again) == owned
    assert owned_once(owned.topology) == Owned(owned.topology)


# --- in a file ---


def _file(topology: Topology, **settings: Any) -> str:
    laptop = topology.peer("laptop")
    assert laptop is not None
    return str(quick_configuration(topology, laptop, QuickSettings(**settings)))


def test_a_file_has_a_key_once_and_says_who_is_left_out() -> None:
    nodes = [_node("a", 1, key=key("same")), _node("b", 2, key=key("same")), _node("c", 3)]
    text = _file(_topology(*nodes, LAPTOP))
    assert text.count(f"PublicKey = {key('same')}") == 1
    assert (
        "# location:at-a, led by a\n# refused: node b claims 10.42.2.0/24, 10.1.2.1/32, "
        "10.4.0.2/32: node a has the same public key, and keeps it\n" in text
    )
    assert "10.42.2.0/24" not in "".join(one for one in text.splitlines() if one[:1] != "#")
    assert limited(_topology(*nodes, LAPTOP), beside="laptop").refusals


def test_nothing_is_sent_to_who_is_left_out() -> None:
    topology = _topology(_node("a", 1, key=key("same")), _node("b", 2, key=key("same")), LAPTOP)
    for settings in ({"via": "b", "service_cidrs": (_cidr("10.43.0.0/16"),)}, {"gateway": "b"},
                     {"only": ("at-b",)}):  # fmt: skip
        with pytest.raises(LeftOutError, match=r"left out: node a has the same public key"):
            _file(topology, **settings)
    assert "0.0.0.0/0" in _file(topology, gateway="a")


def test_a_peer_with_the_key_of_the_only_leader() -> None:
    own = _peer("laptop", "10.5.0.1/32", of=key("node a"))
    with pytest.raises(NobodyLeftError, match="node a is left out"):
        _file(_topology(_node("a", 1), own))
    text = _file(_topology(_node("a", 1), _node("b", 2), own))
    assert "# refused: node a claims 10.42.1.0/24" in text


def test_the_loser_of_an_internal_ip_is_told_in_its_section() -> None:
    nodes = [_node(name, number, internal_ip="10.9.0.1/24") for number, name in enumerate("ab", 1)]
    text = _file(_topology(*nodes, LAPTOP))
    assert "# refused: node b claims 10.9.0.1/32: node a has it, and keeps it\n" in text
    assert text.count("10.9.0.1/32,") == 1
