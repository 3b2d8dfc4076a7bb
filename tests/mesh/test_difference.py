"""Differences between two networks: every field, every link, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kgctl.mesh.difference import Change, Link, difference
from kgctl.mesh.key import PresharedKey
from kgctl.mesh.state import network_of
from kgctl.render.changes import difference_to_markdown, difference_to_text
from kgctl.state.interface import Objects
from kgctl.state.objects import state_of
from kgctl.wireguard.conf import node_configuration, peer_configuration
from tests.mesh.test_path import HOME, NOW, _network, _node, _peer
from tests.support.harmless import network
from tests.support.strategies import clusters, hostile_clusters

if TYPE_CHECKING:
    from kgctl.mesh.topology import Topology

A1 = _node("a1", 1, "198.51.100.1", leader="true")
A2 = _node("a2", 2, "198.51.100.2")
B1 = _node("b1", 3, "203.0.113.1")


def test_another_leader_is_another_key_and_another_endpoint_for_everybody() -> None:
    peer = _peer("p", "10.5.0.1/32", keepalive=25)
    plain = _node("a1", 1, "198.51.100.1")
    flagged = _node("a2", 2, "198.51.100.2", leader="true")
    found = difference(_network([A1, A2, B1], peer), _network([plain, flagged, B1], peer))
    assert {(one.kind, one.name, one.field) for one in found.changes} == {
        ("segment", "location:a", field) for field in ("leader", "endpoint", "key")
    }
    assert not found.lost
    assert not found.gained
    assert found.configured_anew == ("a2", "b1", "peer p")


def test_a_node_that_fails_takes_its_links_along() -> None:
    found = difference(_network([A1, B1]), _network([A1]))
    assert [(one.kind, one.before is None) for one in found.changes if not one.field] == [
        ("segment", False),
        ("node", False),
    ]
    assert found.lost == (Link("location:a", "location:b"),)


def test_a_keepalive_is_a_link_for_whom_nobody_can_call() -> None:
    peer = _peer("p", "10.5.0.1/32", keepalive=25)
    discovered = (
        f'{{"{peer["spec"]["publicKey"]}": {{"IP": "198.18.0.2", "Port": 4000, "Zone": ""}}}}'
    )
    home = {
        seconds: _node("h1", 5, HOME, persistent_keepalive=seconds, discovered_endpoints=discovered)
        for seconds in ("0", "25")
    }
    key = home["25"].annotations["kilo.squat.ai/key"]
    tells = f'{{"{key}": {{"IP": "198.18.0.1", "Port": 4000, "Zone": ""}}}}'
    b1 = _node("b1", 3, "203.0.113.1", discovered_endpoints=tells)
    found = difference(_network([b1, home["25"]], peer), _network([b1, home["0"]], peer))
    assert found.lost == (Link("location:h", "peer p"),)
    again = difference(_network([b1, home["0"]], peer), _network([b1, home["25"]], peer))
    assert again.gained == found.lost


def test_a_preshared_key_is_told_of_and_never_shown() -> None:
    before = _network([A1], _peer("p", "10.5.0.1/32"))
    keyed = [
        before._replace(peers=(before.peers[0]._replace(preshared_key=PresharedKey(raw * 32)),))
        for raw in (b"x", b"y")
    ]
    cases = ((before, keyed[0], "none", "one"), (keyed[0], keyed[1], "one", "another"))
    for one, other, was, becomes in cases:
        found = difference(one, other)
        assert found.changes == (Change("peer", "p", "preshared key", was, becomes),)
    assert not difference(keyed[0], keyed[0])


def test_no_network_is_one_without_anything() -> None:
    topology = _network([A1, B1])
    found = difference(topology, None)
    assert all(one.after is None for one in found.changes)
    assert found.lost
    assert difference(None, topology).gained == found.lost
    assert not difference(None, None)


def test_where_too_much_differs_links_are_left_out() -> None:
    many = [_node(f"n{number}", 1, "198.51.100.1") for number in range(1000)]
    topology = _network(many, granularity="full")
    found = difference(None, topology)
    assert not found.links_compared
    assert "Too many differences" in difference_to_text(found)


def _configurations(topology: Topology) -> dict[str, str]:
    leaders = [segment.leader for segment in topology.segments]
    texts = {node.name: str(node_configuration(topology, node, listen_port=1)) for node in leaders}
    for peer in topology.peers:
        texts[f"peer {peer.name}"] = str(peer_configuration(topology, peer))
    return texts


@given(clusters(), clusters(), st.sampled_from(["location", "full"]))
def test_who_is_configured_anew_is_whose_configuration_differs(
    one: Objects, other: Objects, granularity: str
) -> None:
    """Whoever has another file is named; a network is no different from itself."""
    mixed = Objects([*one.nodes, *other.nodes[:1]], [*one.peers, *other.peers[:1]], {})
    states = [state_of(objects) for objects in (one, mixed)]
    assume(all(state.ready_nodes(NOW) for state in states))
    before, after = (
        network_of(state, now=NOW, granularity=granularity, hostname="x") for state in states
    )
    assert not difference(before, before)
    found = difference(before, after)
    old, new = _configurations(before), _configurations(after)
    assert {name for name in new if old.get(name) != new[name]} <= set(found.configured_anew)
    if before == after:
        assert not found


@given(hostile_clusters())
def test_hostile_names_act_on_neither_a_terminal_nor_a_page(objects: Objects) -> None:
    found = difference(network(state_of(objects)), _network([A1, B1]))
    assert all(line.isprintable() for line in difference_to_text(found).splitlines())
    page = difference_to_markdown(found)
    cells = {line.replace("\\|", "").count("|") for line in page.splitlines() if line[:1] == "|"}
    assert cells <= {5}


@pytest.mark.parametrize("text", ["`", "|", "a`|`b\n"])
def test_markdown_is_not_left(text: str) -> None:
    found = difference(_network([A1]), _network([A1], _peer("p", "10.5.0.1/32")))
    page = difference_to_markdown(found._replace(changes=(Change("peer", text, "", None, text),)))
    row = page.splitlines()[2]
    assert row.count("`") == 4
    assert row.replace("\\|", "").count("|") == 5
