"""Claims that a cluster grants to another: the effects of one hostile node there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from kgctl.link.claim_policy import Grants, Held, Terms, grants
from kgctl.link.peers import wanted_peers
from kgctl.mesh.guards import Reason
from kgctl.mesh.link_rules import Share
from kgctl.mesh.policy import Limits
from tests.mesh.test_link_rules import cidr, member, node, peer

if TYPE_CHECKING:
    from kgctl.mesh.link_rules import Member

LOCATIONS = Share(location_ips=True)


def victim(**more: Any) -> Member:
    return member("b", node("n", 2), **more)


def unattended(*confirmed: str, allowed: tuple[str, ...] = ()) -> Terms:
    """Return the terms under which nobody looks, and these networks were confirmed before."""
    known = [cidr(one) for one in confirmed]
    return Terms(allowed=allowed, is_confirmed=lambda _to, _of, _link, one: one in known)


def peers(found: Grants) -> dict[str, list[str]]:
    """Return the allowed IPs of the Peers that come of it, by name."""
    return {
        name: one["spec"]["allowedIPs"]
        for source in found.members
        for name, one in wanted_peers(source).items()
    }


def networks(found: Grants) -> list[str]:
    return [one for each in peers(found).values() for one in each]


def reasons(found: Grants) -> dict[str, str]:
    return {
        str(one.claim.network): one.reason.value
        for refusals in found.refusals.values()
        for one in refusals
        if not one.is_expected
    }


def claiming(*internal_ips: str) -> Member:
    """Return a cluster whose nodes, after an honest one, have these internal IPs."""
    hostile = [
        node(f"x{number}", 20 + number, internal_ip=one, wireguard_ip="10.101.0.9/16", location="x")
        for number, one in enumerate(internal_ips)
    ]
    return member("a", node("honest", 1, location="home"), *hostile)


@pytest.mark.parametrize(
    ("claimed", "reason"),
    [
        ("169.254.169.254/32", "special"),
        ("127.0.0.1/8", "special"),
        ("224.0.0.251/32", "special"),
        ("1.1.1.1/32", "public"),
        ("2606:4700::1111/128", "public"),
        ("203.0.113.2/32", "endpoint"),
        ("203.0.113.1/32", "endpoint"),
        ("172.1.0.9/32", "public"),
    ],
)
def test_what_nobody_gets_and_what_takes_consent_is_left_out(claimed: str, reason: str) -> None:
    found = grants(victim(), [claiming(claimed)], Terms())
    single = f"{claimed.partition('/')[0]}/{32 if '.' in claimed else 128}"
    assert reasons(found)[single] == reason
    assert single not in peers(found)["link-a.x"]
    assert "10.20.0.0/24" in peers(found)["link-a.x"]  # the rest of the segment is there


def test_a_node_whose_internal_ip_is_its_endpoint_says_nothing_and_loops_nothing() -> None:
    found = grants(victim(), [member("a", node("n", 9, internal_ip="203.0.113.9/24"))], Terms())
    assert reasons(found) == {}
    assert networks(found) == ["10.9.0.0/24", "10.109.0.1/32"]


@pytest.mark.parametrize("endpoint", ["10.7.0.5:51820", "[fd00:7::5]:51820", "203.0.113.2:1"])
def test_no_part_of_what_the_other_cluster_dials_is_routed_to_a_peer(endpoint: str) -> None:
    target = member("b", node("n", 2, endpoint=endpoint))
    wide = "10.7.0.0/16,fd00:7::/32,203.0.113.0/24"
    source = member("a", node("n", 1, allowed_location_ips=wide), share=LOCATIONS)
    limits = {"a": Limits(accept={"n": (cidr("203.0.113.0/24"),)})}
    found = networks(grants(target, [source], Terms(limits)))
    dialled = target.state.nodes[0].endpoint
    assert dialled is not None
    assert dialled.address is not None
    held = [cidr(one) for one in found]
    assert not any(one.contains(dialled.address) for one in held)
    assert len(found) > 5


def test_the_endpoints_of_the_other_clusters_peers_and_of_third_clusters_are_safe_too() -> None:
    laptop = peer("laptop", "10.5.0.1/32")
    laptop["spec"]["endpoint"] = {"dnsOrIP": {"ip": "10.66.0.7"}, "port": 51820}
    third = member("c", node("n", 3, internal_ip="10.3.9.1/24"))
    source = claiming("10.66.0.7/32", "203.0.113.3/32")
    found = reasons(grants(victim(peers=[laptop]), [source, third], Terms()))
    assert (found["10.66.0.7/32"], found["203.0.113.3/32"]) == ("endpoint", "endpoint")


def test_limits_hold_for_the_claims_of_the_cluster_that_they_are_of() -> None:
    limits = {
        "a": Limits(
            only_networks=(cidr("10.0.0.0/8"), cidr("1.1.1.1/32")),
            deny=(cidr("10.20.0.0/24"),),
            accept={"x0": (cidr("1.1.1.1/32"),)},
        )
    }
    third = member("c", node("n", 3, internal_ip="1.1.1.1/32", location="x"))
    found = peers(grants(victim(), [claiming("1.1.1.1/32"), third], Terms(limits)))
    assert found == {
        "link-a.home": ["10.1.0.0/24", "10.101.0.1/32"],  # without its 172.1.0.1
        "link-a.x": ["1.1.1.1/32", "10.101.0.2/32"],
        "link-c.x": ["10.3.0.0/24", "10.103.0.1/32"],
    }


def test_a_segment_of_which_nothing_is_granted_has_no_peer() -> None:
    limits = {"a": Limits(only_networks=(cidr("192.168.0.0/16"),))}
    assert peers(grants(victim(), [claiming()], Terms(limits))) == {}


def test_a_segment_does_not_take_what_another_one_of_its_cluster_has() -> None:
    """A pod of another node, another one's internal IP, another leader's WireGuard IP."""
    claimed = ("10.1.0.7/32", "172.16.1.1/32", "10.101.0.1/32")
    hostile = [
        node(
            f"x{number}", 20 + number, internal_ip=one, location=f"x{number}",
            wireguard_ip=f"10.101.0.{2 + number}/16",
        )
        for number, one in enumerate(claimed)
    ]  # fmt: skip
    honest = node("honest", 1, internal_ip="172.16.1.1/24", location="home")
    found = grants(victim(), [member("a", honest, *hostile)], Terms())
    assert peers(found)["link-a.home"] == ["10.1.0.0/24", "172.16.1.1/32", "10.101.0.1/32"]
    assert not set(claimed) & {
        one for name in ("link-a.x0", "link-a.x1", "link-a.x2") for one in peers(found)[name]
    }
    assert reasons(found) == dict.fromkeys(claimed, "in-use")


def test_a_private_endpoint_is_dialled_and_not_routed_where_clusters_meet_privately() -> None:
    source = member("a", node("n", 9, endpoint="10.9.9.9:51820", internal_ip="10.9.9.9/24"))
    assert "10.9.9.9/32" in networks(grants(victim(), [source], Terms()))
    private = grants(victim(), [source], Terms(allowed=("endpoints",)))
    assert "10.9.9.9/32" not in networks(private)
    assert reasons(private) == {}


@pytest.mark.parametrize("endpoint", ["127.0.0.1:22", "[::1]:51820", "localhost:51820",
                                      "224.0.0.1:51820", "0.0.0.0:51820"])  # fmt: skip
def test_an_endpoint_that_no_other_machine_can_dial_is_never_copied(endpoint: str) -> None:
    source = member("a", node("n", 1, endpoint=endpoint))
    (one,) = wanted_peers(source, private_endpoints=True).values()
    spec = one["spec"]
    assert "endpoint" not in spec
    assert spec["persistentKeepalive"] == 25


# --- where nobody looks ---


def test_what_an_annotation_newly_claims_waits_for_a_person() -> None:
    source = member(
        "a", node("n", 1, allowed_location_ips="10.9.0.0/24", location="x"), share=LOCATIONS
    )
    found = grants(victim(), [source], unattended())
    assert networks(found) == ["10.1.0.0/24", "10.101.0.1/32"]
    assert set(reasons(found).values()) == {"public", "unconfirmed"}
    source = member(
        "a",
        node("n", 1, internal_ip="10.8.0.1/24", allowed_location_ips="10.9.0.0/24", location="x"),
        share=LOCATIONS,
    )
    assert reasons(grants(victim(), [source], unattended())) == {
        "10.8.0.1/32": "unconfirmed", "10.9.0.0/24": "unconfirmed",
    }  # fmt: skip
    known = grants(victim(), [source], unattended("10.8.0.1/32", "10.9.0.0/24"))
    assert (reasons(known), len(networks(known))) == ({}, 4)
    accepted = unattended()._replace(limits={"a": Limits(accept={"*": (cidr("10.8.0.0/15"),)})})
    assert networks(grants(victim(), [source], accepted)) == networks(known)
    attended = grants(victim(), [source], Terms())  # a person sees the plan
    assert networks(attended) == networks(known)


def test_what_is_in_use_there_is_left_out_and_the_rest_of_the_cluster_is_not() -> None:
    target = victim(peers=[peer("laptop", "10.5.0.1/32")], services=("10.43.0.0/16",))
    taken = ("10.2.0.9/32", "10.5.0.1/32", "10.43.0.1/32", "10.102.0.1/32")
    found = grants(target, [claiming(*taken)], unattended(*taken, "172.1.0.1/32"))
    assert {one: reasons(found)[one] for one in taken} == dict.fromkeys(taken, "in-use")
    assert found.left_out == ()
    assert not set(taken) & set(networks(found))
    assert "10.1.0.0/24" in networks(found)
    allowed = grants(target, [claiming(*taken)], unattended(*taken, allowed=("overlap",)))
    assert set(taken) <= set(networks(allowed))


def test_a_segment_whose_pods_are_in_use_there_stays_as_it_is() -> None:
    source = member("a", node("good", 1, location="good"), node("n", 2, location="bad"))
    found = grants(victim(), [source], unattended())
    assert [(one.segment, one.link) for one in found.left_out] == [("location:bad", "link-a.bad")]
    assert str(found.left_out[0]) == (
        "left out: location:bad of a, whose Peers stay as they are: 10.2.0.0/24: it overlaps the "
        "pod subnet of node n of b"
    )
    assert list(peers(found)) == ["link-a.good"]
    assert found.frozen == {"link-a.bad"}


def test_of_two_clusters_that_claim_one_network_the_one_that_is_held_keeps_it() -> None:
    one = member("a", node("n", 1, internal_ip="10.77.0.1/24", location="x"))
    other = member("c", node("n", 3, internal_ip="10.77.0.1/24", location="x"))
    terms = unattended("10.77.0.1/32")
    first = peers(grants(victim(), [one, other], terms))
    assert "10.77.0.1/32" in first["link-a.x"]
    assert "10.77.0.1/32" not in first["link-c.x"]
    held = Held({"link-c.x": frozenset({cidr("10.77.0.1/32")})})
    kept = peers(grants(victim(), [one, other], terms, held))
    assert "10.77.0.1/32" not in kept["link-a.x"]
    assert "10.77.0.1/32" in kept["link-c.x"]


def test_a_key_of_another_machine_leaves_its_segment_out() -> None:
    stolen = node("n", 2).annotations["kilo.squat.ai/key"]
    source = member("a", node("honest", 1, location="home"), node("x", 9, key=stolen, location="x"))
    found = grants(victim(), [source], unattended())
    assert list(peers(found)) == ["link-a.home"]
    assert "it has the public key of node n of b" in str(found.left_out[0])


@pytest.mark.parametrize(("holder", "left"), [("link-a.home", "location:w"), ("", "location:w"),
                                              ("link-a.w", "location:home")])  # fmt: skip
def test_of_two_segments_with_one_key_the_one_that_is_held_keeps_it(holder: str, left: str) -> None:
    key = node("honest", 1).annotations["kilo.squat.ai/key"]
    nodes = (node("honest", 1, location="home"), node("x", 9, key=key, location="w"))
    held = Held(keys={key: holder} if holder else {})
    for terms in (Terms(), unattended()):
        found = grants(victim(), [member("a", *nodes)], terms, held)
        assert [one.segment for one in found.left_out] == [left]


def test_a_wireguard_network_of_somebody_elses_choice_waits_for_a_person() -> None:
    held = Held({"link-a.x": frozenset({cidr("10.101.0.1/32"), cidr("10.1.0.0/24")})})
    for moved in ("192.168.1.0/24", "10.0.0.0/8"):
        source = member("a", node("n", 1, wireguard_ip=moved, location="x"))
        found = grants(victim(), [source], unattended(), held)
        assert [one.link for one in found.left_out] == ["link-a.x"]
        assert networks(grants(victim(), [source], Terms(), held))
    same = member("a", *(node(f"n{number}", 10 + number, location=f"x{number}",
                              wireguard_ip="10.101.0.7/16") for number in range(5)))  # fmt: skip
    assert grants(victim(), [same], unattended(), held).left_out == ()
    assert grants(victim(), [source], unattended()).left_out == ()  # a link that is new


def test_nodes_that_disagree_about_the_granularity_leave_their_cluster_as_it_is() -> None:
    mixed = member("a", node("m", 1, location="x"), node("n", 9, granularity="full"))
    third = member("c", node("n", 3, location="x"))
    found = grants(victim(), [mixed, third], unattended())
    assert list(peers(found)) == ["link-c.x"]
    assert len(found.left_out) == len(mixed.topology.segments)


def test_services_that_overlap_what_is_in_use_there_are_left_out_where_nobody_looks() -> None:
    source = member("a", node("n", 1), services=("10.2.0.0/16", "10.43.0.0/16"))
    found = networks(grants(victim(), [source], unattended()))
    assert "10.43.0.0/16" in found
    assert "10.2.0.0/16" not in found


def test_what_a_peer_holds_that_stays_is_narrowed_but_not_what_a_person_gave() -> None:
    source = member("a", node("n", 1), services=("198.51.100.0/24",))
    narrowing = grants(victim(), [source], Terms()).narrowing
    held = ["10.1.0.0/24", "198.51.100.0/24", "169.254.169.254/32", "1.1.1.1/32", "203.0.113.2/32"]
    left = narrowing.left("a", map(cidr, held))
    assert [list(map(str, parts)) for parts in left] == [
        ["10.1.0.0/24"], ["198.51.100.0/24"], [], [], [],
    ]  # fmt: skip


def test_five_thousand_hostile_nodes_are_judged_in_a_second_or_two() -> None:
    """All with one internal IP, each of its own segment, and location IPs within each other."""
    nodes = [
        node(
            f"n{number}", 1, internal_ip="10.0.0.1/32", location=f"x{number}",
            key=f"{number:042d}A=", wireguard_ip="10.101.0.1/16",
            allowed_location_ips=f"10.{number % 200}.0.0/{16 + number % 16}",
        )
        for number in range(5000)
    ]  # fmt: skip
    source = member("a", *nodes, share=LOCATIONS)
    assert len(source.topology.segments) == 5000
    began = time.process_time()
    found = grants(victim(), [source], unattended())
    assert time.process_time() - began < 5
    assert Reason.IN_USE in {one.reason for one in found.refusals["a"]}
