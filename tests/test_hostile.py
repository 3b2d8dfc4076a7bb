"""No value of the cluster, whatever it holds, acts on what kgctl writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given

from kgctl.cluster.objects import state_of
from kgctl.mesh.errors import MeshError
from kgctl.mesh.state import network_of
from kgctl.mesh.text import printable
from kgctl.render.dot import to_dot
from kgctl.render.listing import list_nodes, list_peers, list_segments
from kgctl.render.manifest import peer_object
from kgctl.render.structured import to_json
from kgctl.render.table import to_columns
from kgctl.wireguard.configure import node_configuration, peer_as_peer, peer_configuration
from kgctl.wireguard.quick import QuickSettings, quick_configuration
from tests.dotgraph import parsed_graph
from tests.strategies import HOSTILE, hostile_clusters
from tests.strict import assert_strict

if TYPE_CHECKING:
    from kgctl.cluster.interface import Objects
    from kgctl.mesh.topology import Topology

NOW = 1_800_000_000.0


def _network(objects: Objects, granularity: str = "location") -> Topology | None:
    try:
        return network_of(state_of(objects), now=NOW, granularity=granularity)
    except MeshError as error:
        _assert_shown(str(error))
        return None


def _assert_shown(text: str) -> None:
    """Check what goes to a terminal: line by line, nothing but characters that print."""
    assert all(line.isprintable() for line in text.split("\n")), repr(text)


@given(hostile_clusters())
def test_a_configuration_has_only_lines_that_are_ours(objects: Objects) -> None:
    topology = _network(objects)
    if topology is None:
        return
    for segment in topology.segments:
        assert_strict(str(node_configuration(topology, segment.leader, listen_port=51820)))
    for peer in topology.peers:
        assert_strict(str(peer_configuration(topology, peer)))
        assert_strict(str(quick_configuration(topology, peer, QuickSettings())))


@given(hostile_clusters())
def test_a_graph_keeps_its_shape(objects: Objects) -> None:
    topology = _network(objects)
    if topology is None:
        return
    text = to_dot(topology)
    _assert_shown(text.replace("\t", ""))
    graph = parsed_graph(text)
    nodes = [node.name for segment in topology.segments for node in segment.nodes]
    names = {printable(name, 1000) for name in [*nodes, *(peer.name for peer in topology.peers)]}
    assert len(graph.nodes) == len(names)
    assert len(graph.clusters) == len({printable(s.name, 900) for s in topology.segments}) + 1


@given(hostile_clusters())
def test_a_table_has_a_line_for_each_object_and_json_is_json(objects: Objects) -> None:
    state, topology = state_of(objects), _network(objects)
    listings = [list_nodes(state, topology, NOW), list_peers(state)]
    if topology is not None:
        listings.append(list_segments(topology))
    for listing in listings:
        text = to_columns(listing, wide=True)
        _assert_shown(text)
        assert text.count("\n") == len(listing.items) + 1
        assert len(json.loads(to_json({"items": listing.items}))["items"]) == len(listing.items)
        _assert_shown("\n".join(listing.names()))


@given(hostile_clusters())
def test_a_manifest_is_an_object_that_says_the_same(objects: Objects) -> None:
    for peer in state_of(objects).peers:
        if peer.is_ready:
            manifest = json.loads(to_json(peer_object(peer.name, peer_as_peer(peer, []))))
            allowed = list(dict.fromkeys(map(str, peer.allowed_ips)))
            assert manifest["spec"]["allowedIPs"] == allowed


@given(HOSTILE)
def test_text_is_shown_on_one_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) <= 2000
