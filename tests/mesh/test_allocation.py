"""Addresses for new peers: the first free one, and never a used one."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kgctl.cli.core.hints import message
from kgctl.mesh.allocation import (
    Claims,
    PoolExhaustedError,
    claims_beside,
    count_free,
    first_free,
    learned_pools,
)
from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.claims import Claim, Use, claims_of
from kgctl.mesh.endpoint import Endpoint
from kgctl.mesh.key import PublicKey
from kgctl.mesh.node import Node
from kgctl.mesh.peer import InvalidPeer, Peer
from kgctl.mesh.state import State
from kgctl.state.objects import state_of
from tests.support.strategies import clusters

if TYPE_CHECKING:
    from kgctl.state.interface import Objects

KEY = PublicKey(b"x" * 32)


def _cidr(text: str) -> Cidr:
    cidr = parse_cidr(text)
    assert cidr is not None
    return cidr


def _claims(*networks: str) -> Claims:
    return Claims(Claim(_cidr(text), Use.SERVICES) for text in networks)


def _peers(*allowed_ips: str) -> State:
    peers = (Peer(f"p{n}", (_cidr(text),), KEY) for n, text in enumerate(allowed_ips))
    return State((), tuple(peers))


# IPv4 and IPv6 side by side, host bits too: the last byte or two of one small network each
ipv4 = st.builds(lambda n, bits: f"10.5.0.{n}/{bits}", st.integers(0, 255), st.integers(22, 32))
ipv6 = st.builds(lambda n, bits: f"fd00::{n:x}/{bits}", st.integers(0, 255), st.integers(118, 128))
networks = st.lists(st.one_of(ipv4, ipv6), max_size=12)
pools = st.one_of(
    st.integers(24, 32).map(lambda bits: f"10.5.0.0/{bits}"),
    st.integers(120, 128).map(lambda bits: f"fd00::/{bits}"),
)


@given(networks, pools, st.integers(0, 3))
def test_it_is_what_trying_each_address_finds(taken: list[str], pool: str, skip: int) -> None:
    whole = ip_network(pool)
    used = [ip_network(text, strict=False) for text in taken]
    tried = list(whole)
    if len(tried) > 2:
        tried = tried[1:-1] if whole.version == 4 else tried[1:]
    free = [one for one in tried if not any(one in network for network in used)]
    claims = _claims(*taken)
    assert count_free(_cidr(pool), claims) == len(free)
    if len(free) > skip:
        found = first_free(_cidr(pool), claims, skip=skip)
        assert found.address == free[skip]
        assert found.host_bits == 0
        assert claims.clash(found) is None
    else:
        with pytest.raises(PoolExhaustedError, match=pool):
            first_free(_cidr(pool), claims, skip=skip)


@given(networks, st.one_of(ipv4, ipv6))
@example(["fd00::0/118"], "fd00::1/128")
def test_overlaps_are_those_that_comparing_each_pair_finds(taken: list[str], asked: str) -> None:
    wanted = ip_network(asked, strict=False)
    expected = [
        str(_cidr(text))  # "fd00::0/118" is printed as "fd00::/118"
        for text in taken
        if (network := ip_network(text, strict=False)).version == wanted.version
        and network.overlaps(wanted)
    ]
    found = [str(claim.network) for claim in _claims(*taken).overlapping(_cidr(asked))]
    assert sorted(found) == sorted(expected)


@given(clusters())
def test_it_never_overlaps_anything_of_the_cluster(objects: Objects) -> None:
    state = state_of(objects)
    claims = list(claims_of(state, [_cidr("10.43.0.0/16")]))
    for pool in learned_pools(state):
        try:
            found = ip_address(str(first_free(pool, Claims(claims)).address))
        except PoolExhaustedError:
            continue
        for claim in claims:
            assert found not in claim.network.network, claim


def test_every_kind_of_network_is_kept_clear_of_and_says_whose_it_is() -> None:
    node = Node(
        name="n\x1b",
        subnet=_cidr("10.42.0.0/24"),
        internal_ip=_cidr("192.168.0.7/24"),
        endpoint=Endpoint(ip_address("203.0.113.7"), 51820),
        wireguard_ip=_cidr("10.4.0.1/16"),
        allowed_location_ips=(_cidr("192.168.50.0/24"),),
    )
    moved = Node(name="m", wireguard_ip=_cidr("10.104.0.1/16"))
    peers = (Peer("laptop", (_cidr("10.5.0.1/32"),), KEY),)
    broken = (InvalidPeer("tablet", ("no key",), (_cidr("10.5.0.2/32"),)),)
    state = State((node, moved), peers, broken)
    services = [_cidr("10.43.0.0/16")]
    found = {str(claim.network): claim.owner for claim in claims_of(state, services)}
    assert found == {
        "10.42.0.0/24": "the pod subnet of node n\\x1b",
        "192.168.0.7/32": "the internal IP of node n\\x1b",
        "203.0.113.7/32": "the endpoint of node n\\x1b",
        "192.168.50.0/24": "an allowed location IP of node n\\x1b",
        "10.4.0.0/16": "the WireGuard network",
        "10.104.0.0/16": "the WireGuard network of node m",
        "10.5.0.1/32": "an allowed IP of peer laptop",
        "10.5.0.2/32": "an allowed IP of peer tablet",
        "10.43.0.0/16": "a service network",
    }
    beside = [str(claim.network) for claim in claims_of(state, beside="laptop")]
    assert "10.5.0.1/32" not in beside
    assert "10.5.0.2/32" in beside


@pytest.mark.parametrize(
    ("allowed_ips", "expected"),
    [
        ([], ["10.5.0.0/24"]),
        (["192.168.0.0/24"], ["10.5.0.0/24"]),
        (["10.9.1.1/32", "10.9.2.1/32", "10.9.2.7/32"], ["10.9.2.0/24", "10.9.1.0/24"]),
        (["fd00::1/128", "10.9.2.1/32", "10.9.1.1/32"], ["10.9.1.0/24", "10.9.2.0/24"]),
        (["fd00::1/128", "fd00::2/128", "10.9.2.1/32"], ["fd00::/64", "10.9.2.0/24"]),
    ],
)
def test_the_pool_is_learned_from_the_peers(allowed_ips: list[str], expected: list[str]) -> None:
    found = [str(pool) for pool in learned_pools(_peers(*allowed_ips))]
    assert found[: len(expected)] == expected
    assert found[-1] == "10.5.0.0/24"


def test_large_pools_are_no_work() -> None:
    assert str(first_free(_cidr("fd00::/8"), _claims())) == "fd00::1/128"
    assert str(first_free(_cidr("fd00::/64"), _claims("fd00::/65"))) == "fd00::8000:0:0:0/128"
    assert count_free(_cidr("::/0"), _claims("::/1")) == 2**127


def test_a_pool_that_is_taken_says_by_whom() -> None:
    claims = Claims([Claim(_cidr("10.0.0.0/8"), Use.LOCATION_IPS, "evil\x1b")])
    with pytest.raises(PoolExhaustedError) as caught:
        first_free(_cidr("10.5.0.0/24"), claims)
    assert message(caught.value) == (
        "no address of the pool 10.5.0.0/24 is free: it is in 10.0.0.0/8, an allowed location IP "
        "of node evil\\x1b; correct that of node evil\\x1b if it is wrong; give a larger or "
        "another one with --pool"
    )
    assert [one.name for one in caught.value.holders] == ["evil\x1b"]
    many = Claims(Claim(_cidr(f"10.5.0.{n}/32"), Use.PEER, f"p{n}") for n in range(1, 7))
    with pytest.raises(PoolExhaustedError, match=r"taken by 10.5.0.1/32, an allowed IP of peer p1"
                       r".*, and 3 more; give"):  # fmt: skip
        first_free(_cidr("10.5.0.0/29"), many)


def test_what_kilo_drops_takes_no_address() -> None:
    """An allowed location IP that overlaps a peer's allowed IP has no effect."""
    evil = Node("evil", allowed_location_ips=(_cidr("10.5.0.0/16"), _cidr("10.7.0.0/16")))
    peers = (Peer("a", (_cidr("10.5.0.1/32"),), KEY), Peer("b", (_cidr("10.7.0.1/32"),), None))
    state = State((evil,), peers)
    used = {str(one.network) for one in claims_beside(state)}
    assert "10.5.0.0/16" not in used
    assert "10.7.0.0/16" in used  # that peer has no key, and takes no part
    assert str(first_free(_cidr("10.5.0.0/24"), Claims(claims_beside(state)))) == "10.5.0.2/32"
    assert "10.5.0.0/16" in {str(one.network) for one in claims_beside(state, beside="a")}


def test_a_network_that_cannot_be_wireguards_takes_one_address() -> None:
    nodes = (
        Node("a", wireguard_ip=_cidr("0.0.0.5/0")),
        Node("b", wireguard_ip=_cidr("10.4.0.1/16")),
        Node("c", wireguard_ip=_cidr("10.4.0.2/16")),
    )
    found = {str(one.network): one.owner for one in claims_of(State(nodes, ()))}
    assert found == {
        "10.4.0.0/16": "the WireGuard network",
        "0.0.0.5/32": "the WireGuard network of node a",
    }
