"""Endpoints at which a machine may be reachable, and contradicted sightings."""

from __future__ import annotations

import pytest

from kgctl.mesh.endpoint import Endpoint, parse_endpoint
from kgctl.mesh.sightings import MOST, Sightings, sightings, with_best_endpoints
from kgctl.mesh.state import network_of
from kgctl.state.example import TAKEN_AT, Example
from kgctl.state.objects import state_of

PUBLIC, PRIVATE = "198.51.100.1:51820", "10.0.0.1:51820"


def at(text: str) -> Endpoint:
    found = parse_endpoint(text)
    assert found is not None
    return found


def seen(annotated: str, **said: str) -> Sightings:
    found: dict[Endpoint, tuple[str, ...]] = {}
    for name, text in said.items():
        found[at(text)] = (*found.get(at(text), ()), name)
    return Sightings(at(annotated) if annotated else None, found)


@pytest.mark.parametrize(
    ("one", "candidates", "contradicted"),
    [
        (seen(PUBLIC), [PUBLIC], []),
        (seen(PUBLIC, a="198.51.100.1:4000"), [PUBLIC, "198.51.100.1:4000"], []),
        (seen(PUBLIC, a="192.0.2.6:1"), [PUBLIC, "192.0.2.6:1"], ["192.0.2.6:1"]),
        (seen(PRIVATE, a="192.0.2.6:1"), ["192.0.2.6:1", PRIVATE], []),
        (seen(PRIVATE, a="192.0.2.6:1", b="192.0.2.6:2"),
         ["192.0.2.6:1", "192.0.2.6:2", PRIVATE], []),
        (seen(PRIVATE, a="192.0.2.6:1", b="192.0.2.7:1", c="192.0.2.7:1"),
         ["192.0.2.7:1", "192.0.2.6:1", PRIVATE], ["192.0.2.6:1"]),
        (seen(PRIVATE, a="192.0.2.6:1", b="192.0.2.7:1"),
         ["192.0.2.6:1", "192.0.2.7:1", PRIVATE], ["192.0.2.6:1", "192.0.2.7:1"]),
        (seen("host.example:51820", a="192.0.2.6:1"), ["host.example:51820", "192.0.2.6:1"], []),
        (seen("", a="127.0.0.1:22", b="192.0.2.6:1", c="192.0.2.6:1"),
         ["192.0.2.6:1"], ["127.0.0.1:22"]),
        (seen(""), [], []),
    ],
)  # fmt: skip
def test_candidates(one: Sightings, candidates: list[str], contradicted: list[str]) -> None:
    assert list(map(str, one.candidates())) == candidates
    assert list(map(str, one.contradicted())) == contradicted


def test_of_many_only_the_first_few_are_tried_and_ones_own_always() -> None:
    said = {f"n{number}": f"192.0.2.{number}:1" for number in range(1, 100)}
    for annotated in (PUBLIC, PRIVATE):
        found = seen(annotated, **said).candidates()
        assert len(found) == MOST
        assert at(annotated) in found


def test_the_example_s_home_is_seen_by_others_and_without_a_keepalive_nobody_is() -> None:
    topology = network_of(state_of(Example().read()), now=TAKEN_AT)
    known = sightings(topology)
    home = next(one for one in topology.segments if one.name == "location:home")
    assert known[home.key].annotated == home.leader.endpoint
    assert home.endpoint in known[home.key].seen
    assert known[home.key].candidates()[0] == home.endpoint
    for segment in topology.segments:
        if not segment.leader.persistent_keepalive:
            assert known[segment.key].seen == {}


def test_a_file_has_the_endpoint_to_try_first() -> None:
    state = state_of(Example().read())
    topology = network_of(state, now=TAKEN_AT)
    assert with_best_endpoints(topology) == topology  # nobody says anything false there
    liar = next(one for one in state.nodes if one.name == "aws-1")
    gcp = next(one for one in topology.segments if one.leader.name == "gcp-1")
    office = next(one for one in topology.peers if one.name == "office")
    assert office.public_key is not None
    false = at("192.0.2.66:1")
    words = {**liar.discovered_endpoints, gcp.key: false, office.public_key: false}
    nodes = tuple(
        one._replace(persistent_keepalive=25, discovered_endpoints=words) if one is liar
        else one._replace(persistent_keepalive=25) for one in state.nodes
    )  # fmt: skip
    peers = tuple(one._replace(persistent_keepalive=25) for one in state.peers)
    believed = network_of(state._replace(nodes=nodes, peers=peers), now=TAKEN_AT)
    found = with_best_endpoints(believed)
    for network, expected in ((believed, false), (found, gcp.leader.endpoint)):
        assert next(one for one in network.segments if one.key == gcp.key).endpoint == expected
    for network, expected in ((believed, false), (found, office.endpoint)):
        peer = network.peer("office")
        assert peer is not None
        assert peer.endpoint == expected
        assert peer.annotated_endpoint == office.endpoint
