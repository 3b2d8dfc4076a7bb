"""What holds of every network, whatever the nodes and peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import assume, given
from hypothesis import strategies as st

from kgctl.cluster.objects import state_of
from kgctl.mesh.state import State, kilo_subnet, network_of
from kgctl.render.dot import to_dot
from kgctl.wireguard.configure import node_configuration, peer_configuration
from tests.mesh import oracle
from tests.strategies import clusters

if TYPE_CHECKING:
    from random import Random

    from kgctl.cluster.interface import Objects
    from kgctl.mesh.topology import Topology

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


@given(clusters())
def test_no_allowed_ip_belongs_to_two_peers(objects: Objects) -> None:
    _, topology = _network(objects, "location")
    claimed = [str(cidr) for peer in topology.peers for cidr in peer.allowed_ips]
    assert len(claimed) == len(set(claimed))


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


def _outputs(objects: Objects, granularity: str) -> list[str]:
    _state, topology = _network(objects, granularity)
    peers = [str(peer_configuration(topology, peer)) for peer in topology.peers]
    leaders = [
        str(node_configuration(topology, segment.leader, listen_port=51820))
        for segment in topology.segments
    ]
    return [to_dot(topology), *peers, *leaders]
