"""Paths through two clusters: over the Peers that link them, in both directions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kgctl.diagnosis.paths import rule_of
from kgctl.mesh.path.across import find_path_across, find_places
from kgctl.mesh.path.route import Reason
from tests.support.recorded import kgctl
from tests.support.several import Object, east, key, members, node, options, peer, west, with_links

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.mesh.path.walk import Path as Found
    from kgctl.mesh.path.walk import Walk


def pair() -> dict[str, list[Object]]:
    return with_links({"west": west(), "east": east()})


def link(clusters: dict[str, list[Object]], cluster: str, name: str) -> Object:
    return next(one for one in clusters[cluster] if one["metadata"]["name"] == name)


def found(clusters: dict[str, list[Object]], start: str, target: str) -> Found:
    linked = members(clusters)
    (first,), (second,) = find_places(linked, start), find_places(linked, target)
    return find_path_across(linked, first.end, second.end)


def machines(walk: Walk | None) -> list[str]:
    assert walk is not None
    return [walk.hops[0].start.full_name, *(hop.end.full_name for hop in walk.hops)]


def test_a_path_leads_through_both_leaders_and_back() -> None:
    path = found(pair(), "w2", "e2")
    assert path.reachable
    way = ["west/w2", "west/w1", "east/e1", "east/e2"]
    assert machines(path.there) == way
    assert machines(path.back) == way[::-1]
    crossing = path.there.hops[1]
    assert (str(crossing.key), str(crossing.endpoint)) == (key("2 e1"), "203.0.113.21:51820")
    assert (str(crossing.chosen_by), str(crossing.let_in_by)) == ("10.2.2.0/24", "10.1.2.0/24")


def test_links_made_by_hand_are_followed_as_well() -> None:
    clusters = pair()
    for own in clusters.values():
        for one in own:
            one["metadata"].pop("labels", None)
            if one["metadata"]["name"].startswith("link-"):
                one["metadata"]["name"] = one["metadata"]["name"].replace("link-", "by-hand-")
    assert found(clusters, "w3", "e2").reachable


def test_without_links_nothing_leads_over() -> None:
    path = found({"west": west(), "east": east()}, "w1", "e1")
    assert path.there.failure is not None
    assert path.there.failure.reason is Reason.NO_ROUTE


def test_a_link_of_one_side_lets_nobody_in() -> None:
    clusters = pair()
    clusters["east"].remove(link(clusters, "east", "link-west.us"))
    failure = found(clusters, "w3", "e2").there.failure
    assert failure is not None
    assert (failure.reason, rule_of(failure)) == (Reason.ONE_SIDED_LINK, "KG601")
    assert failure.machine.full_name == "east/e1"
    assert "east has no Peer with the key of west/w3" in failure.why
    assert found(clusters, "w1", "e2").reachable


def test_the_other_side_must_have_the_source_in_its_allowed_ips() -> None:
    clusters = pair()
    link(clusters, "east", "link-west.eu")["spec"]["allowedIPs"].remove("10.1.2.0/24")
    failure = found(clusters, "w2", "e2").there.failure
    assert failure is not None
    assert (failure.reason, rule_of(failure)) == (Reason.LINK_REFUSES_SOURCE, "KG603")
    assert "10.1.2.2 is not in the allowed IPs of link-west.eu" in failure.why
    assert found(clusters, "w1", "e2").reachable


def test_a_stale_link_leads_nowhere() -> None:
    clusters = pair()
    link(clusters, "west", "link-east.asia")["spec"]["publicKey"] = key("2 e2")  # who leads nothing
    failure = found(clusters, "w1", "e2").there.failure
    assert failure is not None
    assert (failure.reason, rule_of(failure)) == (Reason.STALE_LINK, "KG602")
    assert "its key is that of e2, which leads no segment" in failure.why


@pytest.mark.parametrize(("keepalive", "reached"), [(None, False), ("25", True)])
def test_who_cannot_be_dialled_has_to_keep_the_tunnel_open(
    keepalive: str | None, reached: bool
) -> None:
    kept = {} if keepalive is None else {"persistent_keepalive": keepalive}
    hidden = node("e1", 2, 1, "asia", endpoint="192.168.0.9:51820", **kept)
    path = found(with_links({"west": west(), "east": [hidden]}), "w1", "e1")
    assert path.reachable is reached
    if not reached:
        assert path.there.failure is not None
        assert path.there.failure.reason is Reason.NO_KEEPALIVE


def test_an_endpoint_that_has_gone_out_of_date_is_the_one_that_is_dialled() -> None:
    clusters = pair()
    spec = link(clusters, "west", "link-east.asia")["spec"]
    spec["endpoint"] = {"dnsOrIP": {"ip": "192.168.1.1"}, "port": 51820}
    failure = found(clusters, "w1", "e2").there.failure
    assert failure is not None
    assert "192.168.1.1:51820 is a private address" in failure.why


def test_a_machine_that_is_a_peer_of_both_is_one_machine() -> None:
    assert found(pair(), "west/laptop", "e2").reachable


def test_a_network_behind_a_link_is_where_its_nodes_are() -> None:
    linked = members(pair())
    assert [one.cluster for one in find_places(linked, "10.2.2.9")] == ["east"]
    assert [one.cluster for one in find_places(linked, "west/10.2.2.9")] == []
    assert [one.cluster for one in find_places(linked, "laptop")] == ["west", "east"]
    assert [one.cluster for one in find_places(linked, "east/peer/laptop")] == ["east"]


# --- the command ---


@pytest.mark.parametrize(
    ("ends", "code", "said"),
    [
        (["w2", "e2"], 0, ""),
        (["west/node/w2", "10.2.2.9"], 0, ""),
        (["w2", "10.77.0.1"], 1, ""),
        (["laptop", "e2"], 2, "give one of west/laptop, east/laptop"),
        (["w2", "nobody"], 2, 'any node, peer or IP address "nobody" in west, east'),
        (["w2", "west/e2"], 2, 'any node, peer or IP address "e2" in the cluster'),
        (["10.77.0.1", "w2"], 2, "in no network of the clusters"),
    ],
)
def test_the_exit_code_is_the_answer(tmp_path: Path, ends: list[str], code: int, said: str) -> None:
    answer = kgctl(*options(tmp_path, pair()), "path", *ends)
    assert (answer.code, bool(answer.stdout)) == (code, code < 2)
    assert said in answer.stderr


def test_who_takes_no_part_is_told_with_the_cluster(tmp_path: Path) -> None:
    clusters = pair()
    clusters["east"].append(node("e9", 2, 9, "asia", last_seen="1"))
    both = options(tmp_path, clusters)
    assert "takes no part" in kgctl(*both, "path", "w1", "e9").stderr
    answer = kgctl(*both, "path", "w1", "10.2.9.1")
    assert "(of e9, which takes no part: heartbeat" in answer.stdout
    assert "in east)" in answer.stdout.splitlines()[0]


def test_json_has_the_cluster_of_each_machine_and_dot_all_of_them(tmp_path: Path) -> None:
    both = options(tmp_path, pair())
    path = json.loads(kgctl(*both, "path", "w2", "e2", "-o", "json").stdout)
    assert [hop["to"]["cluster"] for hop in path["there"]["hops"]] == ["west", "east", "east"]
    drawn = kgctl(*both, "path", "w2", "e2", "-o", "dot").stdout
    assert '"west/w1" -> "east/e1" [label="2" color=forestgreen' in drawn


def test_a_path_within_one_cluster_is_as_it_is_alone(tmp_path: Path) -> None:
    clusters = {"west": west(), "east": [*east(), peer("printer", "10.5.1.2/32")]}
    both = options(tmp_path, clusters)
    alone = json.loads(kgctl(*both[:4], "path", "w2", "w3", "-o", "json").stdout)
    together = json.loads(kgctl(*both, "path", "w2", "w3", "-o", "json").stdout)
    for walk in (together["there"], together["back"]):
        for hop in walk["hops"]:
            assert (hop["from"].pop("cluster"), hop["to"].pop("cluster")) == ("west", "west")
    assert (together["there"], together["back"]) == (alone["there"], alone["back"])
