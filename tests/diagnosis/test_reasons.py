"""Reasons why a value does not parse: one for each invalid value, and the right one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.diagnosis.reasons import why_unreadable
from kgctl.kube.objects import NodeObject
from kgctl.state.objects import node_of

NAMES = (
    *("force-endpoint", "endpoint", "force-internal-ip", "internal-ip", "wireguard-ip"),
    *("cni-compatibility-ip", "allowed-location-ips", "key", "last-seen"),
    *("persistent-keepalive", "discovered-endpoints", "granularity", "podCIDR"),
)

REASONS = [
    ("endpoint", "203.0.113.1", "it has no port"),
    ("endpoint", "vpn.example.org", "it has no port"),
    ("endpoint", "203.0.113.1:", "it has no port"),
    ("endpoint", "2001:db8::1", "it has no port, and an IPv6 address needs brackets"),
    ("endpoint", "[2001:db8::1]", "it has no port"),
    ("endpoint", "[2001:db8::1]:", "it has no port"),
    ("endpoint", "[2001:db8::1:51820", "a bracket is not closed"),
    ("endpoint", "[2001:db8::1]51820", "there is no colon between bracket and port"),
    ("endpoint", "[2001:db8::1]:0", "a port is 1 to 65535, not 0"),
    (
        "endpoint",
        "[10.0.0.1]:51820",
        '"10.0.0.1" is not an IPv6 address; only those have brackets',
    ),
    (
        "endpoint",
        "[fe80::1%eth0]:51820",
        "the address has a zone; only those have brackets",
    ),
    ("endpoint", "2001:db8::1:x", '"x" is not a port'),
    ("endpoint", "2001:db8:0:0:0:0:0:1:51820", "an IPv6 address needs brackets"),
    ("endpoint", "203.0.113.1:70000", "a port is 1 to 65535, not 70000"),
    ("endpoint", "203.0.113.1:0", "a port is 1 to 65535, not 0"),
    ("endpoint", "203.0.113.1:+51820", '"+51820" is not a port'),
    ("endpoint", "203.0.113.1:http", '"http" is not a port'),
    ("endpoint", "203.0.113.1/24:51820", "an endpoint has no prefix length"),
    ("endpoint", "203.0.113.1/32", "it has no port"),
    ("endpoint", "udp://203.0.113.1:51820", "it begins with a scheme; write host:port only"),
    ("endpoint", ":51820", "it has no host"),
    ("endpoint", "VPN.example.org:51820", "the name is not in lower case"),
    ("endpoint", "vpn.example.org.:51820", "the name ends in a dot"),
    ("endpoint", "a_b.example.org:1", '"a_b.example.org" is neither an address nor a DNS name'),
    ("force-endpoint", "", "it is empty"),
    ("internal-ip", "10.0.0.1", "it has no prefix length: 10.0.0.1/32 is the single address"),
    ("internal-ip", "fd00::1", "it has no prefix length: fd00::1/128 is the single address"),
    ("internal-ip", "10.0.0.1/", "it has no prefix length"),
    ("internal-ip", "10.0.0.1/255.255.255.0", "its mask is dotted: write the prefix length"),
    ("internal-ip", "10.0.0.1/33", "a prefix length is at most 32, not 33"),
    ("internal-ip", "fd00::1/129", "a prefix length is at most 128, not 129"),
    ("internal-ip", "10.0.0.1/024", "the prefix length begins with 0"),
    ("internal-ip", "10.0.0.1/x", '"x" is not a prefix length'),
    ("internal-ip", "10.0.0.1/-1", '"-1" is not a prefix length'),
    ("internal-ip", "010.0.0.1/24", "a number of the address begins with 0"),
    ("internal-ip", "fe80::1%eth0/64", "the address has a zone"),
    ("internal-ip", "10.0.0.256/24", '"10.0.0.256" is not an IP address'),
    ("internal-ip", "eth0", '"eth0" is not an IP address with a prefix length'),
    ("internal-ip", "10.0.0.1/24,10.0.0.2/24", "it is a list, not one network"),
    ("podCIDR", "10.42.0.0", "it has no prefix length: 10.42.0.0/32 is the single address"),
    ("allowed-location-ips", "10.0.0.0/8,", "an entry is empty"),
    ("allowed-location-ips", "10.0.0.0/8,10.1.0.0/33", "a prefix length is at most 32, not 33"),
    (
        "allowed-location-ips",
        "10.0.0.0/99,x",
        'of "10.0.0.0/99": a prefix length is at most 32, not 99',
    ),
    ("key", "nonsense!", "it is not base64"),
    ("key", "AAAA", "it is 3 bytes long, but a key has 32"),
    ("key", "A" * 43 + "=", "it is all zero, which means no key"),
    ("key", "0f" * 32, "it is written in hexadecimal, not in base64"),
    ("last-seen", "2026-01-31T12:00:00Z", "it is not a number"),
    ("persistent-keepalive", "25s", "it has a unit: write only the number of seconds"),
    ("persistent-keepalive", "25 sec", "it has a unit: write only the number of seconds"),
    ("persistent-keepalive", "25.0", "it is not a whole number"),
    ("persistent-keepalive", "ten", "it is not a number"),
    ("persistent-keepalive", "9" * 30, "the number is too large"),
    ("persistent-keepalive", "1_0", "it is not a number"),
    ("discovered-endpoints", "{", "it is not JSON"),
    ("discovered-endpoints", "[]", "it is not a JSON object"),
    ("discovered-endpoints", '{"k": 7}', "a value in it has no IP, Port and Zone"),
    ("granularity", "node", "it is neither location nor full"),
]


def unreadable(name: str, text: str) -> str | None:
    """Return the text of that annotation as far as it does not parse."""
    if name == "podCIDR":
        return node_of(NodeObject("n", text, {}, {})).unreadable.get(name)
    return node_of(NodeObject("n", "", {}, {f"kilo.squat.ai/{name}": text})).unreadable.get(name)


@pytest.mark.parametrize(("name", "text", "reason"), REASONS)
def test_the_reason(name: str, text: str, reason: str) -> None:
    assert unreadable(name, text) is not None
    assert why_unreadable(name, text) == reason


values = st.one_of(
    st.text(max_size=60),
    st.text("0123456789abcdef.:/[]%,-+_ eE{}\"'\n\x1b", max_size=40),
    st.sampled_from([text for _, text, _ in REASONS]),
)


@given(st.sampled_from(NAMES), values)
def test_what_does_not_parse_has_a_reason_on_one_printable_line(name: str, text: str) -> None:
    bad = unreadable(name, text)
    if bad is None:
        return
    reason = why_unreadable(name, bad)
    assert reason
    assert reason.isprintable()
    assert len(reason) < 200
