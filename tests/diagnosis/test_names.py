"""Suggestions for unknown names: by history, then by spelling, else none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.diagnosis.reasons import KNOWN, WRITTEN_BY_AGENTS, meant_by, value_for
from kgctl.mesh.endpoint import parse_endpoint
from tests.diagnosis.cluster import PREFIX, codes, findings, node, of, peer

MEANT = {
    "force-external-ip": "force-endpoint",
    "Force-External-IP": "force-endpoint",
    "force-exernal-ip": "force-endpoint",
    "external-ip": "force-endpoint",
    "public-ip": "force-endpoint",
    "endpoints": "force-endpoint",
    "force-endpiont": "force-endpoint",
    "forceendpoint": "force-endpoint",
    "internalip": "force-internal-ip",
    "private-ip": "force-internal-ip",
    "force-internal-ips": "force-internal-ip",
    "keepalive": "persistent-keepalive",
    "persistant_keepalive": "persistent-keepalive",
    "persistentKeepalive": "persistent-keepalive",
    "loaction": "location",
    "region": "location",
    "leaders": "leader",
    "allowed-location-ip": "allowed-location-ips",
    "kgctl-ingore": "kgctl-ignore",
}


@pytest.mark.parametrize(("name", "meant"), MEANT.items())
def test_a_name_was_meant_to_be(name: str, meant: str) -> None:
    found = meant_by(name)
    assert found is not None
    assert found.name == meant


@pytest.mark.parametrize("name", ["clustermesh-endpoint", "adjacency", "mtu", "x", "", "cluster"])
def test_where_nothing_is_near_nothing_is_guessed(name: str) -> None:
    assert meant_by(name) is None


@given(st.text(max_size=200))
def test_what_was_meant_is_people_s_to_write(name: str) -> None:
    found = meant_by(name)
    assert found is None or found.name == "" or found.name in KNOWN - WRITTEN_BY_AGENTS


@pytest.mark.parametrize(
    ("meant", "text", "value"),
    [
        ("force-endpoint", "203.0.113.7/32", "203.0.113.7:51820"),
        ("force-endpoint", "203.0.113.7", "203.0.113.7:51820"),
        ("force-endpoint", "2001:db8::7", "[2001:db8::7]:51820"),
        ("force-endpoint", "vpn.example.org:1", "vpn.example.org:1"),
        ("force-endpoint", "nonsense", None),
        ("force-internal-ip", "10.0.0.1/24", "10.0.0.1/24"),
        ("force-internal-ip", "10.0.0.1", None),
        ("location", "ams", "ams"),
        ("location", "a\x1b[2J", None),
    ],
)
def test_the_value_under_the_new_name(meant: str, text: str, value: str | None) -> None:
    assert value_for(meant, text) == value


def test_the_old_name_of_an_endpoint_makes_no_routing_loop() -> None:
    """force-internal-ip with the public address would lead packets for it into its own tunnel."""
    texts: dict[str, Any] = {"force_external_ip": "203.0.113.7/32"}
    (found,) = of("KG103", findings([node("a", **texts), node("b", 2, location="b")]))
    assert "force-internal-ip" not in found.sentence + found.remedy
    command = f"kubectl annotate node a {PREFIX}force-endpoint=203.0.113.7:51820 "
    assert found.remedy == f"rename it: {command}{PREFIX}force-external-ip-"
    assert parse_endpoint("203.0.113.7:51820") is not None


def test_a_name_that_is_set_already_is_not_overwritten() -> None:
    texts: dict[str, Any] = {
        "force_external_ip": "203.0.113.7/32",
        "force_endpoint": "203.0.113.9:51820",
    }
    (found,) = of("KG103", findings([node("a", **texts)]))
    assert f"{PREFIX}force-endpoint=" not in found.remedy


def test_another_program_s_annotation_is_no_finding() -> None:
    assert findings([node("a", clustermesh_endpoint="203.0.113.7:51820")]) == []


def test_labels_that_are_called_as_annotations() -> None:
    def of_label(name: str, value: str = "x", **texts: Any) -> list[str]:
        return codes(findings([node("a", labels={PREFIX + name: value}, **texts)]))

    assert of_label("location") == ["KG107"]
    assert of_label("force-endpoint", "1.2.3.4") == ["KG107"]
    assert of_label("force-external-ip", "1.2.3.4") == ["KG107"]
    assert of_label("loaction") == ["KG107"]
    assert of_label("leader", "") == ["KG107"]
    assert of_label("location", "y", location="y") == []
    assert of_label("location", "y", location="z") == ["KG107"]
    assert of_label("clustermesh", "y") == []
    assert codes(findings([node("a", labels={"location": "x"})])) == []


def test_a_label_that_agents_read_is_right() -> None:
    nodes = [node("a", labels={PREFIX + "location": "x"})]
    assert codes(findings(nodes, label=PREFIX + "location")) == []
    assert codes(findings(nodes)) == ["KG107"]


def test_what_kilo_reads_of_nodes_alone_is_found_on_peers() -> None:
    nodes = [node("a")]
    for metadata in (
        {"annotations": {PREFIX + "persistent-keepalive": "25"}},
        {"annotations": {PREFIX + "location": "x"}},
        {"labels": {PREFIX + "location": "x"}},
        {"labels": {PREFIX + "kgctl-ignore": "KG4"}},
    ):
        assert codes(findings(nodes, [peer("p", **metadata)])) == ["KG108"]
    for metadata in (
        {"annotations": {PREFIX + "kgctl-ignore": "KG4", "other": "x"}},
        {"labels": {"kgctl.io/x": "y", PREFIX + "other": "x"}},
    ):
        assert codes(findings(nodes, [peer("p", **metadata)])) == []
