"""Checks that texts from the cluster are inactive in every output."""

from __future__ import annotations

import json
import re
from itertools import product
from typing import TYPE_CHECKING, Any

import yaml

from kgctl.agent.interface import KEY_FILE
from kgctl.errors import MeshError
from kgctl.kube.codec.structured import to_json, to_yaml
from kgctl.mesh.agent_plan import AgentOptions, Compatibility, agent_plan
from kgctl.mesh.cidr import parse_address, parse_cidr
from kgctl.mesh.difference import difference
from kgctl.mesh.path.ends import find_end
from kgctl.mesh.path.walk import find_path
from kgctl.mesh.state import network_of
from kgctl.render.agent_plan import NodeSettings, plan_as_json, plan_commands
from kgctl.render.changes import (
    difference_to_markdown,
    difference_to_object,
    difference_to_text,
)
from kgctl.render.graph.dot import to_dot
from kgctl.render.lists.formats import to_columns
from kgctl.render.lists.listing import Listing, list_nodes, list_peers, list_segments
from kgctl.render.manifest import peer_object
from kgctl.render.path import path_edges, path_to_object, path_to_text
from kgctl.wireguard.conf import (
    Configuration,
    node_configuration,
    peer_as_peer,
    peer_configuration,
    segment_as_peer,
)
from kgctl.wireguard.networkd import networkd_files
from kgctl.wireguard.nmconnection import nmconnection_file
from kgctl.wireguard.parse import parse_configuration
from kgctl.wireguard.quick import (
    LeftOutError,
    NobodyLeftError,
    QuickSettings,
    quick_configuration,
)
from tests.support.strict import assert_strict, assert_strict_unit
from tests.support.strictdot import shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.state import State
    from kgctl.mesh.topology import Topology
    from kgctl.wireguard.conf import PeerSection

NOW = 1_800_000_000.0


def network(state: State, granularity: str = "location") -> Topology | None:
    """Build the network; if there is none, check that the reason is printable."""
    try:
        return network_of(state, now=NOW, granularity=granularity)
    except MeshError as error:
        assert_shown(str(error))
        return None


def assert_all_harmless(state: State, granularity: str = "location") -> None:
    """Check every output of a state."""
    topology = network(state, granularity)
    assert_lists_harmless(state, topology)
    if topology is not None:
        assert_graph_harmless(topology)
        assert_configurations_harmless(topology)
        assert_manifests_harmless(topology)
        assert_paths_harmless(topology)
        assert_plans_harmless(topology)
    assert_differences_harmless(topology, network(state, "full"))


def assert_shown(text: str) -> None:
    """Check text for a terminal: all characters of each line are printable."""
    assert all(line.isprintable() for line in text.split("\n")), repr(text)


def assert_configurations_harmless(topology: Topology) -> None:
    """Check that a configuration has only expected lines, and parses to the original."""
    for segment in topology.segments:
        own = node_configuration(topology, segment.leader, listen_port=51820)
        _assert_configuration(own)
        _assert_configuration(Configuration(peers=(segment_as_peer(segment, []),)))
    for peer in topology.peers:
        _assert_configuration(peer_configuration(topology, peer))
        _assert_configuration(Configuration(peers=(peer_as_peer(peer, []),)))
        for settings in _quick_settings(topology):
            try:
                configuration = quick_configuration(topology, peer, settings)
            except (LeftOutError, NobodyLeftError) as error:
                _assert_left_out(topology, str(error))
                continue
            assert_strict(str(configuration))
            for text in networkd_files(configuration, "kilo0").values():
                assert_strict_unit(text)
            identity = peer.name if _is_unicode(peer.name) else ""
            assert_strict_unit(nmconnection_file(configuration, "kilo0", identity))


def _assert_left_out(topology: Topology, message: str) -> None:
    """Check that a machine is only left out for a shared key, and that the message is one line."""
    assert_shown(message)
    assert "\n" not in message
    keys = [segment.key for segment in topology.segments]
    keys += [one.public_key for one in topology.peers if one.public_key is not None]
    assert len(set(keys)) < len(keys)


def _assert_configuration(configuration: Configuration) -> None:
    text = str(configuration)
    assert_strict(text)
    assert parse_configuration(text) == configuration


def _quick_settings(topology: Topology) -> Iterator[QuickSettings]:
    yield QuickSettings()
    first, last = topology.segments[0], topology.segments[-1]
    server, services = parse_address("10.43.0.10"), parse_cidr("10.43.0.0/16")
    assert server is not None
    assert services is not None
    yield QuickSettings(
        dns=(server,),
        mtu=1400,
        service_cidrs=(services,),
        via=last.leader.name,
        gateway=first.leader.name,
        only=(last.leader.name,),
    )


def assert_graph_harmless(topology: Topology) -> str:
    """Check that a graph has the expected shape and lines; return it."""
    text = to_dot(topology)
    shape = shape_of(text)
    groups = [len(segment.nodes) for segment in topology.segments]
    leaders, peers = len(groups), len(topology.peers)
    assert len(shape.nodes) == sum(groups) + peers
    assert len(shape.clusters) == leaders + 1
    tunnels = leaders * (leaders - 1) // 2 + leaders * peers
    assert shape.edges == sum(groups) - leaders + tunnels
    return text


_WORD = r"[A-Za-z0-9/.:,=+_%@-]+"
_COMMAND = re.compile(
    rf"""(?x)
    (?:ip|ip\ -6|wg|iptables|ip6tables)
    (?:\ (?:{_WORD}|'\[{_WORD}\]:[0-9]+'|"\$private"|''|"Kilo:[A-Za-z\ ,'-]+"
        |<\(kubectl\ get\ peer\ [a-z0-9.-]+\ -o\ jsonpath='{{\.spec\.presharedKey}}'\)))+
    | private=\$\(ip\ -o\ address\ show\ to\ {_WORD}\ \|\ awk\ '{{\ print\ \$2;\ exit\ }}'\)
    | \#\ [A-Za-z0-9/.:,=+\ -]+
    """
)


def assert_plans_harmless(topology: Topology) -> None:
    """Check that the commands of agents are words that a shell takes as they are."""
    names = {one.public_key: one.name for one in topology.peers if one.public_key is not None}
    nodes = [topology.segments[0].nodes[0], topology.segments[-1].nodes[-1]]
    for node, compatibility in product(nodes, Compatibility):
        options = AgentOptions(compatibility=compatibility, forward_rules=True)
        plan = agent_plan(topology, node, options)
        configuration = node_configuration(topology, node, listen_port=51820)
        assert_shown(to_json(plan_as_json(plan, configuration, "kilo0")))
        internal = None if node.internal_ip is None else node.internal_ip.address
        settings = NodeSettings("kilo0", KEY_FILE, True, 1420, compatibility, internal)
        for line in plan_commands(plan, configuration, settings, names):
            assert _COMMAND.fullmatch(line), line


def assert_lists_harmless(state: State, topology: Topology | None) -> None:
    """Check that a table has a line per object, and that JSON and YAML have the same contents."""
    listings = [list_nodes(state, topology, NOW), list_peers(state, NOW)]
    if topology is not None:
        listings.append(list_segments(topology))
    for listing in listings:
        text = to_columns(listing, wide=True)
        assert_shown(text)
        assert text.count("\n") == len(listing.items) + 1
        assert_shown("\n".join(listing.names()))
        _assert_data(listing)


def _assert_data(listing: Listing) -> None:
    items = list(listing.items)
    as_json, as_yaml = to_json({"items": items}), to_yaml({"items": items})
    assert_shown(as_json)
    assert_shown(as_yaml)
    assert json.loads(as_json)["items"] == items
    if _is_unicode(items):
        assert _yaml(as_yaml)["items"] == items


def assert_paths_harmless(topology: Topology) -> None:
    """Check the paths between the first and the last node or peer."""
    names = [f"node/{node.name}" for segment in topology.segments for node in segment.nodes]
    names += [f"peer/{peer.name}" for peer in topology.peers]
    for start, target in ((names[0], names[-1]), (names[-1], names[0])):
        ends = find_end(topology, start), find_end(topology, target)
        assert ends[0] is not None
        assert ends[1] is not None
        path = find_path(topology, ends[0], ends[1])
        assert_shown(path_to_text(path))
        assert_shown(to_json(path_to_object(path)))
        drawn = list(path_edges(path))
        assert shape_of(to_dot(topology, drawn)).edges == shape_of(to_dot(topology)).edges + len(
            drawn
        )


def assert_differences_harmless(one: Topology | None, other: Topology | None) -> None:
    """Check the difference of two networks, in every format."""
    for found in (difference(one, other), difference(other, None)):
        assert_shown(difference_to_text(found))
        assert_shown(to_json(difference_to_object(found)))
        page = difference_to_markdown(found)
        assert_shown(page)
        rows = [line for line in page.splitlines() if line.startswith("|")]
        assert {row.replace("\\|", "").count("|") for row in rows} <= {5}


def assert_manifests_harmless(topology: Topology) -> None:
    """Check that a manifest is one object with the contents of the section."""
    for segment in topology.segments:
        _assert_manifest(segment.leader.name, segment_as_peer(segment, []))
    for peer in topology.peers:
        _assert_manifest(peer.name, peer_as_peer(peer, []))


def _assert_manifest(name: str, section: PeerSection) -> None:
    manifest = peer_object(name, section)
    as_json, as_yaml = to_json(manifest), to_yaml(manifest)
    assert_shown(as_json)
    assert_shown(as_yaml)
    assert json.loads(as_json) == manifest
    if _is_unicode(name):
        assert _yaml(as_yaml) == manifest


def _yaml(text: str) -> Any:
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _is_unicode(value: object) -> bool:
    """Return whether a value has no lone surrogates, which YAML cannot contain."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
