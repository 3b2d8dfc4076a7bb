"""Peers that stand for segments of other clusters, and one-sided links."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.link_rules import Member
from kgctl.mesh.links import Linked, linked
from kgctl.render.graph.dot import to_dot_of_clusters
from kgctl.render.graph.graphjson import to_clusters_json
from kgctl.render.graph.mermaid import to_clusters_mermaid
from kgctl.render.graph.panorama import panorama_of
from kgctl.render.graph.panoramadot import to_rich_dot_of_clusters
from kgctl.render.graph.tree import to_clusters_tree
from kgctl.state.objects import state_of
from tests.support.harmless import network
from tests.support.several import Object, east, key, members, node, peer, west, with_links
from tests.support.strategies import HOSTILE, hostile_clusters

LABELS = {"app.kubernetes.io/managed-by": "kgctl-link", "kgctl.dev/linked-cluster": "east"}


def pair() -> dict[str, list[Object]]:
    return with_links({"west": west(), "east": east()})


def crossings(found: Linked) -> list[tuple[str, str, bool]]:
    return [
        (f"{one.first}/{one.segment.name}", f"{one.second}/{one.other.name}", one.works)
        for one in found.crossings()
    ]


def stale(found: Linked) -> list[tuple[str, str, str, str]]:
    return [(one.holder, one.peer.name, one.source, one.why) for one in found.stale]


def test_a_peer_with_the_key_of_a_leader_elsewhere_is_a_link() -> None:
    found = members(pair())
    assert crossings(found) == [
        ("west/location:eu", "east/location:asia", True),
        ("west/location:us", "east/location:asia", True),
    ]
    assert found.names_of("west") == {"link-east.asia"}
    assert found.names_of("east") == {"link-west.eu", "link-west.us"}
    assert found.link_of("east", "laptop") is None
    assert found.stale == ()


def test_how_it_is_called_and_labelled_does_not_matter() -> None:
    clusters = pair()
    for one in clusters["west"]:
        if one["metadata"]["name"] == "link-east.asia":
            one["metadata"] = {"name": "made-by-hand"}
    found = members(clusters)
    assert found.names_of("west") == {"made-by-hand"}
    assert all(works for _, _, works in crossings(found))


def test_a_side_that_lacks_the_other_is_named() -> None:
    clusters = pair()
    clusters["west"] = west()
    whole = members(clusters)
    assert [one.missing() for one in whole.crossings()] == [
        "west has no Peer for location:asia", "west has no Peer for location:asia",
    ]  # fmt: skip
    assert not any(one.works for one in whole.crossings())


def test_what_was_labelled_or_led_once_is_stale() -> None:
    labelled = peer("link-east.gone", "10.9.0.0/24")
    labelled["metadata"]["labels"] = LABELS
    former = peer("by-hand", "10.9.1.0/24", publicKey=key("2 e2"))
    other = peer("link-north.x", "10.9.2.0/24")
    other["metadata"]["labels"] = {**LABELS, "kgctl.dev/linked-cluster": "north"}
    found = members({"west": [*west(), labelled, former, other], "east": east()})
    assert stale(found) == [
        ("west", "by-hand", "east", "its key is that of e2, which leads no segment"),
        ("west", "link-east.gone", "east", "no node there has its key"),
    ]  # a link to a cluster that is not looked at is a peer like others


def test_a_peer_with_a_key_of_its_own_cluster_is_no_link() -> None:
    copied = peer("copied", "10.9.1.0/24", publicKey=key("1 w3"))
    assert members({"west": [*west(), copied], "east": east()}).links == ()


def test_links_of_three_are_told_apart() -> None:
    found = members(
        with_links(
            {name: [node("n", number, 1, "here")] for number, name in enumerate("abc", start=1)}
        )
    )
    assert crossings(found) == [
        ("a/location:here", "b/location:here", True),
        ("a/location:here", "c/location:here", True),
        ("b/location:here", "c/location:here", True),
    ]


@given(st.sets(st.sampled_from(["link-east.asia", "link-west.eu", "link-west.us"])))
def test_a_tunnel_works_where_both_peers_are_there(kept: set[str]) -> None:
    clusters = {
        name: [
            one for one in own
            if not one["metadata"]["name"].startswith("link-") or one["metadata"]["name"] in kept
        ]
        for name, own in pair().items()
    }  # fmt: skip
    found = members(clusters)
    for one in found.crossings():
        back = f"link-west.{one.segment.name.removeprefix('location:')}" in kept
        assert (one.there is not None, one.back is not None) == ("link-east.asia" in kept, back)
    turned = members(dict(reversed(clusters.items())))
    assert {(b, a, works) for a, b, works in crossings(turned)} == set(crossings(found))


@given(hostile_clusters(), hostile_clusters(), HOSTILE, HOSTILE)
def test_no_text_of_a_cluster_acts_in_a_picture(
    one: object, other: object, first: str, second: str
) -> None:
    found = []
    for name, objects in ((f"a{first}", one), (f"b{second}", other)):
        state = state_of(objects)  # type: ignore[arg-type]
        topology = network(state)
        if topology is None:
            return
        found.append(Member(name, state, topology))
    whole = linked(found)
    panorama = panorama_of(whole, {member.name: 0.0 for member in found})
    assert [one["name"] for one in json.loads(to_clusters_json(panorama))["clusters"]] == [
        member.name for member in found
    ]
    for text in (
        to_dot_of_clusters(whole), to_rich_dot_of_clusters(panorama),
        to_clusters_mermaid(panorama), to_clusters_tree(panorama),
    ):  # fmt: skip
        assert all(line.replace("\t", "").isprintable() for line in text.split("\n"))
