"""Leaders whose endpoint is a DNS name: agents resolve it, and record their choice."""

from __future__ import annotations

import pytest

from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.endpoint import parse_endpoint
from kgctl.mesh.key import PublicKey
from kgctl.mesh.leader import acting_leader, disputes, elected_leader, possible_leaders
from kgctl.mesh.node import Node
from kgctl.mesh.state import State, network_of, viewpoints_of

NAME, PUBLIC, PRIVATE = "a.example.com:51820", "198.51.100.1:51820", "10.1.0.1:51820"
NOW = 1_700_000_000


def node(name: str, endpoint: str, *, leads: bool = False, flag: bool = False) -> Node:
    number = int(name[-1])
    return Node(
        name,
        subnet=parse_cidr(f"10.42.{number}.0/24"),
        endpoint=parse_endpoint(endpoint),
        internal_ip=parse_cidr(f"10.1.0.{number}/24"),
        key=PublicKey(bytes([number] * 32)),
        last_seen=NOW,
        leader=flag,
        location="a",
        wireguard_ip=parse_cidr("10.4.0.1/16") if leads else None,
        granularity="location",
    )


CASES = {
    "a name before a public address, and it leads": (
        [node("n1", NAME, leads=True), node("n2", PUBLIC)],
        ("n2", ["n1", "n2"], "n1"),
    ),
    "a name that is private: the public address leads": (
        [node("n1", NAME), node("n2", PUBLIC, leads=True)],
        ("n2", ["n1", "n2"], "n2"),
    ),
    "nobody wrote who leads": (
        [node("n1", NAME), node("n2", PUBLIC)],
        ("n2", ["n1", "n2"], "n2"),
    ),
    "two wrote that they lead, as for 30 s after a change": (
        [node("n1", NAME, leads=True), node("n2", PUBLIC, leads=True)],
        ("n2", ["n1", "n2"], "n2"),
    ),
    "a name behind a private address": (
        [node("n1", PRIVATE), node("n2", NAME, leads=True)],
        ("n1", ["n1", "n2"], "n2"),
    ),
    "two names, the second leads": (
        [node("n1", NAME), node("n2", NAME, leads=True), node("n3", PRIVATE)],
        ("n1", ["n1", "n2"], "n2"),
    ),
    "a name after the public address is never asked": (
        [node("n1", PUBLIC), node("n2", NAME, leads=True)],
        ("n1", ["n1"], "n1"),
    ),
    "no name: an annotation that is left over counts for nothing": (
        [node("n1", PUBLIC), node("n2", PUBLIC, leads=True)],
        ("n1", ["n1"], "n1"),
    ),
    "the flag comes first, and the name has it": (
        [
            node("n1", PUBLIC),
            node("n2", NAME, flag=True, leads=True),
            node("n3", PUBLIC, flag=True),
        ],
        ("n3", ["n2", "n3"], "n2"),
    ),
    "a flag elsewhere: the name can not lead": (
        [node("n1", NAME, leads=True), node("n2", PRIVATE, flag=True)],
        ("n2", ["n2"], "n2"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_who_leads(case: str) -> None:
    nodes, (elected, possible, acting) = CASES[case]

    assert elected_leader(nodes).name == elected
    assert [one.name for one in possible_leaders(nodes)] == possible
    assert acting_leader(nodes).name == acting


def state(*nodes: Node) -> State:
    return State(nodes, ())


def test_a_network_follows_the_agents_only_where_it_is_asked_to() -> None:
    found = state(node("n1", NAME, leads=True), node("n2", PUBLIC))

    assert network_of(found, now=NOW).segments[0].leader.name == "n2"
    followed = network_of(found, now=NOW, acting_leaders=True).segments[0]
    assert followed.leader.name == "n1"
    assert str(followed.endpoint) == NAME
    views = viewpoints_of(found, now=NOW, acting_leaders=True)
    assert views.from_node("n2").segments[0].leader.name == "n1"


def test_a_node_that_is_not_ready_decides_nothing() -> None:
    gone = node("n1", NAME, leads=True)._replace(last_seen=0)
    found = state(gone, node("n2", PUBLIC), node("n3", NAME))

    assert network_of(found, now=NOW, acting_leaders=True).segments[0].leader.name == "n2"


@pytest.mark.parametrize("acting_leaders", [False, True])
def test_disputes_are_the_same_however_the_network_was_built(acting_leaders: bool) -> None:
    found = state(node("n1", NAME, leads=True), node("n2", PUBLIC))

    (one,) = disputes(network_of(found, now=NOW, acting_leaders=acting_leaders))

    assert (one.elected.name, one.acting and one.acting.name) == ("n2", "n1")


def test_it_is_a_dispute_that_nothing_tells_who_leads() -> None:
    (one,) = disputes(network_of(state(node("n1", NAME), node("n2", PUBLIC)), now=NOW))

    assert one.acting is None
    assert [each.name for each in one.possible] == ["n1", "n2"]


def test_no_dispute_where_annotations_confirm_the_elected_leader() -> None:
    found = state(node("n1", NAME), node("n2", PUBLIC, leads=True))

    assert not list(disputes(network_of(found, now=NOW)))
