"""Details of a Peer in a plan: enough to decide, without secrets or active text."""

from __future__ import annotations

import pytest

from kgctl.link.peers import details

FIELDS = ("publicKey", "endpoint", "allowedIPs", "persistentKeepalive", "presharedKey")


def endpoint(host: str, kind: str = "ip") -> dict[str, object]:
    return {"dnsOrIP": {kind: host}, "port": 51820}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, {"allowedIPs": ["10.1.0.0/24", "10.4.0.1/32"], "endpoint": endpoint("192.0.2.1")},
         ["endpoint: 192.0.2.1:51820", "allowedIPs: 10.1.0.0/24, 10.4.0.1/32"]),
        ({"publicKey": "a"}, {"publicKey": "b"}, ["publicKey: a -> b"]),
        ({"endpoint": endpoint("west.example", "dns")}, {"endpoint": endpoint("2001:db8::1")},
         ["endpoint: west.example:51820 -> [2001:db8::1]:51820"]),
        ({"endpoint": endpoint("192.0.2.1")}, {}, ["endpoint: 192.0.2.1:51820 -> none"]),
        ({"allowedIPs": ["a", "b", "c"]}, {"allowedIPs": ["c", "d"]}, ["allowedIPs: -a, -b, +d"]),
        ({"allowedIPs": ["a", "b"]}, {"allowedIPs": ["b", "a"]}, ["allowedIPs: in another order"]),
        ({}, {"endpoint": endpoint(f"{'a' * 63}.{'b' * 63}.example", "dns")},
         [f"endpoint: {'a' * 63}.{'b' * 63}.example:51820"]),
        ({"persistentKeepalive": 5}, {}, ["persistentKeepalive: 5 -> none"]),
        ({"presharedKey": "old"}, {"presharedKey": "new"}, ["presharedKey: another one"]),
        ({}, {"presharedKey": "new"}, ["presharedKey: set"]),
        ({"presharedKey": "old"}, {}, ["presharedKey: removed"]),
        ({"publicKey": ["\x1b[2J\nx"], "endpoint": "y\n", "allowedIPs": "z\r"},
         {"publicKey": "b", "endpoint": endpoint("192.0.2.1"), "allowedIPs": []},
         ["publicKey: \\x1b[2J\\nx -> b", "endpoint: y\\n -> 192.0.2.1:51820",
          "allowedIPs: z\\r -> none"]),
    ],
)  # fmt: skip
def test_a_plan_says_what_a_peer_is_to_hold_and_what_changes(
    before: dict[str, object], after: dict[str, object], said: list[str]
) -> None:
    assert list(details(FIELDS, before, after)) == said


def test_of_many_networks_the_first_are_named() -> None:
    (line,) = details(("allowedIPs",), {}, {"allowedIPs": [f"10.0.{n}.0/24" for n in range(200)]})
    assert line.endswith("10.0.11.0/24 and 188 more")


def test_what_holds_itself_or_is_huge_is_not_written_out() -> None:
    endless: list[object] = []
    endless.append(endless)
    before = {"publicKey": 10**5000, "endpoint": {"dnsOrIP": {"ip": endless}, "port": {}},
              "allowedIPs": [endless, "a" * 100_000]}  # fmt: skip
    key, endpoint_, networks = details(FIELDS, before, {"allowedIPs": ["b"]})
    assert key == "publicKey: int -> none"
    assert endpoint_ == "endpoint: list:dict -> none"
    assert networks.startswith("allowedIPs: -list, -aaa")
    assert networks.endswith("…, +b")
    assert len(networks) < 1000
