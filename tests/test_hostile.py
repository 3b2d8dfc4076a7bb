"""Hostile values of a cluster are inactive in all of kgctl's output."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from kgctl.mesh.text import printable
from kgctl.state.objects import state_of
from tests.support.dotgraph import parsed_graph
from tests.support.harmless import (
    assert_configurations_harmless,
    assert_graph_harmless,
    assert_lists_harmless,
    assert_manifests_harmless,
    assert_plans_harmless,
    network,
)
from tests.support.strategies import HOSTILE, hostile_clusters
from tests.support.strictdot import shape_of

if TYPE_CHECKING:
    from kgctl.mesh.peer import Peer
    from kgctl.state.interface import Objects


def _name(peer: Peer) -> str:
    return peer.name


@given(hostile_clusters())
def test_a_configuration_has_only_lines_that_are_ours(objects: Objects) -> None:
    topology = network(state_of(objects))
    if topology is not None:
        assert_configurations_harmless(topology)


@given(hostile_clusters())
def test_the_commands_of_an_agent_are_ours(objects: Objects) -> None:
    topology = network(state_of(objects))
    if topology is not None:
        assert_plans_harmless(topology)


@given(hostile_clusters())
def test_a_graph_keeps_its_shape(objects: Objects) -> None:
    topology = network(state_of(objects))
    if topology is None:
        return
    graph = parsed_graph(assert_graph_harmless(topology))
    nodes = [node.name for segment in topology.segments for node in segment.nodes]
    names = {printable(name, 1000) for name in [*nodes, *map(_name, topology.peers)]}
    assert len(graph.nodes) == len(names)
    assert len(graph.clusters) == len({printable(s.name, 900) for s in topology.segments}) + 1


@pytest.mark.needs("dot")
@settings(max_examples=10)
@given(hostile_clusters())
def test_graphviz_knows_each_by_its_name(objects: Objects) -> None:
    topology = network(state_of(objects))
    if topology is None:
        return
    text = assert_graph_harmless(topology)
    run = subprocess.run(
        ["dot", "-Tdot_json"], input=text.encode(), capture_output=True, check=True, timeout=60
    )
    assert run.stderr == b""
    graph = json.loads(run.stdout)
    drawn = graph["objects"][graph["_subgraph_cnt"] :]  # a node, too, may be called "cluster_"
    found = {one["name"].replace("\\\\", "\\") for one in drawn}
    nodes = [node.name for segment in topology.segments for node in segment.nodes]
    assert found == {printable(name, 1000) for name in [*nodes, *map(_name, topology.peers)]}
    assert len(graph.get("edges", [])) == shape_of(text).edges


@given(hostile_clusters())
def test_a_table_has_a_line_for_each_object_and_data_is_data(objects: Objects) -> None:
    state = state_of(objects)
    assert_lists_harmless(state, network(state))


@given(hostile_clusters())
def test_a_manifest_is_an_object_that_says_the_same(objects: Objects) -> None:
    topology = network(state_of(objects))
    if topology is not None:
        assert_manifests_harmless(topology)


@given(HOSTILE)
def test_text_is_shown_on_one_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) <= 2000
