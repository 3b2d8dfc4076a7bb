"""Networks whose agents never settle, compared with a simulated device and comparison."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.comparison import Cause, Comparison, Unsettled, unsettled
from kgctl.mesh.endpoint import Endpoint, parse_endpoint
from kgctl.mesh.key import PublicKey
from kgctl.mesh.node import Node
from kgctl.mesh.peer import Peer
from kgctl.mesh.state import State, viewpoints_of
from kgctl.mesh.subnets import kilo_subnet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.mesh.state import Viewpoints
    from kgctl.mesh.topology import Topology

NOW = 1_700_000_000


class Pair(NamedTuple):
    """A peer of a device."""

    allowed_ips: tuple[str, ...]
    endpoint: Endpoint | None
    keepalive: int


def wanted(views: Viewpoints, name: str) -> list[tuple[PublicKey, tuple[Cidr, ...], Pair]]:
    """Return what the agent of a leader wants, as it writes it."""
    seen = views.from_node(name)
    own = seen.segment_of(name)
    assert own is not None
    keepalive = own.leader.persistent_keepalive or own.leader.excessive_keepalive or 0
    sections = [
        (one.key, (*one.allowed_ips, *one.allowed_location_ips), one.endpoint)
        for one in seen.segments
        if one is not own
    ]
    for peer in seen.peers:
        assert peer.public_key is not None
        sections.append((peer.public_key, peer.allowed_ips, peer.endpoint))
    return [
        (key, cidrs, Pair(tuple(sorted(map(str, cidrs))), endpoint, keepalive))
        for key, cidrs, endpoint in sections
    ]


def device_of(
    written: list[tuple[PublicKey, tuple[Cidr, ...], Pair]], leader: Node
) -> dict[PublicKey, Pair]:
    """Return what WireGuard makes of it, once others have called."""
    routing: dict[Cidr, PublicKey] = {}
    for key, cidrs, _ in written:
        if key != leader.key:
            for cidr in [one for one, holder in routing.items() if holder == key]:
                del routing[cidr]
            routing.update((cidr.masked(), key) for cidr in cidrs)
    return {
        key: Pair(
            tuple(sorted(str(cidr) for cidr, holder in routing.items() if holder == key)),
            leader.discovered_endpoints.get(key, pair.endpoint),
            pair.keepalive % (1 << 16),
        )
        for key, _, pair in written
        if key != leader.key
    }


def differs(views: Viewpoints, leader: Node) -> bool:
    """Compare as the agent does, with its early end."""
    written = wanted(views, leader.name)
    found = device_of(written, leader)
    if len(found) != len(written):
        return True
    for key, _, pair in sorted(written, key=lambda one: str(one[0])):
        there = found[key]
        if pair.allowed_ips != there.allowed_ips:
            return True
        if pair.endpoint is None or there.endpoint is None:
            return pair.endpoint is not there.endpoint
        named = pair.endpoint.address is None and pair.endpoint.port == there.endpoint.port
        if (pair.endpoint != there.endpoint and not named) or pair.keepalive != there.keepalive:
            return True
    return False


KEYS = [PublicKey(bytes([number * 11 % 256]) * 32) for number in range(1, 20)]
NETWORKS = (
    "10.1.0.1/32, 10.1.0.2/32, 10.42.0.0/24, 10.42.1.0/24, 10.4.0.2/32, 10.9.0.0/24, 10.9.0.7/24, "
    "10.4.0.3/32, 192.168.0.0/16, fd00::1/64, fd00::/64"
)
cidrs = st.sampled_from([one for one in map(parse_cidr, NETWORKS.split(", ")) if one])
endpoints = st.sampled_from(
    ["203.0.113.1:51820", "203.0.113.1:1024", "198.51.100.7:51820", "a.example.com:51820"]
).map(parse_endpoint)
keepalives = st.sampled_from([0, 0, 25, 25, 65535])
excessive = st.sampled_from(
    [{}, {}, {}, *({"persistent-keepalive": one} for one in ("65536", "-1"))]
)
discovered = st.dictionaries(st.sampled_from(KEYS[:7]), endpoints, max_size=3).map(
    lambda found: {key: one for key, one in found.items() if one and one.address}
)


def with_keepalive(name: str, seconds: int, unreadable: dict[str, str], **more: Any) -> Node:
    """Return a node with one of two keepalives: one that WireGuard holds, or another one."""
    return Node(
        name, persistent_keepalive=0 if unreadable else seconds, unreadable=unreadable, **more
    )


@st.composite
def networks(draw: st.DrawFn) -> State:
    """At most three segments and four peers, with whatever may be wrong with them."""
    keys = iter(draw(st.permutations(KEYS[:7])))
    nodes = [
        with_keepalive(
            f"n{number}",
            draw(keepalives),
            draw(excessive),
            subnet=draw(st.sampled_from([parse_cidr(f"10.42.{number}.0/24"), draw(cidrs)])),
            endpoint=draw(endpoints),
            internal_ip=draw(st.sampled_from([parse_cidr(f"10.1.0.{number}/24"), None])),
            key=next(keys),
            last_seen=NOW,
            location=draw(st.sampled_from(["a", "b", "c"])),
            discovered_endpoints=draw(discovered),
            allowed_location_ips=tuple(draw(st.lists(cidrs, max_size=2))),
        )
        for number in range(draw(st.integers(1, 3)))
    ]
    peers = [
        Peer(
            f"p{number}",
            allowed_ips=tuple(draw(st.lists(cidrs, min_size=1, max_size=2))),
            public_key=next(keys),
            persistent_keepalive=draw(keepalives),
            endpoint=draw(st.none() | endpoints),
        )
        for number in range(draw(st.integers(0, 4)))
    ]
    return State(tuple(nodes), tuple(peers))


def found_of(topology: Topology) -> list[Unsettled]:
    return list(unsettled(topology))


@settings(max_examples=200, deadline=None)
@given(networks())
def test_what_is_found_is_what_a_simulated_agent_sees(state: State) -> None:
    views = viewpoints_of(state, now=NOW, granularity="location")
    topology = views.from_node()

    found = found_of(topology)
    told = {name for one in found for name in one.leaders.names if one.leaders.now}

    leaders = [segment.leader for segment in topology.segments]
    assert told == {leader.name for leader in leaders if differs(views, leader)}
    for one in found:
        assert one.leaders.now + one.leaders.hidden <= len(leaders)
        assert one.leaders.every is (one.leaders.now + one.leaders.hidden == len(leaders))
        assert bool(one.leaders.behind) is bool(one.leaders.hidden)


def node(number: int, **more: Any) -> Node:
    one = Node(
        f"n{number}",
        subnet=parse_cidr(f"10.42.{number}.0/24"),
        endpoint=parse_endpoint(f"198.51.100.{number}:51820"),
        internal_ip=parse_cidr(f"192.168.{number}.10/24"),
        key=PublicKey(bytes([number]) * 32),
        last_seen=NOW,
        location=str(number),
    )
    return one._replace(**more)


def peer(
    allowed_ip: str = "10.5.0.7/32", *, key: int = 99, keepalive: int = 25, endpoint: str = ""
) -> Peer:
    cidr = parse_cidr(allowed_ip)
    assert cidr is not None
    where = parse_endpoint(endpoint) if endpoint else None
    return Peer(f"p{key}", (cidr,), PublicKey(bytes([key]) * 32), None, keepalive, where)


def settling(nodes: Sequence[Node], *peers: Peer) -> list[tuple[Cause, str, int, int]]:
    views = viewpoints_of(State(tuple(nodes), peers), now=NOW, granularity="location")
    return [
        (one.cause, one.owner.name, one.leaders.now, one.leaders.hidden)
        for one in unsettled(views.from_node())
    ]


MOVED = parse_endpoint("198.51.100.77:40000")
THREE = [node(1), node(2), node(3)]
CASES: dict[str, tuple[list[Node], list[Peer], list[tuple[Cause, str, int, int]]]] = {
    "all is well": (THREE, [peer()], []),
    "host bits of a peer": (THREE, [peer("10.5.0.7/24")], [(Cause.HOST_BITS, "p99", 3, 0)]),
    "host bits of a location's network": (
        [node(1, allowed_location_ips=(parse_cidr("10.9.0.7/24"),)), node(2), node(3)],
        [],
        [(Cause.HOST_BITS, "n1", 2, 0)],
    ),
    "one internal IP at two locations": (
        [node(1), node(2, internal_ip=node(1).internal_ip), node(3)],
        [],
        [(Cause.TWICE, "n2", 1, 0)],
    ),
    "one internal IP at two locations, and nobody else": (
        [node(1), node(2, internal_ip=node(1).internal_ip)],
        [],
        [],
    ),
    "one internal IP at one location": (
        [node(1), node(2, internal_ip=node(1).internal_ip, location="1"), node(3)],
        [],
        [(Cause.TWICE, "n2", 1, 0)],
    ),
    "a peer claims an internal IP": (
        THREE,
        [peer("192.168.1.10/32")],
        [(Cause.TWICE, "p99", 2, 0)],
    ),
    "a peer claims a WireGuard IP": (THREE, [peer("10.4.0.2/32")], [(Cause.TWICE, "p99", 2, 0)]),
    "a wider network than an internal IP is another network": (
        THREE,
        [peer("192.168.1.0/24")],
        [],
    ),
    "no keepalive, no endpoint, never seen": (
        THREE,
        [peer(keepalive=0)],
        [(Cause.CALLS, "p99", 0, 0)],
    ),
    "no keepalive, no endpoint, seen by one": (
        [node(1, discovered_endpoints={peer().public_key: MOVED}), node(2)],
        [peer(keepalive=0)],
        [(Cause.CALLS, "p99", 1, 0)],
    ),
    "a peer calls from elsewhere, and may": (
        [node(1, discovered_endpoints={peer().public_key: MOVED}), node(2)],
        [peer(endpoint="198.51.100.77:51820")],
        [],
    ),
    "a peer calls from elsewhere, and may not": (
        [node(1, discovered_endpoints={peer().public_key: MOVED}), node(2)],
        [peer(endpoint="198.51.100.77:51820", keepalive=0)],
        [(Cause.MOVED, "p99", 1, 0)],
    ),
    "a node calls from another port, and may not": (
        [node(1, discovered_endpoints={node(2).key: MOVED}), node(2)],
        [],
        [(Cause.MOVED, "n2", 1, 0)],
    ),
    "a peer with a node's key": (THREE, [peer(key=2)], [(Cause.KEY, "p2", 3, 0)]),
    "a keepalive beyond 16 bits": (
        [node(1, unreadable={"persistent-keepalive": "65536"}), node(2)],
        [],
        [(Cause.KEEPALIVE, "n1", 1, 0)],
    ),
    "hidden behind a peer that never connected": (
        THREE,
        [peer(key=99), peer("10.6.0.7/24", key=98, endpoint="198.51.100.9:1")],
        [(Cause.HOST_BITS, "p98", 0, 3)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_cause(case: str) -> None:
    nodes, peers, expected = CASES[case]

    found = settling(nodes, *peers)

    if case == "a peer with a node's key":  # more follows from it
        found = [one for one in found if one[0] is Cause.KEY]
    assert found == expected


def test_a_change_is_hidden_from_those_whose_comparison_ends_before() -> None:
    silent = peer(key=3)
    nodes = [node(2), node(4, discovered_endpoints={silent.public_key: MOVED}), node(5)]
    views = viewpoints_of(
        State(tuple(nodes), (silent._replace(persistent_keepalive=0),)),
        now=NOW,
        granularity="location",
    )
    comparison = Comparison(views.from_node())

    late, early = nodes[2].key, nodes[0].key
    assert late is not None
    assert early is not None
    hidden = comparison.hiding([late])
    assert (hidden.hidden, hidden.names, hidden.behind) == (1, ("n2",), "p3")
    assert comparison.hiding([early]).hidden == 0
    assert comparison.hiding([early, late]).names == ("n2",)


def test_five_thousand_leaders_and_peers_take_a_moment() -> None:
    subnet = parse_cidr("10.128.0.0/9")
    assert subnet is not None
    nodes = tuple(
        Node(
            f"n{number:04}",
            subnet=Cidr(type(subnet.address)(int(subnet.address) + (number << 8)), 24),
            endpoint=Endpoint(type(subnet.address)(0xC6336400 + number), 51820),
            internal_ip=parse_cidr("192.168.1.10/24"),
            key=PublicKey(number.to_bytes(32, "big")),
            last_seen=NOW,
            location=str(number),
        )
        for number in range(1, 5001)
    )
    peers = tuple(
        Peer(
            f"p{n:04}",
            (Cidr(type(subnet.address)(n << 8 | 7), 24),),
            PublicKey(bytes(29) + n.to_bytes(3, "big")),
        )
        for n in range(10_000, 15_000)
    )
    state = State(nodes, peers)
    topology = viewpoints_of(state, now=NOW, granularity="location").from_node()
    assert kilo_subnet(nodes).prefix == 16

    began = time.process_time()
    found = found_of(topology)

    assert time.process_time() - began < 5
    assert [one.cause for one in found].count(Cause.HOST_BITS) == 5000
    twice = [one for one in found if one.cause is Cause.TWICE]
    assert [one.leaders.now + one.leaders.hidden for one in twice] == [5000]
