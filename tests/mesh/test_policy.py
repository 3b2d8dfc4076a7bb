"""Claims that one machine may make: each reason, unions, limits, and properties."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.claims import Claim, Use
from kgctl.mesh.guards import Guard, Guards, Reason
from kgctl.mesh.policy import ANYBODY, MOST, Limits, Policy, summaries


def _cidr(text: str) -> Cidr:
    cidr = parse_cidr(text)
    assert cidr is not None
    return cidr


def _cidrs(*texts: str) -> tuple[Cidr, ...]:
    return tuple(map(_cidr, texts))


def _claims(*texts: str, name: str = "edge", use: Use = Use.LOCATION_IPS) -> list[Claim]:
    return [Claim(_cidr(text), use, name) for text in texts]


EIGHT = ("0.0.0.0/5", "8.0.0.0/7", "11.0.0.0/8", "12.0.0.0/6", "16.0.0.0/4", "32.0.0.0/3",
         "64.0.0.0/2", "128.0.0.0/1")  # fmt: skip
"""Everything but 10.0.0.0/8."""


@pytest.mark.parametrize(
    ("networks", "reason"),
    [
        (["0.0.0.0/0"], Reason.DEFAULT),
        (["::/0"], Reason.DEFAULT),
        (["0.0.0.0/1", "128.0.0.0/1"], Reason.DEFAULT),
        (["8000::/1", "::/1"], Reason.DEFAULT),
        (["2000::/3"], Reason.DEFAULT),
        (EIGHT, Reason.DEFAULT),
        ([f"{number}.0.0.0/8" for number in range(11, 223) if number != 127], Reason.DEFAULT),
        (["64.0.0.0/3"], Reason.WIDE),
        (["240.0.0.0/5"], Reason.WIDE),
        (["240.0.0.0/8", "241.0.0.0/8"], Reason.WIDE),
        (["fc00::/7"], Reason.WIDE),
        (["11.0.0.0/8"], Reason.PUBLIC),
        (["192.0.0.0/8"], Reason.PUBLIC),
        (["1.1.1.1/32"], Reason.PUBLIC),
        (["203.0.113.0/24"], Reason.PUBLIC),
        (["2606:4700::1111/128"], Reason.PUBLIC),
        (["64:ff9b::/96"], Reason.PUBLIC),  # NAT64: behind it is all of IPv4
        (["127.0.0.0/8"], Reason.SPECIAL),
        (["127.0.0.53/32"], Reason.SPECIAL),
        (["169.254.169.254/32"], Reason.SPECIAL),
        (["169.254.0.0/17"], Reason.SPECIAL),
        (["224.0.0.251/32"], Reason.SPECIAL),
        (["255.255.255.255/32"], Reason.SPECIAL),
        (["0.0.0.0/8"], Reason.SPECIAL),
        (["fe80::/10"], Reason.SPECIAL),
        (["fe80::1/128"], Reason.SPECIAL),
        (["ff02::1/128"], Reason.SPECIAL),
        (["::1/128"], Reason.SPECIAL),
    ],
)
def test_refused(networks: list[str], reason: Reason) -> None:
    verdict = Policy().judge(_claims(*networks))
    assert [one.reason for one in verdict.refusals] == [reason] * len(networks)
    assert verdict.granted == [()] * len(networks)
    assert not any(one.is_expected for one in verdict.refusals)


@pytest.mark.parametrize(
    "networks",
    [
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"],
        ["10.0.0.0/9", "10.128.0.0/9"],
        ["10.42.0.7/24"],
        ["240.0.0.0/8"],
        ["fd00::/8", "fd00:1:2::/48", "64:ff9b:1::/48"],
    ],
)
def test_granted_as_they_stand(networks: list[str]) -> None:
    claims = _claims(*networks)
    verdict = Policy().judge(claims)
    assert verdict.granted == [(claim.network,) for claim in claims]
    assert verdict.refusals == []


def test_consent_is_by_name_and_network() -> None:
    limits = Limits(accept={"edge": _cidrs("198.51.100.0/24", "0.0.0.0/0"), "other": ()})
    assert Policy(limits).judge(_claims("198.51.100.7/32", "0.0.0.0/0", "0.0.0.0/1")).granted[
        :2
    ] == [
        _cidrs("198.51.100.7/32"),
        _cidrs("0.0.0.0/0"),
    ]
    assert Policy(limits).judge(_claims("198.51.100.7/32", name="other")).granted == [()]
    everybody = Policy(Limits(accept={ANYBODY: _cidrs("198.51.100.0/24"), "other": ()}))
    for name in ("edge", "other"):
        assert everybody.judge(_claims("198.51.100.7/32", name=name)).granted == [
            _cidrs("198.51.100.7/32")
        ]


def test_consent_to_a_part_grants_that_part() -> None:
    limits = Limits(accept={"edge": _cidrs("198.51.100.0/24", "198.51.100.0/25")})
    verdict = Policy(limits).judge(_claims("0.0.0.0/0"))
    assert verdict.granted == [_cidrs("198.51.100.0/24")]
    assert [one.reason for one in verdict.refusals] == [Reason.DEFAULT]


def test_no_consent_to_what_nobody_gets() -> None:
    limits = Limits(accept={"edge": _cidrs("169.254.0.0/16", "128.0.0.0/1")})
    (special, half) = Policy(limits).judge(_claims("169.254.169.254/32", "128.0.0.0/1")).granted
    assert special == ()
    assert not any(one.intersects(_cidr("169.254.0.0/16")) for one in half)
    assert not any(one.intersects(_cidr("224.0.0.0/4")) for one in half)
    assert any(one.contains(IPv4Address("169.253.255.255")) for one in half)


def test_limits() -> None:
    limits = Limits(_cidrs("10.0.0.0/8", "192.168.7.0/24"), _cidrs("10.42.7.0/24"))
    texts = ("10.42.0.0/16", "192.168.0.0/16", "172.16.0.0/12", "10.42.7.9/32")
    verdict = Policy(limits).judge(_claims(*texts))
    pods, lan, outside, denied = verdict.granted
    assert not any(one.intersects(_cidr("10.42.7.0/24")) for one in pods)
    assert sum(1 << one.host_bits for one in pods) == (1 << 16) - 256
    assert lan == _cidrs("192.168.7.0/24")
    assert outside == () == denied
    assert [(one.reason, one.is_expected) for one in verdict.refusals] == [
        (Reason.OUTSIDE, True),
        (Reason.DENIED, True),
    ]


def test_what_the_machine_has_itself() -> None:
    guards = (
        Guard(_cidr("192.168.1.0/24"), Reason.OWN, "its network"),
        Guard(_cidr("192.168.1.1/32"), Reason.GATEWAY, "its gateway"),
        Guard(_cidr("10.9.9.9/32"), Reason.RESOLVER, "its resolver", cut=True),
    )
    texts = ("192.168.1.0/25", "192.168.1.1/32", "10.9.9.9/32", "10.9.9.0/24", "192.168.0.0/16")
    verdict = Policy(guards=guards).judge(_claims(*texts))
    assert [one.reason for one in verdict.refusals] == [Reason.OWN, Reason.OWN, Reason.RESOLVER]
    assert verdict.granted[:3] == [(), (), ()]
    assert not any(one.contains(IPv4Address("10.9.9.9")) for one in verdict.granted[3])
    assert verdict.granted[4] == _cidrs("192.168.0.0/16")  # the machine's own route is narrower
    agreed = Policy(Limits(accept={"edge": _cidrs("192.168.1.0/25")}), guards)
    assert agreed.judge(_claims("192.168.1.0/25")).granted == [_cidrs("192.168.1.0/25")]


def test_endpoints() -> None:
    own = Guard(_cidr("203.0.113.5/32"), Reason.ENDPOINT, "the endpoint of node edge", "edge")
    policy = Policy(guards=[own])
    claim = _claims("203.0.113.5/32", use=Use.INTERNAL_IP)
    assert policy.judge(claim).granted == [_cidrs("203.0.113.5/32")]  # left to who routes
    strict = Policy(guards=[own._replace(cut=True)]).judge(claim)
    assert strict.granted == [()]
    assert strict.refusals[0].is_expected
    copied = policy.judge(_claims("203.0.113.5/32", name="thief")).refusals[0]
    assert (copied.reason, copied.is_expected) == (Reason.ENDPOINT, False)
    assert "the endpoint of node edge" in copied.why
    forged = Policy().judge(claim, _cidrs("203.0.113.5/32"))
    assert forged.granted == [()]
    assert forged.refusals[0].is_expected


def test_refusals_in_words() -> None:
    verdict = Policy().judge([*_claims(*EIGHT), *_claims("169.254.169.254/32")])
    assert [str(one) for one in summaries(verdict.refusals)] == [
        "node edge claims 0.0.0.0/5, 8.0.0.0/7, 11.0.0.0/8, 12.0.0.0/6 and 4 more: that is all or "
        "most of the Internet",
        "node edge claims 169.254.169.254/32: it holds a link-local address, which no other "
        "machine gets",
    ]


def test_a_thousand_networks_and_not_one_more() -> None:
    claims = _claims(*(f"10.0.{number // 256}.{number % 256}/32" for number in range(MOST + 5)))
    verdict = Policy().judge(claims)
    assert [bool(one) for one in verdict.granted] == [True] * MOST + [False] * 5
    assert {one.reason for one in verdict.refusals} == {Reason.MANY}
    limits = Limits(accept={"edge": _cidrs("10.0.0.0/24")})  # which do not count
    assert all(Policy(limits).judge(claims).granted)


def test_what_is_behind_a_thousand_networks_is_called_what_it_is() -> None:
    claims = _claims(*(f"10.0.{number // 256}.{number % 256}/32" for number in range(MOST + 1)))
    hidden = _claims("0.0.0.0/1", "128.0.0.0/1", "169.254.169.254/32")
    verdict = Policy().judge([*claims, *hidden])
    reasons = {str(one.claim.network): one.reason for one in verdict.refusals}
    assert reasons == {
        "0.0.0.0/1": Reason.DEFAULT,
        "128.0.0.0/1": Reason.DEFAULT,
        "169.254.169.254/32": Reason.SPECIAL,
        "10.0.3.232/32": Reason.MANY,
    }


# --- properties ---

networks4 = st.builds(
    lambda value, prefix: Cidr(IPv4Address(value), prefix).masked(),
    st.integers(0, 2**32 - 1)
    | st.sampled_from([10 << 24, 127 << 24, 0xA9FE_A9FE, 224 << 24, 0xC0A8_0101]),
    st.integers(0, 32),
)
networks6 = st.builds(
    lambda value, prefix: Cidr(IPv6Address(value), prefix).masked(),
    st.integers(0, 2**128 - 1) | st.sampled_from([0xFD << 120, 0xFE80 << 112, 1, 0x2001 << 112]),
    st.integers(0, 128),
)
networks = networks4 | networks6
several = st.lists(networks, max_size=8)


def _policy(only: list[Cidr], deny: list[Cidr], accept: list[Cidr], own: list[Cidr]) -> Policy:
    guards = [Guard(one, Reason.RESOLVER, cut=True) for one in own]
    return Policy(Limits(tuple(only), tuple(deny), {"edge": tuple(accept)}), guards)


@given(several, several, several, several, several)
def test_nothing_is_granted_that_nobody_gets(
    claimed: list[Cidr], only: list[Cidr], deny: list[Cidr], accept: list[Cidr], own: list[Cidr]
) -> None:
    claims = [Claim(one, Use.LOCATION_IPS, "edge") for one in claimed]
    verdict = _policy(only, deny, accept, own).judge(claims)
    never = [*deny, *own, _cidr("127.0.0.0/8"), _cidr("169.254.0.0/16"), _cidr("fe80::/10")]
    for claim, parts in zip(claims, verdict.granted, strict=True):
        for part in parts:
            assert claim.network.contains(part.address)
            assert part.prefix >= claim.network.prefix
            if part.prefix:
                assert not [one for one in never if one.intersects(part)]
            else:
                assert not [one for one in deny if one.version == part.version]
            if only:
                assert any(one.contains(part.address) and one.prefix <= part.prefix for one in only)


@given(several, several, networks)
def test_a_further_denial_grants_nothing_more(
    claimed: list[Cidr], accept: list[Cidr], denied: Cidr
) -> None:
    claims = [Claim(one, Use.PEER, "edge") for one in claimed]
    before = _policy([], [], accept, []).judge(claims).granted
    after = _policy([], [denied], accept, []).judge(claims).granted
    for old, new in zip(before, after, strict=True):
        for part in new:
            assert any(one.contains(part.address) and one.prefix <= part.prefix for one in old)


@given(several, several, st.randoms())
def test_the_order_of_claims_does_not_matter(claimed: list[Cidr], accept: list[Cidr], dice) -> None:  # type: ignore[no-untyped-def]
    claims = [Claim(one, Use.PEER, "edge") for one in dict.fromkeys(claimed)]
    shuffled = list(claims)
    dice.shuffle(shuffled)
    policy = _policy([], [], accept, [])
    one = dict(zip(claims, policy.judge(claims).granted, strict=True))
    other = dict(zip(shuffled, policy.judge(shuffled).granted, strict=True))
    assert one == other


@given(several, networks)
def test_guards_are_found_as_by_looking_at_each(held: list[Cidr], network: Cidr) -> None:
    guards = Guards(Guard(one, Reason.OWN) for one in held)
    around = [one for one in held if one.contains(network.address) and one.prefix <= network.prefix]
    found = guards.around(network)
    assert (found is None) == (not around)
    assert found is None or found.network.prefix == min(one.prefix for one in around)
    within = {one for one in held if network.contains(one.address) and one.prefix >= network.prefix}
    widest = {
        one
        for one in within
        if not any(two != one and two.contains(one.address) and two.prefix < one.prefix
                   for two in within)
    }  # fmt: skip
    assert {guard.network for guard in guards.widest_within(network)} == widest


@given(several, networks)
def test_guards_touch_what_has_an_address_in_common(held: list[Cidr], network: Cidr) -> None:
    guards = Guards(Guard(one, Reason.OWN) for one in held)
    assert guards.touches(network) == any(one.intersects(network) for one in held)


@given(networks, networks, st.integers(0, 2**128 - 1))
def test_a_network_has_a_number_of_its_own(one: Cidr, other: Cidr, host: int) -> None:
    assert (one.number == other.number) == (one == other)
    within = int(one.address) + host % (1 << one.host_bits)
    same = Cidr(type(one.address)(within), one.prefix)
    assert same.number == one.number
    assert same.span == one.span == (one.network_value, one.network_value + (1 << one.host_bits))
