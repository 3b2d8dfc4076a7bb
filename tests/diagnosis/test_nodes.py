"""Nodes that take no part: one likely cause, with a remedy for their platform."""

from __future__ import annotations

from typing import Any

import pytest

from kgctl.kube.objects import NodeObject
from kgctl.mesh.node import Platform
from tests.diagnosis.cluster import NOW, PREFIX, codes, findings, node, of

PLATFORMS = [
    ({}, "aws:///eu-west-1a/i-0123", ("EKS", "kubectl patch node a -p")),
    ({"eks.amazonaws.com/nodegroup": "x"}, "", ("EKS", "kubectl patch node a -p")),
    ({"alpha.eksctl.io/cluster-name": "x"}, "", ("EKS",)),
    ({"microk8s.io/cluster": "true"}, "", ("MicroK8s", "/var/snap/microk8s/", "--cluster-cidr")),
    ({"node.kubernetes.io/microk8s-worker": "x"}, "", ("MicroK8s",)),
    ({"microk8s.io/cluster": "true"}, "aws:///x", ("MicroK8s",)),
    ({}, "k3s://a", ("--allocate-node-cidrs", "kgctl explain KG003")),
    ({}, "", ("--allocate-node-cidrs", "kgctl explain KG003")),
]


@pytest.mark.parametrize(("labels", "provider", "words"), PLATFORMS)
def test_how_a_node_gets_a_pod_cidr(
    labels: dict[str, Any], provider: str, words: tuple[str, ...]
) -> None:
    one = node("a", labels=labels, platform=Platform(provider_id=provider))._replace(pod_cidr="")
    (found,) = of("KG003", findings([one]))
    assert all(word in found.remedy for word in words)


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [("203.0.113.1", "it has no port"), ("203.0.113.1:70000", "65535, not 70000"), ("", "empty")],
)
def test_why_an_endpoint_is_none(endpoint: str, reason: str) -> None:
    (found,) = of("KG001", findings([node("a", endpoint=endpoint)]))
    assert reason in found.sentence


@pytest.mark.parametrize("host", ["203.0.113.256", "203.0.113", "203.0.113.1.7", "203.0.113.07"])
def test_an_address_with_a_slip_is_a_name_that_nobody_has(host: str) -> None:
    (found,) = of("KG101", findings([node("a", force_endpoint=f"{host}:51821")]))
    assert f'"{host}" is not an IP address' in found.sentence
    assert found.remedy.endswith("force-endpoint=ADDRESS:51821")


def test_why_a_key_and_a_heartbeat_are_none() -> None:
    found = findings([node("a", key="AAAA", last_seen="now")])
    assert "3 bytes" in of("KG002", found)[0].sentence
    assert "not a number" in of("KG004", found)[0].sentence


def stale(*ages: int, code: str = "KG005", clock_ahead: float | None = None) -> list[str]:
    nodes = [node(f"n{n}", n, last_seen=str(NOW - age)) for n, age in enumerate(ages, 1)]
    return [one.remedy for one in of(code, findings(nodes, clock_ahead=clock_ahead))]


def test_a_stale_heartbeat_may_be_the_clock_s() -> None:
    (one,) = stale(90, 1)
    assert "its clock is right, and Kilo's pod" in one
    assert "--at newest" not in one


def test_heartbeats_that_are_all_as_old_are_this_machine_s_clock_or_a_snapshot() -> None:
    assert all("clock of this machine" in one and "--at newest" in one for one in stale(500, 520))
    assert all("its clock is right" in one for one in stale(500, 620))  # not of one time
    assert all("its clock is right" in one for one in stale(500))


AHEAD = "this machine's clock is 5m ahead of the API server's, which makes heartbeats look old"


@pytest.mark.parametrize(
    ("ages", "ahead", "words"),
    [
        ((310, 320), 300, [AHEAD, AHEAD]),
        ((310, 5000), 300, [AHEAD, "Kilo's pod runs there"]),  # the second one is old by any clock
        ((500, 520), 0, ["clock is not ahead of the API server's"] * 2),
        ((500, 520), -300, ["clock is not ahead of the API server's"] * 2),
        ((500, 520), 300, ["every heartbeat is equally old: set the clock"] * 2),
        ((90, 1), 0, ["its clock is right, and Kilo's pod"]),
    ],
)
def test_the_api_server_knows_whose_clock_is_wrong(
    ages: tuple[int, ...], ahead: float, words: list[str]
) -> None:
    found = stale(*ages, clock_ahead=ahead)
    assert len(found) == len(words)
    assert all(word in one for word, one in zip(words, found, strict=True))


@pytest.mark.parametrize(
    ("age", "ahead", "words"),
    [
        (-90, None, "set the clock of the node, or of this machine"),
        (-90, 0, "set the clock of the node (date -u there); this machine's agrees"),
        (-290, -300, "this machine's clock is 5m behind the API server's: set it"),
        (-9000, -300, "set the clock of the node (date -u there); this machine's clock is 5m"),
    ],
)
def test_whose_clock_is_to_be_set_for_a_heartbeat_in_the_future(
    age: int, ahead: float | None, words: str
) -> None:
    (found,) = stale(age, code="KG006", clock_ahead=ahead)
    assert words in found


def bare(name: str, cidr: str = "10.42.0.0/24", **texts: str) -> NodeObject:
    return NodeObject(name, cidr, {}, {PREFIX + key: text for key, text in texts.items()})


def test_where_kilo_never_ran_there_is_one_line() -> None:
    (one,) = findings(
        [bare("a"), bare("b", "10.42.1.0/24", leader="true", location="x"), bare("c", "")]
    )
    assert (one.code, one.kind, one.name) == ("KG009", "cluster", "")
    assert "(KG003): 1" in one.sentence
    without_crd = findings([bare("a")], live=True)
    assert codes(without_crd) == ["KG009"]


def test_where_it_ran_on_one_node_the_others_are_named() -> None:
    assert codes(findings([bare("a"), node("b")])) == ["KG007"]


def test_a_live_cluster_without_nodes() -> None:
    assert codes(findings([], live=True)) == ["KG010"]
    assert findings([]) == []


@pytest.mark.parametrize(("text", "found"), [("65535", False), ("65536", True), ("-1", True),
                                             ("0", False), ("99999999999", True)])  # fmt: skip
def test_a_keepalive_that_wireguard_does_not_take(text: str, found: bool) -> None:
    assert bool(of("KG109", findings([node("a", persistent_keepalive=text)]))) is found
