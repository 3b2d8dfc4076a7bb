"""The page of public names: each can be imported, has a type and is documented."""

from __future__ import annotations

import ast
import importlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import kgctl
import kgctl.link

if TYPE_CHECKING:
    from tests.apiserver.server import ApiServer

PAGE = Path(kgctl.__file__)
DOCUMENTED = PAGE.parents[1] / "docs" / "api.md"
EXAMPLE = PAGE.parent / "state" / "example" / "cluster.json"
PUBLIC = [name for name in kgctl.__all__ if name != "__version__"]


def imports_for_type_checkers(page: Path = PAGE) -> dict[str, str]:
    """Return the names that the page imports for type checkers, and the module of each."""
    block = next(node for node in ast.parse(page.read_text()).body if isinstance(node, ast.If))
    return {
        alias.name: str(statement.module)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


@pytest.mark.parametrize("name", PUBLIC)
def test_a_name_is_what_type_checkers_take_it_for(name: str) -> None:
    module = importlib.import_module(imports_for_type_checkers()[name])
    assert getattr(kgctl, name) is getattr(module, name)


def test_no_name_is_forgotten() -> None:
    assert sorted(imports_for_type_checkers()) == sorted(PUBLIC)
    assert set(kgctl.__all__) <= set(dir(kgctl))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_name_is_documented(name: str) -> None:
    assert getattr(kgctl, name).__doc__
    assert f"`{name}" in DOCUMENTED.read_text()


def test_the_page_for_linking_clusters_is_as_complete() -> None:
    page = Path(str(kgctl.link.__file__))
    imports = imports_for_type_checkers(page)
    assert sorted(imports) == sorted(kgctl.link.__all__)
    assert set(kgctl.link.__all__) <= set(dir(kgctl.link))
    for name, module in imports.items():
        value = getattr(kgctl.link, name)
        assert value is getattr(importlib.import_module(module), name)
        assert value.__doc__
        assert f"`{name}" in DOCUMENTED.read_text(), name
    with pytest.raises(AttributeError, match="has no attribute 'link_everything'"):
        kgctl.link.link_everything  # type: ignore[attr-defined] # noqa: B018


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'load_everything'"):
        kgctl.load_everything  # type: ignore[attr-defined] # noqa: B018


def test_every_error_is_a_kgctl_error() -> None:
    errors = [name for name in PUBLIC if name.endswith("Error")]
    assert len(errors) > 10
    assert all(issubclass(getattr(kgctl, name), kgctl.KgctlError) for name in errors)


def test_the_example_is_a_network() -> None:
    cluster = kgctl.load_example()
    topology = cluster.topology()
    assert [segment.leader.name for segment in topology.segments] == [
        "aws-1",
        "gcp-1",
        "fsn1-1",
        "home-nas",
        "edge-1",
    ]
    assert {node.name for node in cluster.state.nodes if not node.is_ready(cluster.now)} == {
        "aws-4",
        "home-tv",
    }
    assert [peer.name for peer in cluster.state.invalid_peers] == ["tablet"]
    assert all(not segment.filtered_location_ips for segment in topology.segments)


def test_the_example_names_the_addresses_that_kilo_would_hand_out() -> None:
    for segment in kgctl.load_example().topology().segments:
        annotated = segment.leader.wireguard_ip
        assert annotated is not None
        assert annotated.address == segment.wireguard_ip


def test_a_topology_is_asked_for_its_parts_by_name() -> None:
    topology = kgctl.load_example().topology()
    segment, laptop = topology.segment_of("aws-2"), topology.peer("laptop")
    assert segment is not None
    assert segment.name == "location:eu-west-1"
    assert laptop is not None
    assert laptop.persistent_keepalive == 25
    assert topology.segment_of("home-tv") is None
    assert topology.peer("tablet") is None


def test_files_are_judged_by_now_unless_told_otherwise() -> None:
    before = time.time()
    cluster = kgctl.load_files(EXAMPLE)
    assert before <= cluster.now <= time.time()
    with pytest.raises(kgctl.NoReadyNodesError, match="aws-1: heartbeat"):
        cluster.topology()
    newest = kgctl.load_files(EXAMPLE, at="newest")
    assert newest.now == max(node.last_seen for node in newest.state.nodes)
    assert newest.topology() == kgctl.load_example().topology()
    assert kgctl.load_files(EXAMPLE, at=1.5).now == 1.5


def test_granularity_and_location_label_are_arguments(tmp_path: Path) -> None:
    assert len(kgctl.load_example().topology(granularity="full").segments) == 9
    zones = kgctl.load_files(EXAMPLE, at="newest", topology_label="topology.kubernetes.io/zone")
    assert "location:eu-west-1a" in [segment.name for segment in zones.topology().segments]
    with pytest.raises(kgctl.ManifestError, match="cannot read"):
        kgctl.load_files(tmp_path / "missing.yaml")


def test_a_missing_kubeconfig_is_a_cluster_error(tmp_path: Path) -> None:
    with pytest.raises(kgctl.KubeconfigError, match="there is no kubeconfig file"):
        kgctl.load_cluster(tmp_path / "missing")


def test_a_live_cluster_is_the_same_as_a_file_of_it(api_server: ApiServer) -> None:
    api_server.clear()
    api_server.apply([json.loads(EXAMPLE.read_text())])
    before = time.time()
    cluster = kgctl.load_cluster(api_server.kubeconfig, request_timeout=20)
    assert cluster.state == kgctl.load_example().state
    assert before <= cluster.now <= time.time()
