"""Claims to networks: every pair of uses, and a comparison with a naive search."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.claims import Claim, Clash, Use, _place, clash_of, overlaps

WIREGUARD, SERVICES, LOCATION_IPS, PODS, PEER, INTERNAL_IP, ENDPOINT = Use


def _cidr(text: str) -> Cidr:
    cidr = parse_cidr(text)
    assert cidr is not None
    return cidr


def _claim(text: str) -> Claim:
    """Read ``use:network[:name[:place]]``; of an internal IP the network is its own one."""
    use, network, name, place, *_ = [*text.split(";"), "", ""]
    cidr = _cidr(network)
    if use == "ip":
        return Claim(Cidr(cidr.address, 32), INTERNAL_IP, name, place, cidr)
    uses = {"pods": PODS, "peer": PEER, "wg": WIREGUARD, "svc": SERVICES, "loc": LOCATION_IPS}
    return Claim(cidr, {**uses, "end": ENDPOINT}[use], name, place)


TABLE = [
    # pods
    ("pods;10.42.0.0/24;a;x", "pods;10.42.0.0/24;b;x", Clash.PODS_TWICE),
    ("pods;10.42.0.0/16;a;x", "pods;10.42.3.0/24;b;y", Clash.PODS_TWICE),
    ("pods;10.42.0.0/24;a;x", "peer;10.42.0.9/32;p", Clash.NETWORKS),
    ("pods;10.42.0.0/24;a;x", "svc;10.42.0.0/16", Clash.NETWORKS),
    ("pods;10.4.0.0/24;a;x", "wg;10.4.0.0/16", Clash.NETWORKS),
    # internal IPs
    ("ip;192.168.1.10/24;a;x", "ip;192.168.1.10/24;b;x", Clash.INTERNAL_IP_TWICE_AT_HOME),
    ("ip;192.168.1.10/24;a;x", "ip;192.168.1.10/24;b;y", Clash.INTERNAL_IP_TWICE),
    ("ip;10.42.1.5/24;b;y", "pods;10.42.1.0/24;b;y", Clash.INTERNAL_IP_IN_PODS),
    ("ip;10.42.1.5/24;a;x", "pods;10.42.1.0/24;b;y", Clash.INTERNAL_IP_IN_PODS),
    ("ip;10.43.0.9/24;a;x", "svc;10.43.0.0/16", Clash.INTERNAL_IP_IN_SERVICES),
    ("ip;10.4.0.9/24;a;x", "wg;10.4.0.0/16", Clash.INTERNAL_IP_IN_WIREGUARD),
    ("ip;192.168.1.10/24;b;y", "peer;192.168.1.10/32;office", Clash.INTERNAL_IP_OF_PEER),
    ("ip;192.168.1.10/24;b;y", "peer;192.168.0.0/16;office", Clash.INTERNAL_IP_OF_PEER),
    # networks of locations
    ("ip;192.168.1.10/24;b;y", "loc;192.168.1.0/24;a;x", Clash.LAN_ELSEWHERE),
    ("ip;192.168.1.10/24;b;y", "loc;192.168.1.8/29;a;x", Clash.LAN_ELSEWHERE),
    ("ip;192.168.1.10/24;b;y", "loc;192.168.0.0/16;a;x", Clash.LOCATION_IP),
    ("loc;10.42.0.0/16;a;x", "pods;10.42.1.0/24;a;x", Clash.LOCATION_IP),
    ("loc;10.42.0.0/16;a;x", "pods;10.42.1.0/24;b;y", Clash.LOCATION_IP),
    ("loc;10.0.0.0/8;a;x", "wg;10.4.0.0/16", Clash.LOCATION_IP),
    ("loc;192.168.0.0/16;a;x", "loc;192.168.7.0/24;b;y", Clash.LOCATION_IP_FILTERED),
    ("loc;192.168.0.0/16;a;x", "peer;192.168.7.0/24;p", Clash.LOCATION_IP_FILTERED),
    # peers
    ("peer;10.5.0.1/32;p", "peer;10.5.0.1/32;q", Clash.PEERS_SHARE),
    ("peer;10.5.0.0/24;p", "peer;10.5.0.7/24;q", Clash.PEERS_SHARE),
    ("peer;10.5.0.0/24;p", "peer;10.5.0.7/32;q", Clash.PEER_IN_PEER),
    ("peer;10.43.0.7/32;p", "svc;10.43.0.0/16", Clash.NETWORKS),
    ("peer;10.4.0.200/32;p", "wg;10.4.0.0/16", Clash.NETWORKS),
    ("wg;10.43.0.0/16", "svc;10.43.0.0/16", Clash.NETWORKS),
    # what is right
    ("loc;192.168.1.0/24;a;x", "ip;192.168.1.10/24;b;x", None),
    ("loc;192.168.1.0/24;a;x", "loc;192.168.1.0/24;b;x", None),
    ("loc;192.168.0.0/16;a;x", "loc;192.168.1.0/24;a;x", None),
    ("loc;10.43.0.0/16;a;x", "svc;10.43.0.0/16", None),
    ("peer;10.5.0.0/24;p", "peer;10.5.0.7/32;p", None),
    ("peer;0.0.0.0/0;p", "peer;10.5.0.7/32;q", None),
    ("peer;0.0.0.0/0;p", "pods;10.42.0.0/24;a;x", None),
    ("peer;0.0.0.0/0;p", "ip;10.9.0.2/24;a;x", None),
    ("peer;0.0.0.0/0;p", "loc;192.168.0.0/24;a;x", None),
    ("wg;10.4.0.0/16", "wg;10.4.0.0/24", None),
    ("svc;10.43.0.0/16", "svc;10.43.0.0/24", None),
    ("ip;203.0.113.7/24;a;x", "end;203.0.113.7/32;a;x", None),
    ("pods;10.42.0.0/24;a;x", "end;10.42.0.7/32;b;x", None),
]


@pytest.mark.parametrize(("one", "other", "clash"), TABLE)
def test_two_claims_clash_or_go_together(one: str, other: str, clash: Clash | None) -> None:
    claims = [_claim(one), _claim(other)]
    assert clash_of(*claims) is clash
    assert clash_of(*reversed(claims)) is clash
    assert [found.clash for found in overlaps(claims)] == ([] if clash is None else [clash])
    assert list(overlaps(claims)) == list(overlaps(reversed(claims)))


def test_every_two_uses_are_thought_of() -> None:
    """A use that is new has to say how it goes with each of the others."""
    seen = {frozenset((_claim(one).use, _claim(other).use)) for one, other, _ in TABLE}
    pairs = {frozenset(pair) for pair in combinations((*Use,), 2)}
    assert {pair for pair in pairs if ENDPOINT not in pair} <= seen


def test_several_clashes_of_one_network_are_all_found() -> None:
    claims = [
        _claim("ip;10.42.1.5/24;a;x"),
        _claim("ip;10.42.1.5/24;b;y"),
        _claim("ip;10.42.1.5/24;c;y"),
        _claim("pods;10.42.1.0/24;b;y"),
        _claim("peer;10.42.0.0/16;office"),
    ]
    found = {(one.clash, one.inner.name) for one in overlaps(claims)}
    assert (Clash.INTERNAL_IP_TWICE, "b") in found
    assert (Clash.INTERNAL_IP_TWICE_AT_HOME, "c") in found
    assert {(Clash.INTERNAL_IP_IN_PODS, name) for name in "abc"} <= found
    assert {(Clash.INTERNAL_IP_OF_PEER, name) for name in "abc"} <= found
    assert (Clash.NETWORKS, "b") in found


networks = st.builds(
    lambda value, prefix: Cidr(_cidr(f"10.0.0.{value}/{prefix}").address, prefix),
    st.integers(0, 15),
    st.sampled_from([0, 24, 28, 30, 31, 32]),
)
nodes = st.sampled_from([("a", "x"), ("b", "x"), ("c", "y"), ("d", "z")])


def _made(use: Use, network: Cidr, node: tuple[str, str]) -> Claim:
    if use in (WIREGUARD, SERVICES):
        return Claim(network.masked(), use)
    if use is PEER:
        return Claim(network, use, node[0])
    if use in (INTERNAL_IP, ENDPOINT):
        return Claim(Cidr(network.address, 32), use, *node, network)
    return Claim(network.masked() if use is PODS else network, use, *node)


@given(st.lists(st.builds(_made, st.sampled_from(Use), networks, nodes), max_size=12))
def test_they_are_those_that_comparing_all_pairs_finds(claims: list[Claim]) -> None:
    ordered = sorted((one for one in claims if one.use is not ENDPOINT), key=_place)
    expected = set()
    for number, inner in enumerate(ordered):
        for outer in ordered[:number]:
            if outer.network.masked().contains(inner.network.masked().address):
                expected.add((_place(inner), clash_of(outer, inner)))
    found = list(overlaps(claims))
    assert {(_place(one.inner), one.clash) for one in found} == {
        pair for pair in expected if pair[1] is not None
    }
    for one in found:
        assert clash_of(one.outer, one.inner) is one.clash
        assert one.outer.network.masked().contains(one.inner.network.address)


def test_thousands_of_claims_to_one_network_take_no_time() -> None:
    """Linear but for the sorting: comparing all pairs would take minutes."""
    same = [Claim(_cidr("10.9.0.1/32"), INTERNAL_IP, f"n{n}", f"s{n}") for n in range(20_000)]
    pods = [Claim(_cidr("10.9.0.0/24"), PODS, f"n{n}", f"s{n}") for n in range(20_000)]
    assert sum(1 for _ in overlaps(same + pods)) == 3 * 20_000 - 2
