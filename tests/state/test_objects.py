"""From Kubernetes objects to nodes and peers, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kgctl.kilo import PREFIX
from kgctl.kube.objects import NodeObject
from kgctl.mesh.peer import InvalidPeer, Peer
from kgctl.mesh.readiness import age, why_not_ready, why_peer_not_ready
from kgctl.state.interface import Objects
from kgctl.state.objects import heartbeat, node_of, state_of, with_heartbeat
from kgctl.state.peer_objects import peer_of

if TYPE_CHECKING:
    from kgctl.mesh.node import Node

KEY = "YQtgqg6ZVq8UAS8stvGCwy1RONkBeWJLQbpsAPD8Uvo="
ZERO_KEY = "A" * 43 + "="
_ITSELF: list[object] = []
_ITSELF.append(_ITSELF)


def _node(pod_cidr: str = "10.42.0.0/24", region: str | None = None, **annotations: str) -> Node:
    labels = {} if region is None else {"topology.kubernetes.io/region": region}
    named = {f"kilo.squat.ai/{name.replace('_', '-')}": text for name, text in annotations.items()}
    return node_of(NodeObject("n", pod_cidr, labels, named))


def test_a_pod_subnet_is_masked_and_everything_else_keeps_its_host_bits() -> None:
    node = _node("10.42.0.9/24", internal_ip="10.1.0.7/24", wireguard_ip="10.4.0.3/16")
    assert str(node.subnet) == "10.42.0.0/24"
    assert str(node.internal_ip) == "10.1.0.7/24"
    assert str(node.wireguard_ip) == "10.4.0.3/16"


@pytest.mark.parametrize(
    ("annotations", "endpoint"),
    [
        ({"endpoint": "1.1.1.1:1"}, "1.1.1.1:1"),
        ({"endpoint": "1.1.1.1:1", "force_endpoint": "a.example:2"}, "a.example:2"),
        ({"endpoint": "1.1.1.1:1", "force_endpoint": "1.1.1.1:70000"}, "1.1.1.1:1"),
        ({"endpoint": "1.1.1.1:1", "force_endpoint": ""}, "1.1.1.1:1"),
        ({"force_endpoint": "[::1]:2"}, "[::1]:2"),
        ({"endpoint": "nonsense"}, "None"),
    ],
)
def test_the_endpoint(annotations: dict[str, str], endpoint: str) -> None:
    assert str(_node(**annotations).endpoint) == endpoint


@pytest.mark.parametrize(
    ("forced", "internal_ip"),
    [
        (None, "10.0.0.1/8"),
        ("", "None"),
        ("-", "None"),
        ("bogus", "10.0.0.1/8"),
        ("10.9.9.9/32", "10.9.9.9/32"),
        (" ", "10.0.0.1/8"),
    ],
)
def test_the_internal_ip(forced: str | None, internal_ip: str) -> None:
    annotations = {"internal_ip": "10.0.0.1/8"}
    if forced is not None:
        annotations["force_internal_ip"] = forced
    assert str(_node(**annotations).internal_ip) == internal_ip


def test_the_location_is_annotated_even_empty_or_else_labelled() -> None:
    assert _node(region="eu").location == "eu"
    assert _node(region="eu", location="").location == ""
    assert _node(region="eu", location="home").location == "home"
    assert _node().location == ""
    labelled = NodeObject("n", "", {"zone": "z1"}, {})
    assert node_of(labelled, topology_label="zone").location == "z1"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("25", 25), ("+25", 25), ("007", 7), ("", 0), ("ten", 0), ("2 5", 0),
        ("2_5", 0), (" 25", 0), ("25\n", 0), ("\u0662\u0665", 0), ("1e3", 0), ("0x10", 0),
        ("9223372036854775808", 0), ("9" * 5000, 0),
    ],
)  # fmt: skip
def test_an_integer_is_read_as_go_reads_it(text: str, number: int) -> None:
    node = _node(persistent_keepalive=text, last_seen=text)
    assert (node.persistent_keepalive, node.last_seen) == (number, number)
    assert node.excessive_keepalive is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("65535", 65535), ("65536", 0), ("70000", 0), ("-3", 0), ("9223372036854775807", 0)],
)
def test_a_keepalive_of_a_node_is_one_that_wireguard_holds(text: str, seconds: int) -> None:
    node = _node(persistent_keepalive=text, last_seen=text)
    assert node.persistent_keepalive == seconds
    assert node.last_seen == int(text)
    assert node.excessive_keepalive == (None if seconds else int(text))
    assert node.unreadable == ({} if seconds else {"persistent-keepalive": text})


@pytest.mark.parametrize("seconds", [65536, 70000, 2**63 - 1, 65536.0])
def test_a_peer_with_a_keepalive_that_wireguard_cannot_hold_is_invalid(seconds: float) -> None:
    spec = {"allowedIPs": ["10.5.0.1/32"], "publicKey": KEY}
    assert isinstance(_peer(**spec, persistentKeepalive=65535), Peer)

    alone = _peer(**spec, persistentKeepalive=seconds)
    assert isinstance(alone, InvalidPeer)
    assert alone.only_kilo_accepts_it
    (problem,) = alone.problems
    assert (
        problem == f'persistentKeepalive "{int(seconds)}" is more than WireGuard\'s 65535 seconds'
    )

    both = _peer(allowedIPs=["10.5.0.1"], publicKey=KEY, persistentKeepalive=seconds)
    assert isinstance(both, InvalidPeer)
    assert not both.only_kilo_accepts_it
    assert len(both.problems) == 2


def test_allowed_location_ips_are_split_at_commas_alone() -> None:
    node = _node(allowed_location_ips="192.168.1.9/24, 10.0.0.0/8,nonsense,fd00::/64")
    assert list(map(str, node.allowed_location_ips)) == ["192.168.1.9/24", "fd00::/64"]
    assert node.unreadable == {"allowed-location-ips": " 10.0.0.0/8,nonsense"}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("{}", 0),
        ("null", 0),
        (f'{{"{KEY}": {{"IP": "192.0.2.1", "Port": 5, "Zone": ""}}}}', 1),
        (f'{{"{KEY}": {{"IP": "192.0.2.1", "Port": 5}}, "x": {{"IP": "::1", "Port": 1}}}}', 1),
        (f'{{"{KEY}": {{"IP": "192.0.2.1", "Port": 70000}}}}', 0),
        (f'{{"{KEY}": {{"IP": "192.0.2.1", "Port": 5}}, "x": {{"IP": "no"}}}}', 0),
        (f'{{"{KEY}": {{"IP": "192.0.2.1", "Port": "5"}}}}', 0),
        (f'{{"{KEY}": {{"IP": "192.0.2.1", "Port": true}}}}', 0),
        (f'{{"{KEY}": {{"IP": 1, "Port": 5}}}}', 0),
        (f'{{"{KEY}": []}}', 0),
        ("{broken", 0),
        ("[]", 0),
        ("[" * 100_000, 0),
    ],
)
def test_discovered_endpoints_are_all_or_nothing(text: str, count: int) -> None:
    assert len(_node(discovered_endpoints=text).discovered_endpoints) == count


def test_a_key_of_zeros_is_none() -> None:
    assert _node(key=ZERO_KEY).key is None
    assert str(_node(key=KEY).key) == KEY


def test_a_node_that_is_not_ready_says_everything_that_it_lacks() -> None:
    node = _node("", endpoint="here\n", last_seen="1000")
    assert why_not_ready(node, 12_000.0) == (
        'bad endpoint "here\\n"',
        "no key",
        "no pod CIDR",
        "heartbeat 3h old",
    )
    ready = _node(endpoint="1.1.1.1:1", key=KEY, last_seen="1000")
    assert why_not_ready(ready, 1059.9) == ()
    assert why_not_ready(ready, 1060.0) == ("heartbeat 60s old",)
    assert why_not_ready(ready, 0.0) == ()  # a heartbeat of the future is one


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172_800, "2d")],
)
def test_an_age_is_written_as_kubectl_does(seconds: float, text: str) -> None:
    assert age(seconds) == text


def _peer(**spec: Any) -> Peer | InvalidPeer:
    given = {"allowedIPs": ["10.5.0.1/32"], "publicKey": KEY, **spec}
    given = {name: value for name, value in given.items() if value is not None}
    return peer_of({"metadata": {"name": "p"}, "spec": given})


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"allowedIPs": ["10.5.0.1"]}, 'allowed IP "10.5.0.1" is not a CIDR (address/prefix)'),
        ({"allowedIPs": "10.5.0.1/32"}, 'allowedIPs "10.5.0.1/32" is not a list'),
        ({"publicKey": None}, "publicKey is missing"),
        ({"publicKey": "x"}, 'publicKey "x" is not base64 of 32 bytes'),
        ({"persistentKeepalive": -1}, 'persistentKeepalive "-1" is negative'),
        ({"persistentKeepalive": "5"}, '"5" is text: write the number without quotes'),
        ({"persistentKeepalive": "5s"}, 'persistentKeepalive "5s" is not a number of seconds'),
        ({"persistentKeepalive": 2**63}, 'persistentKeepalive "int" is not a number of seconds'),
        ({"persistentKeepalive": 1.5}, 'persistentKeepalive "1.5" is not a number of seconds'),
        ({"persistentKeepalive": -(10**6000)}, "is not a number of seconds"),
        ({"allowedIPs": [10**6000]}, 'allowed IP "int" is not a CIDR'),
        ({"endpoint": {"dnsOrIP": {"dns": 5}, "port": 1}}, 'endpoint dns "5" is not a string'),
        (
            {"endpoint": {"dnsOrIP": {"dns": _ITSELF}, "port": 1}},
            'endpoint dns "list" is not a string',
        ),
        ({"endpoint": {"dnsOrIP": {"ip": "1.2.3.4"}, "port": 10**6000}}, "endpoint port is int"),
        ({"endpoint": {"dnsOrIP": {"ip": "1.2.3.4"}, "port": _ITSELF}}, "endpoint port is list"),
        ({"endpoint": {}}, "endpoint has neither dns nor ip"),
        ({"endpoint": {"dnsOrIP": {"dns": "A.b"}, "port": 1}}, "is not an RFC 1123 subdomain"),
        ({"endpoint": {"dnsOrIP": {"ip": "1.2.3"}, "port": 1}}, 'endpoint ip "1.2.3" is not an IP'),
        (
            {"endpoint": {"dnsOrIP": {"dns": "a", "ip": "x"}, "port": 1}},
            'endpoint ip "x" is not an IP',
        ),
        ({"endpoint": {"dnsOrIP": {"ip": "1.2.3.4"}}}, "endpoint port is missing"),
        ({"endpoint": {"dnsOrIP": {"ip": "1.2.3.4"}, "port": 70000}}, "endpoint port is 70000"),
    ],
)
def test_an_invalid_peer_says_which_field_is_wrong(spec: dict[str, Any], problem: str) -> None:
    peer = _peer(**spec)
    assert isinstance(peer, InvalidPeer)
    assert problem in "; ".join(peer.problems)


def test_a_dns_name_wins_over_an_ip() -> None:
    peer = _peer(endpoint={"dnsOrIP": {"dns": "a.example", "ip": "1.2.3.4"}, "port": 5})
    assert isinstance(peer, Peer)
    assert str(peer.endpoint) == "a.example:5"


def test_a_valid_peer_may_not_be_ready() -> None:
    for spec, reason in (
        ({"allowedIPs": []}, "no allowed IPs"),
        ({"publicKey": ZERO_KEY}, "public key is all zero"),
    ):
        peer = _peer(**spec)
        assert isinstance(peer, Peer)
        assert why_peer_not_ready(peer, 1000.0) == (reason,)
        assert not peer.is_ready


def test_a_preshared_key_that_does_not_parse_is_none() -> None:
    peer = _peer(presharedKey="x")
    assert isinstance(peer, Peer)
    assert peer.preshared_key is None


def test_of_two_objects_of_one_name_the_later_counts() -> None:
    nodes = [NodeObject("n", "10.1.0.0/24", {}, {}), NodeObject("n", "10.2.0.0/24", {}, {})]
    state = state_of(Objects(nodes, [], {}))
    assert [str(node.subnet) for node in state.nodes] == ["10.2.0.0/24"]


LAST_SEEN = f"{PREFIX}last-seen"


def beating(seen: object, **more: str) -> NodeObject:
    annotations = {LAST_SEEN: str(seen), f"{PREFIX}location": "a", **more}
    return NodeObject("n", "10.42.0.0/24", {"l": "1"}, annotations)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (beating(970), beating(1000), True),
        (beating(1000), beating(1000), True),
        (beating(1030), beating(1060), True),  # the clock of the node is ahead
        (beating(940), beating(1000), False),  # it was stale, and comes back
        (beating(970), beating(930), False),  # it goes stale
        (beating(970), beating("never"), False),
        (beating(""), beating(1000), False),
        (beating(970), beating(1000, x="y"), False),
        (beating(970, x="y"), beating(1000), False),
        (beating(970), beating(1000)._replace(labels={"l": "2"}), False),
        (beating(970), beating(1000)._replace(pod_cidr="10.42.1.0/24"), False),
    ],
)
def test_a_heartbeat_of_a_node_that_is_ready_changes_nothing_else(
    before: NodeObject, after: NodeObject, expected: bool
) -> None:
    found = heartbeat(before, after, 1000.0)
    assert (found is not None) is expected
    if found is not None:
        assert found == after
        assert found.labels is before.labels  # what stays the same is not held twice
    node = with_heartbeat(node_of(before), before, after)
    assert node in (None, node_of(after))
    assert (node is not None) >= expected
