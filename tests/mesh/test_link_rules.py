"""Obstacles to linking clusters, compared with a pairwise search, and each rule alone."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.diagnosis.finding import in_words
from kgctl.kube.objects import NodeObject
from kgctl.link.peers import link_name, slug
from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.endpoint import is_dns_name
from kgctl.mesh.link_rules import EVERYTHING, Member, Obstacle, Share, obstacles
from kgctl.mesh.state import network_of
from kgctl.state.interface import Objects
from kgctl.state.objects import state_of
from tests.support.strategies import FAR_AHEAD, networks

KILO = "kilo.squat.ai/"
NOW = 4102444800.0


def cidr(text: str) -> Cidr:
    found = parse_cidr(text)
    assert found is not None
    return found


def node(name: str, number: int, **annotations: str) -> NodeObject:
    """A ready node of the cluster ``number``, whose networks no other cluster has."""
    own = {
        "key": base64.b64encode(f"{number:03d} {name:28}".encode()).decode(),
        "endpoint": f"203.0.113.{number}:51820",
        "internal-ip": f"172.{number}.0.1/24",
        "wireguard-ip": f"10.{100 + number}.0.1/16",
        "last-seen": FAR_AHEAD,
        "granularity": "location",
    } | {key.replace("_", "-"): value for key, value in annotations.items()}
    labels: dict[str, str] = {}
    texts = {KILO + key: value for key, value in own.items()}
    return NodeObject(name, f"10.{number}.0.0/24", labels, texts)


def member(
    name: str,
    *nodes: NodeObject,
    peers: list[dict[str, Any]] | None = None,
    services: tuple[str, ...] = (),
    links: frozenset[str] = frozenset(),
    share: Share = EVERYTHING,
) -> Member:
    state = state_of(Objects(nodes, peers or [], {}))
    services_of = tuple(map(cidr, services))
    return Member(name, state, network_of(state, now=NOW), services_of, links, share)


def peer(name: str, allowed_ip: str, key: int = 9) -> dict[str, Any]:
    public_key = base64.b64encode(bytes([key]) * 32).decode()
    return {"metadata": {"name": name}, "spec": {"allowedIPs": [allowed_ip],
                                                 "publicKey": public_key}}  # fmt: skip


def checks(found: list[Obstacle]) -> list[str]:
    return [one.check for one in found]


def test_clusters_with_networks_of_their_own_can_be_linked() -> None:
    a = member("a", node("n", 1), services=("10.43.0.0/16",), peers=[peer("p", "10.5.0.1/32", 8)])
    b = member("b", node("n", 2), services=("10.44.0.0/16",), peers=[peer("p", "10.5.0.2/32", 7)])
    assert obstacles([a, b]) == []


@pytest.mark.parametrize(
    ("other", "words", "remedy"),
    [
        (member("b", node("n", 2), services=("10.1.0.128/25",)), "10.1.0.128/25, the service "
            "network of b, lies in 10.1.0.0/24, the pod subnet of node n of a",
            "link b without its service network (--service-cidr b=none), and mirror what is needed "
            "of it (--mirror)"),
        (member("b", node("n", 2, wireguard_ip="10.101.9.9/24")), "10.101.9.0/24, the WireGuard "
            "network of b, lies in 10.101.0.0/16, the WireGuard network of a",
            "run Kilo's agents of b with another --subnet"),
        (member("b", node("n", 2, internal_ip="172.1.0.1/8")), "172.1.0.1/32, the internal IP of "
            "node n of b, is also the internal IP of node n of a",
            "share internal IPs of neither (share.internalIPs: false, in a file), or give node n "
            "of b another one (kilo.squat.ai/force-internal-ip)"),
        (member("b", node("n", 2), peers=[peer("p", "10.1.0.7/32")]), "10.1.0.7/32, an allowed IP "
            "of peer p of b, lies in 10.1.0.0/24, the pod subnet of node n of a",
            "give peer p of b another network: kgctl peer set p --context b "
            "--allowed-ips NETWORKS"),
        (member("b", node("n", 1)._replace(annotations=node("n", 2).annotations)), "10.1.0.0/24, "
            "the pod subnet of node n of b, is also the pod subnet of node n of a",
            "renumber the pods of node n of b: its pod subnet must be another one"),
        (member("b", node("n", 2), share=Share(cidrs=(cidr("172.1.0.0/24"),))), "172.1.0.1/32, "
            "the internal IP of node n of a, lies in 172.1.0.0/24, a shared network of b",
            "leave it out of the networks that b shares (share.cidrs)"),
        (member("b", node("n", 2, allowed_location_ips="10.1.0.0/28"),
                share=Share(location_ips=True)), "10.1.0.0/28, an allowed location IP of node n "
            "of b, lies in 10.1.0.0/24, the pod subnet of node n of a",
            "remove it from the annotation allowed-location-ips of node n of b"),
    ],
)  # fmt: skip
def test_an_overlap_is_told_with_both_owners_and_which_of_them_to_change(
    other: Member, words: str, remedy: str
) -> None:
    (found,) = obstacles([member("a", node("n", 1)), other])
    assert (found.check, in_words(found)) == ("overlap", f"{words}: {remedy}")


def test_what_linking_made_itself_stands_against_nothing() -> None:
    link = peer("link-a-x", "10.1.0.0/24")
    b = member("b", node("n", 2), peers=[link], links=frozenset({"link-a-x"}))
    assert obstacles([member("a", node("n", 1)), b]) == []


def test_a_machine_outside_may_be_a_peer_of_both() -> None:
    a = member("a", node("n", 1), peers=[peer("laptop", "10.5.0.1/32", 7)])
    b = member("b", node("n", 2), peers=[peer("portable", "10.5.0.1/32", 7)])
    assert obstacles([a, b]) == []
    other = member("b", node("n", 2), peers=[peer("laptop", "10.5.0.1/32", 8)])
    assert checks(obstacles([a, other])) == ["overlap"]


def test_a_machine_outside_must_not_have_the_key_of_a_node() -> None:
    a = member("a", node("n", 1))
    copied = peer("laptop", "10.5.0.1/32")
    copied["spec"]["publicKey"] = node("n", 1).annotations[KILO + "key"]
    assert checks(obstacles([a, member("b", node("n", 2), peers=[copied])])) == ["keys"]


@given(st.lists(networks, max_size=8), st.lists(networks, max_size=8))
def test_overlaps_are_those_that_are_found_pair_by_pair(ours: list[str], theirs: list[str]) -> None:
    a = member("a", node("n", 250), peers=[peer(f"p{i}", one, 7) for i, one in enumerate(ours)])
    b = member("b", node("n", 251), peers=[peer(f"p{i}", one, 8) for i, one in enumerate(theirs)])

    def claimed(one: Member) -> set[Cidr]:
        state, found = one.state, {one.topology.subnet.masked()}
        found |= {entry.masked() for held in state.peers for entry in held.allowed_ips}
        for machine in state.nodes:
            assert machine.subnet is not None
            assert machine.internal_ip is not None
            found |= {machine.subnet, Cidr(machine.internal_ip.address, 32)}
        return found

    naive = sum(x.intersects(y) for x in claimed(a) for y in claimed(b))
    texts = [one.text for one in obstacles([a, b]) if one.check == "overlap"]
    assert bool(texts) == bool(naive)
    if naive <= 5:
        assert len(texts) == naive
    else:
        assert texts[-1] == f"a and b have {naive - 5} more networks that overlap"


@pytest.mark.parametrize(
    ("ours", "theirs", "meet"),
    [
        ("192.168.0.1:1", "192.168.7.1:1", False),
        ("192.168.0.1:1", "198.51.100.1:1", True),
        ("192.168.0.1:1", "gateway.example.com:1", True),
        ("[fd00::1]:1", "10.0.0.1:1", False),
    ],
)
def test_of_two_segments_one_must_be_able_to_dial_the_other(
    ours: str, theirs: str, meet: bool
) -> None:
    a, b = member("a", node("n", 1, endpoint=ours)), member("b", node("n", 2, endpoint=theirs))
    assert checks(obstacles([a, b])) == ([] if meet else ["endpoints"])


def test_nobody_has_the_key_of_a_machine_of_another_cluster() -> None:
    first = node("n", 1)
    copied = {**node("n", 2).annotations, KILO + "key": first.annotations[KILO + "key"]}
    found = obstacles([member("a", first), member("b", node("n", 2)._replace(annotations=copied))])
    assert [one.check for one in found] == ["keys"]
    assert "node n of b has the public key of node n of a" in found[0].text


def test_agents_that_disagree_about_the_granularity_are_told() -> None:
    a = member("a", node("m", 1), node("n", 3, granularity="full"))
    found = obstacles([a, member("b", node("n", 2))])
    assert checks(found) == ["granularity"]


@given(st.text(max_size=80), st.text(max_size=80))
def test_two_names_never_become_one(first: str, second: str) -> None:
    assert (slug(first) == slug(second)) == (first == second)
    assert len(slug(first)) <= 63
    assert slug(first)[0].isalnum()
    assert slug(first)[-1].isalnum()


def test_two_segments_never_get_one_name() -> None:
    """A cluster and a location next to each other must not look like another pair."""
    nodes = [node("n", 1, location=place) for place in ("west-1", "1", "")]
    a, b, c = (member("m", one).topology.segments[0] for one in nodes)
    names = {link_name("eu", a), link_name("eu-west", b), link_name("eu", c)}
    assert len(names) == 3
    assert all(is_dns_name(name) for name in names)
