"""Properties of every network, for any nodes and peers."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

from hypothesis import assume, given
from hypothesis import strategies as st

from kgctl.kube.codec.structured import to_json, to_yaml
from kgctl.mesh.state import State, network_of, viewpoints_of
from kgctl.mesh.subnets import kilo_subnet
from kgctl.render.graph.dot import to_dot
from kgctl.render.lists.formats import to_columns
from kgctl.render.lists.listing import list_nodes, list_peers, list_segments
from kgctl.render.manifest import peer_object
from kgctl.state.objects import state_of
from kgctl.wireguard.conf import node_configuration, peer_as_peer, peer_configuration
from kgctl.wireguard.quick import NobodyLeftError, QuickSettings, quick_configuration
from tests.mesh import oracle
from tests.support.strategies import clusters

if TYPE_CHECKING:
    from random import Random

    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Topology
    from kgctl.state.interface import Objects

NOW = 1_800_000_000.0
granularities = st.sampled_from(["location", "full"])


def _network(objects: Objects, granularity: str) -> tuple[State, Topology]:
    state = state_of(objects)
    assume(state.ready_nodes(NOW))
    return state, network_of(state, now=NOW, granularity=granularity)


@given(clusters(), granularities)
def test_addresses_are_unique_and_of_the_subnet(objects: Objects, granularity: str) -> None:
    _, topology = _network(objects, granularity)
    addresses = [segment.wireguard_ip for segment in topology.segments]
    assert len(set(addresses)) == len(addresses)
    network = topology.subnet.network
    assert all(address in network and address != network[0] for address in addresses)


@given(clusters(), granularities)
def test_every_ready_node_is_in_one_segment_and_no_other_is(
    objects: Objects, granularity: str
) -> None:
    state, topology = _network(objects, granularity)
    members = [node.name for segment in topology.segments for node in segment.nodes]
    assert sorted(members) == [node.name for node in state.ready_nodes(NOW)]


@given(clusters(), granularities)
def test_the_network_is_what_the_rules_say(objects: Objects, granularity: str) -> None:
    state, topology = _network(objects, granularity)
    expected = oracle.segments(
        state.ready_nodes(NOW),
        [peer for peer in state.peers if peer.is_ready],
        granularity,
        str(kilo_subnet(state.nodes)),
    )
    assert [
        oracle.Expected(
            segment.name,
            [node.name for node in segment.nodes],
            segment.leader.name,
            str(segment.wireguard_ip),
            list(map(str, segment.allowed_ips)),
            list(map(str, segment.allowed_location_ips)),
        )
        for segment in topology.segments
    ] == expected


@given(clusters(), granularities, st.randoms(use_true_random=False))
def test_endpoints_are_those_that_were_discovered_from_the_nodes_side(
    objects: Objects, granularity: str, random: Random
) -> None:
    state, _ = _network(objects, granularity)
    ready = [peer for peer in state.peers if peer.is_ready]
    hostname = random.choice([*(node.name for node in state.nodes), "stranger"])
    topology = network_of(state, now=NOW, granularity=granularity, hostname=hostname)
    nodes = [node for segment in topology.segments for node in segment.nodes]
    nodes.sort(key=lambda node: node.name != hostname)  # that one first, the others as they are
    for segment in topology.segments:
        leader = segment.leader
        expected = oracle.endpoint(leader.key, leader.persistent_keepalive, leader.endpoint, nodes)
        assert str(segment.endpoint) == expected
    assert [str(peer.endpoint) for peer in topology.peers] == [
        oracle.endpoint(peer.public_key, peer.persistent_keepalive, peer.endpoint, nodes)
        for peer in ready
    ]


@given(clusters(), granularities, st.randoms(use_true_random=False))
def test_looking_from_one_node_changes_nothing_for_the_next(
    objects: Objects, granularity: str, random: Random
) -> None:
    state, first = _network(objects, granularity)
    viewpoints = viewpoints_of(state, now=NOW, granularity=granularity)
    names = [node.name for node in state.nodes]
    random.shuffle(names)
    for name in (*names, "stranger"):
        alone = network_of(state, now=NOW, granularity=granularity, hostname=name)
        assert viewpoints.from_node(name) == alone
    assert viewpoints.from_node() == first


@given(clusters(), granularities)
def test_an_allowed_ip_is_the_first_peers_that_claims_it(
    objects: Objects, granularity: str
) -> None:
    state, topology = _network(objects, granularity)
    expected = oracle.peers([peer for peer in state.peers if peer.is_ready])
    assert expected == [(peer.name, list(map(str, peer.allowed_ips))) for peer in topology.peers]


@given(clusters(), granularities)
def test_the_subnet_is_a_nodes_or_the_default(objects: Objects, granularity: str) -> None:
    state, topology = _network(objects, granularity)
    known = [node.wireguard_ip.network for node in state.nodes if node.wireguard_ip is not None]
    assert topology.subnet.network in (known or [ip_network("10.4.0.0/16")])


@given(clusters(), granularities)
def test_what_is_filtered_and_what_is_kept_is_what_was_asked_for(
    objects: Objects, granularity: str
) -> None:
    _, topology = _network(objects, granularity)
    for segment in topology.segments:
        asked = {cidr for node in segment.nodes for cidr in node.allowed_location_ips}
        kept, dropped = set(segment.allowed_location_ips), set(segment.filtered_location_ips)
        assert kept | dropped == asked
        assert not kept & dropped


@given(clusters(), granularities, st.randoms(use_true_random=False))
def test_the_order_of_the_objects_never_matters(
    objects: Objects, granularity: str, random: Random
) -> None:
    assert _outputs(objects, granularity) == _outputs(_shuffled(objects, random), granularity)


def _shuffled(objects: Objects, random: Random) -> Objects:
    nodes, peers = list(objects.nodes), list(objects.peers)
    random.shuffle(nodes)
    random.shuffle(peers)
    return objects._replace(nodes=nodes, peers=peers)


def _quick(topology: Topology, peer: Peer) -> str:
    try:
        return str(quick_configuration(topology, peer, QuickSettings()))
    except NobodyLeftError as error:
        return str(error)


def _outputs(objects: Objects, granularity: str) -> list[str]:
    state, topology = _network(objects, granularity)
    peers = [str(peer_configuration(topology, peer)) for peer in topology.peers]
    peers += [_quick(topology, peer) for peer in topology.peers]
    leaders = [
        str(node_configuration(topology, segment.leader, listen_port=51820))
        for segment in topology.segments
    ]
    listings = (list_nodes(state, topology, NOW), list_peers(state, NOW), list_segments(topology))
    tables = [to_columns(listing, wide=True) for listing in listings]
    data = [to_json({"items": listing.items}) for listing in listings]
    manifests = [to_yaml(peer_object("x", peer_as_peer(peer, []))) for peer in topology.peers]
    return [to_dot(topology), *peers, *leaders, *tables, *data, *manifests]
