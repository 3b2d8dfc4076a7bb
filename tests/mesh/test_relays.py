"""Relays: which machine forwards between two, and what each file says about it."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from kgctl.diagnosis.check import check
from kgctl.diagnosis.facts import Settings, Subject
from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.difference import difference
from kgctl.mesh.endpoint import Endpoint, parse_endpoint
from kgctl.mesh.granted import limited
from kgctl.mesh.granted_beside import GrantedBeside
from kgctl.mesh.key import PublicKey
from kgctl.mesh.network import AUTO, MARKED, Network, Relaying, direct_links
from kgctl.mesh.owners import Place
from kgctl.mesh.path.ends import find_end
from kgctl.mesh.path.walk import find_path
from kgctl.mesh.peer import Peer, PeerSettings
from kgctl.mesh.policy import Limits
from kgctl.mesh.relay_changes import Moved, relay_changes
from kgctl.mesh.relays import NoRelayError, Relays, can_meet, relaying_through, relays_of
from kgctl.mesh.state import State, network_of
from kgctl.wireguard.quick import PeerFiles, QuickSettings, quick_configuration
from tests.mesh.test_path import _network, _node, _peer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.mesh.topology import Topology
    from kgctl.wireguard.conf import Configuration

PUBLIC, PRIVATE, NOBODYS = "198.51.100.{}:51820", "192.168.1.{}:51820", "127.0.0.{}:51820"


def cidr(text: str) -> Cidr:
    found = parse_cidr(text)
    assert found is not None
    return found


POOL = cidr("10.73.0.0/24")


def at(text: str, number: int) -> Endpoint | None:
    return parse_endpoint(text.format(number)) if text else None


def machine(
    name: str,
    number: int,
    *also: str,
    endpoint: str = "",
    relay: bool = False,
    location: str = "",
    own: str = "10.73.0.{}/32",
) -> Peer:
    return Peer(
        name,
        (cidr(own.format(number)), *map(cidr, also)),
        PublicKey(bytes([number]) * 32),
        persistent_keepalive=0 if endpoint == PUBLIC else 25,
        endpoint=at(endpoint, number),
        settings=PeerSettings(relay=relay, location=location),
    )


def network(*peers: Peer, mode: str = MARKED, pools: Sequence[Cidr] = (POOL,)) -> Topology:
    return network_of(state(peers, mode, pools), now=0)


def state(peers: Sequence[Peer], mode: str = MARKED, pools: Sequence[Cidr] = (POOL,)) -> State:
    ordered = tuple(sorted(peers, key=lambda peer: peer.name))
    return State((), ordered, network=Network("n", tuple(pools), relays=mode))


def file(topology: Topology, name: str, settings: QuickSettings | None = None) -> Configuration:
    peer = topology.peer(name)
    assert peer is not None
    return quick_configuration(topology, peer, settings or QuickSettings())


def sent_to(topology: Topology, name: str, settings: QuickSettings | None = None) -> dict[str, str]:
    """Return the allowed IPs in the file of a machine, by the name of the other."""
    names = {peer.public_key: peer.name for peer in topology.peers}
    found = file(topology, name, settings)
    return {names[one.public_key]: " ".join(map(str, one.allowed_ips)) for one in found.peers}


A1 = _node("a1", 1, "198.51.100.1", leader="true")
B1 = _node("b1", 3, "203.0.113.1")

VPS = machine("vps", 1, endpoint=PUBLIC, relay=True)
ALICE, BOB = machine("alice", 2), machine("bob", 3, "192.168.7.0/24")


# --- who relays ---


def test_a_machine_relays_if_it_is_marked_and_others_can_call_it() -> None:
    marked = [machine("far", 4, relay=True), machine("near", 5, endpoint=PRIVATE, relay=True)]
    other = machine("other", 6, endpoint=PUBLIC)
    found = relays_of(network(VPS, *marked, other))
    assert [one.name for one in found] == ["vps"]
    found = relays_of(network(VPS, *marked, other, mode=AUTO))
    assert [one.name for one in found] == ["other", "vps"]


def test_the_relay_is_one_in_a_location_of_the_two_else_the_first_by_name() -> None:
    relays = [
        machine(name, number, endpoint=PUBLIC, relay=True, location=where)
        for number, (name, where) in enumerate((("a", ""), ("b", "west"), ("c", "east")), 1)
    ]
    nowhere, west, east = machine("x", 11), machine("y", 12, location="west"), machine("z", 13)
    east = east._replace(settings=PeerSettings(location="east"))
    away = machine("q", 14, location="north")
    found = Relays(network(*relays, nowhere, west, east, away))
    for one, other, name in (
        (nowhere, away, "a"), (nowhere, west, "b"), (east, nowhere, "c"), (east, west, "b"),
        (away, east, "c"),
    ):  # fmt: skip
        relay = found.between(one, other)
        assert relay is not None
        assert relay.name == name
    assert found.between(nowhere, relays[0]) is None


def test_neighbours_call_each_other_at_a_private_endpoint() -> None:
    here = [
        machine("nas", 4, endpoint=PRIVATE, location="home"), machine("tv", 5, location="home"),
    ]  # fmt: skip
    topology = network(VPS, ALICE, *here)
    assert sent_to(topology, "tv").keys() == {"vps", "nas"}
    assert sent_to(topology, "nas").keys() == {"vps", "tv"}
    assert sent_to(topology, "alice").keys() == {"vps"}
    assert _reaches(topology, "tv", "nas")
    assert ("nas", "tv") in {
        tuple(sorted((one.name, other.name)))
        for one, other in direct_links(topology.peers, relayed=True)
    }


# --- files ---


def test_the_pools_and_the_networks_outside_of_them_go_to_the_relay() -> None:
    far = machine("far", 9, own="10.99.0.{}/32")
    topology = network(VPS, ALICE, BOB, far)
    assert sent_to(topology, "alice") == {
        "vps": "10.73.0.1/32 10.73.0.0/24 192.168.7.0/24 10.99.0.9/32"
    }
    assert sent_to(topology, "vps")["bob"] == "10.73.0.3/32 192.168.7.0/24"


def test_of_a_limited_file_the_relay_has_what_it_is_limited_to() -> None:
    topology = network(VPS, ALICE, BOB, machine("carol", 4))
    only = sent_to(topology, "alice", QuickSettings(only=("bob",)))
    assert only == {"vps": "10.73.0.3/32 192.168.7.0/24"}
    both = sent_to(topology, "alice", QuickSettings(only=("bob", "vps")))
    assert both == {"vps": "10.73.0.1/32 10.73.0.3/32 192.168.7.0/24"}


def test_a_pool_that_is_not_granted_is_replaced_by_what_is() -> None:
    limits = Limits(deny=(cidr("10.73.0.3/32"),))
    topology = network(VPS, ALICE, BOB, machine("carol", 4), pools=[cidr("203.0.113.0/24"), POOL])
    found = sent_to(topology, "alice", QuickSettings(limits=limits))
    assert found == {"vps": "10.73.0.1/32 192.168.7.0/24 10.73.0.4/32"}
    comments = file(topology, "alice", QuickSettings(limits=limits)).peers[0].comments
    assert "relay: forwards to machines that cannot be called" in comments


def test_what_is_refused_to_a_machine_behind_a_relay_is_said_there() -> None:
    topology = network(VPS, ALICE, machine("bob", 3, "203.0.113.0/24"))
    (section,) = file(topology, "alice").peers
    assert "203.0.113.0/24" not in " ".join(map(str, section.allowed_ips))
    assert any("203.0.113.0/24" in one for one in section.comments)


def test_a_relay_forwards_within_the_tunnel_and_nothing_else() -> None:
    lines = str(file(network(VPS, ALICE, BOB), "vps")).splitlines()
    assert [line for line in lines if line.startswith("Post")] == [
        "PostUp = sysctl -qw net/ipv4/conf/%i/forwarding=1",
        "PostUp = iptables -w -I FORWARD -i %i -o %i -j ACCEPT",
        "PostDown = iptables -w -D FORWARD -i %i -o %i -j ACCEPT",
    ]
    for name in ("alice", "vps"):
        topology = network(VPS._replace(settings=PeerSettings()), ALICE, BOB)
        assert "FORWARD -i %i -o %i" not in str(file(topology, name))
    auto = network(VPS._replace(settings=PeerSettings()), ALICE, BOB, mode=AUTO)
    assert "FORWARD -i %i -o %i" in str(file(auto, "vps"))
    alone = network(VPS._replace(settings=PeerSettings()), ALICE, mode=AUTO)
    assert "Post" not in str(file(alone, "vps"))


def test_a_relay_that_routes_a_network_does_both() -> None:
    vps = VPS._replace(allowed_ips=(*VPS.allowed_ips, cidr("192.168.9.0/24")))
    text = str(file(network(vps, ALICE, BOB), "vps"))
    assert "PostUp = sysctl -qw net.ipv4.ip_forward=1\n" in text
    assert "PostUp = iptables -w -I FORWARD -i %i -o %i -j ACCEPT\n" in text
    assert "PostUp = iptables -w -I FORWARD -i %i -d 192.168.9.0/24 -j ACCEPT\n" in text


def test_only_the_files_of_the_relay_and_of_a_new_machine_change() -> None:
    before, after = network(VPS, ALICE, BOB), network(VPS, ALICE, BOB, machine("carol", 4))
    same = {name for name in ("alice", "bob", "vps") if file(before, name) == file(after, name)}
    assert same == {"alice", "bob"}
    assert difference(before, after).configured_anew == ("peer carol", "peer vps")


# --- what a change does ---


def test_who_is_cut_off_without_the_relay() -> None:
    before, after = network(VPS, ALICE, BOB), network(ALICE, BOB)
    assert relay_changes(before, after).cut_off == ("alice", "bob")
    assert relay_changes(after, before).joined == ("alice", "bob")
    assert not relay_changes(before, before)
    assert not relay_changes(before, None)


def test_another_relay_takes_over() -> None:
    second = machine("z", 9, endpoint=PUBLIC, relay=True)
    before, after = network(VPS, ALICE, BOB, second), network(ALICE, BOB, second)
    assert relay_changes(before, after).moved == (Moved("vps", "z", ("alice", "bob")),)
    assert not relay_changes(before, after).cut_off


# --- in a cluster ---


def test_a_node_relays_between_peers_of_a_cluster() -> None:
    peers = [_peer(name, f"10.5.0.{at}/32", keepalive=25) for at, name in ((1, "p"), (2, "q"))]
    topology = _network([A1, B1], *peers)
    segments = [segment.name for segment in topology.segments]
    for name, relay in (("a1", 0), ("node/b1", 1), (AUTO, 0)):
        for own, other in (("p", "10.5.0.2/32"), ("q", "10.5.0.1/32")):
            settings = QuickSettings(relay=name, relay_pools=(cidr("10.5.0.0/16"),))
            found = file(topology, own, settings)
            holding = [one for one in found.peers if cidr("10.5.0.0/16") in one.allowed_ips]
            assert [one.public_key for one in holding] == [topology.segments[relay].key]
            assert len(found.peers) == len(segments)
            plain = file(topology, own, QuickSettings(relay=name))
            assert cidr(other) in plain.peers[relay].allowed_ips
    assert _reaches(topology._replace(relaying=Relaying(AUTO)), "p", "q")
    assert not _reaches(topology, "p", "q")


def test_what_can_be_no_relay_of_a_cluster_is_refused() -> None:
    topology = _network([A1], _peer("p", "10.5.0.1/32"))
    with pytest.raises(NoRelayError, match="neither a node nor a peer") as caught:
        relaying_through(topology, "a2")
    assert caught.value.alternatives == ("a1", "p", AUTO)
    with pytest.raises(NoRelayError, match="no endpoint that others can call"):
        relaying_through(topology, "p")
    with pytest.raises(NoRelayError, match="relays of its own"):
        relaying_through(network(VPS), AUTO)
    segments = tuple(
        one._replace(endpoint=None, leader=one.leader._replace(endpoint=None))
        for one in topology.segments
    )
    with pytest.raises(NoRelayError, match="no leader can relay"):
        relaying_through(topology._replace(segments=segments), AUTO)


# --- any network ---


def machines() -> st.SearchStrategy[list[Peer]]:
    one = st.tuples(
        st.sampled_from(["", PUBLIC, PRIVATE, NOBODYS]),
        st.booleans(),
        st.sampled_from(["", "west", "east"]),
        st.sampled_from(["10.73.0.{}/32", "10.73.0.{}/32", "10.99.0.{}/32", "203.0.113.{}/32"]),
        st.lists(st.sampled_from(["192.168.7.0/24", "10.73.0.128/25", "10.73.0.0/24"]), max_size=1),
    )
    return st.lists(one, min_size=2, max_size=9).map(
        lambda found: [
            machine(f"m{number}", number, *also, endpoint=endpoint, relay=relay, location=location,
                    own=own)
            for number, (endpoint, relay, location, own, also) in enumerate(found, 1)
        ]
    )  # fmt: skip


def _reaches(topology: Topology, one: str, other: str) -> bool:
    start, target = (find_end(topology, f"peer/{name}") for name in (one, other))
    assert start is not None
    assert target is not None
    return find_path(topology, start, target).reachable


@given(machines(), st.sampled_from([MARKED, AUTO]))
@example([machine("a", 1, location="x"), machine("b", 2, location="x", endpoint=PRIVATE)], MARKED)
def test_every_pair_has_a_tunnel_or_a_relay_or_a_finding(peers: list[Peer], mode: str) -> None:
    topology = network(*peers, mode=mode)
    relays = Relays(topology)
    found = check(Subject(state(peers, mode)), Settings(now=0))
    reported = any(one.code == "KG412" for one in found)
    for one, other in combinations(topology.peers, 2):
        relay = relays.between(one, other)
        assert relay == relays.between(other, one)
        met = can_meet(one, other)
        assert not (met and relay)
        assert met or relay or reported, (one.name, other.name)
    assert not (reported and relays)


@given(machines(), st.sampled_from([MARKED, AUTO]))
def test_both_files_of_a_pair_name_the_same_machine(peers: list[Peer], mode: str) -> None:
    """By the allowed IPs: that of the longest prefix takes packets in and out."""
    networks = [network for peer in peers for network in peer.allowed_ips]
    assume(len(networks) == len(set(networks)))  # else a machine loses an address to another
    topology = network(*peers, mode=mode)
    relays = Relays(topology)
    files = {
        peer.name: quick_configuration(topology, peer, QuickSettings()).peers
        for peer in topology.peers
    }
    granted = GrantedBeside(topology).all.topology
    for one, other in permutations(topology.peers, 2):
        address = other.allowed_ips[0].address
        holding = [
            (network.prefix, section.public_key)
            for section in files[one.name]
            for network in section.allowed_ips
            if network.contains(address)
        ]
        given_to = next(peer for peer in granted.peers if peer.name == other.name)
        if other.allowed_ips[0] not in given_to.allowed_ips:
            continue  # a public address needs consent
        relay = relays.between(one, other)
        if relay is None and not can_meet(one, other):
            continue
        through = other if relay is None else topology.peer(relay.name)
        assert through is not None
        assert max(holding, key=lambda one: one[0])[1] == through.public_key
        if relay is not None:
            assert _reaches(topology, one.name, other.name)


@given(machines(), st.sampled_from([MARKED, AUTO]))
def test_no_network_is_in_two_sections_of_a_file(peers: list[Peer], mode: str) -> None:
    topology = network(*peers, mode=mode)
    files = PeerFiles(topology, QuickSettings())
    for peer in topology.peers:
        found = files.configuration(peer, QuickSettings())
        networks = [one for section in found.peers for one in section.allowed_ips]
        assert len(networks) == len({one.masked() for one in networks})
        assert found == quick_configuration(topology, peer, QuickSettings())


@given(machines(), machines(), st.sampled_from([MARKED, AUTO]), st.booleans())
def test_whose_file_changes_is_named(
    peers: list[Peer], others: list[Peer], mode: str, wide: bool
) -> None:
    before = network(*peers, mode=mode)
    after = network(
        *peers[1:], *others[:1], mode=mode, pools=[cidr("10.73.0.0/16")][:wide] or [POOL]
    )
    names = set(difference(before, after).configured_anew)
    for peer in after.peers:
        known = before.peer(peer.name)
        old = None if known is None else quick_configuration(before, known, QuickSettings())
        if old != quick_configuration(after, peer, QuickSettings()):
            assert f"peer {peer.name}" in names
    assert difference(before, before).configured_anew == ()


@given(machines(), st.lists(st.integers(0, 8), max_size=3), st.booleans())
def test_grants_are_those_of_each_peer_alone(
    peers: list[Peer], alike: list[int], denied: bool
) -> None:
    """Also where machines have a key, an address or an endpoint in common."""
    for number in alike:
        if number + 1 < len(peers):
            one, other = peers[number], peers[number + 1]
            peers[number] = one._replace(
                public_key=other.public_key if number % 2 else one.public_key,
                allowed_ips=(*one.allowed_ips, other.allowed_ips[0], cidr("198.51.100.3/32")),
            )
    limits = Limits(deny=(cidr("10.73.0.2/32"),)) if denied else Limits()
    topology = network(*peers)
    granted = GrantedBeside(topology, limits)
    for peer in topology.peers:
        assert granted.beside(peer) == limited(topology, limits, beside=peer.name)


def test_the_place_of_a_relay_carries_for_others() -> None:
    relays = Relays(network(VPS, ALICE, BOB))
    assert relays.carries(Place("vps", is_peer=True))
    assert not relays.carries(Place("alice", is_peer=True))
