"""The differences of a machine in words: those that a whole round of an agent would mend."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kgctl.errors import HostError
from kgctl.host.differences import Part
from kgctl.host.firewall import FirewallRules
from kgctl.host.host_routes import Change, HostRoute, Reading, choose, differences
from kgctl.host.iptables import Iptables
from kgctl.host.nftables import Nftables
from kgctl.host.route_messages import MAIN, KernelRoute
from kgctl.mesh.agent_plan import STATIC, TABLE, Chain, FirewallRule
from tests.host.test_host_routes import NAMES
from tests.host.test_iptables_rules import CHAINS, PLACES, _first
from tests.support.recorded_agents import cidr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kgctl.host.differences import Difference

LISTING = Path(__file__).parent / "nftables.json"
"""What nft 1.0.6 lists of the table of ``FIREWALL``."""

FIREWALL = FirewallRules(
    tuple(CHAINS),
    (
        _first(PLACES[1], "10.42.0.0/25", by_source=False),
        _first(PLACES[1], "10.42.0.128/25", by_source=False),
        _first(PLACES[1], "10.43.0.7/32", by_source=False),
        FirewallRule(6, "nat", "KILO-NAT", "RETURN", "six", None, cidr("fd42::/64")),
        _first(PLACES[0], "10.42.0.0/24", by_source=True),
    ),
)


def lines(found: Sequence[Difference]) -> list[str]:
    return [f"{one.about}|{one.wanted}|{one.found}" for one in found]


def route_differences(wanted: list[HostRoute], *present: KernelRoute) -> list[str]:
    chosen, _ = choose(wanted)
    reading = Reading(frozenset({"kilo0"}), chosen.values(), NAMES.__getitem__)
    for one in present:
        reading.add(one)
    read = reading.result()
    change = Change(read.own, chosen, read)
    found = list(differences(change, read, NAMES.__getitem__))
    assert all(one.part is Part.ROUTE for one in found)
    return lines(found)


VIA = ip_address("10.4.0.2")
POD = cidr("10.42.1.0/24")
ROUTE = HostRoute(POD, "kilo0", VIA, ip_address("10.1.0.11"))
THERE = KernelRoute(POD, 1, VIA, ip_address("10.1.0.11"), MAIN, STATIC, 0, onlink=True)


@pytest.mark.parametrize(
    ("wanted", "present", "expected"),
    [
        ([ROUTE], [THERE], []),
        ([ROUTE], [], [f"|{ROUTE}|None"]),
        ([], [THERE], [f"|None|{ROUTE}"]),
        (
            [ROUTE],
            [THERE._replace(gateway=ip_address("10.4.0.9"))],
            [f"|{ROUTE}|10.42.1.0/24 via 10.4.0.9 dev kilo0 src 10.1.0.11"],
        ),
        (  # of another program
            [ROUTE],
            [THERE._replace(interface=3, protocol=2)],
            [f"this machine has another route there already|{ROUTE}|None"],
        ),
        (  # the agent's table is its alone
            [],
            [THERE._replace(table=TABLE, protocol=2)],
            ["|None|10.42.1.0/24 via 10.4.0.2 dev kilo0 src 10.1.0.11 table 1107"],
        ),
    ],
)
def test_routes(wanted: list[HostRoute], present: list[KernelRoute], expected: list[str]) -> None:
    assert route_differences(wanted, *present) == expected


def iptables(saved: str) -> Iptables:
    """Iptables of a machine with these rules; any call that writes fails."""

    def run(argv: Sequence[str], stdin: str) -> str:
        assert (argv[0], stdin) == ("iptables-save", "")
        return saved

    return Iptables(ipv6=False, run=run)


def saved_of(rules: FirewallRules) -> str:
    """Return what iptables-save prints after the rules were set on a bare machine."""
    written: list[str] = []

    def run(argv: Sequence[str], stdin: str) -> str:
        written.append(stdin)
        return ""

    Iptables(ipv6=False, run=run).apply(rules)
    return written[-1].replace("-I POSTROUTING 1", "-A POSTROUTING")


FOUR = FirewallRules(FIREWALL.ordered, tuple(one for one in FIREWALL.first if one.version == 4))
SAVED = saved_of(FOUR)
MASQUERADE = '-m comment --comment "Kilo: NAT remaining packets" -j MASQUERADE'


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text, []),
        (
            lambda text: text.replace(f"-A KILO-NAT {MASQUERADE}\n", ""),
            [f"IPv4 nat KILO-NAT|{MASQUERADE}|None"],
        ),
        (
            lambda text: text.replace("COMMIT", "-A KILO-NAT -i eth0 -j ACCEPT\nCOMMIT"),
            ["IPv4 nat KILO-NAT|None|-i eth0 -j ACCEPT"],
        ),
        (
            lambda text: text.replace(":KILO-IPIP - [0:0]\n", ""),
            ["IPv4 filter KILO-IPIP|chain KILO-IPIP|None"],
        ),
        (lambda _: "*nat\n-A POSTROUTING -j KILO-X\nCOMMIT\n", None),
    ],
)
def test_rules_of_iptables(change: Callable[[str], str], expected: list[str] | None) -> None:
    text = change(SAVED)
    if "-i eth0" in text:  # once, in the table nat
        head, _, tail = text.partition("-A KILO-NAT -i eth0 -j ACCEPT\n")
        text = head + tail if head.startswith("*filter") else text
    found = iptables(text).differences(FOUR)
    assert all(one.part is Part.FIREWALL for one in found)
    if expected is None:
        assert "IPv4 nat POSTROUTING|None|-j KILO-X" in lines(found)
        assert sum(one.found is None for one in found) > 5
    else:
        assert lines(found) == expected


def test_an_order_that_matters_is_a_difference() -> None:
    ipip = [line for line in SAVED.splitlines() if line.startswith("-A INPUT")]
    text = SAVED.replace("\n".join(ipip), "\n".join(reversed(ipip)))
    assert lines(iptables(text).differences(FOUR)) == [
        "IPv4 filter INPUT|the agent's order|another order of rules"
    ]


def nftables(listing: str) -> Nftables:
    def run(argv: Sequence[str], stdin: str) -> str:
        assert (argv[:3], stdin) == (["nft", "-j", "list"], "")
        if not listing:
            raise HostError("nft failed: Error: No such file or directory")
        return listing

    return Nftables(run=run)


def test_the_table_of_nft_is_compared_by_what_it_means() -> None:
    listing = LISTING.read_text()
    assert nftables(listing).differences(FIREWALL) == []
    assert nftables("").differences(FirewallRules()) == []
    assert [one.about for one in nftables(listing).differences(FirewallRules())][:2] == [
        "nftables KILO-IPIP", "nftables KILO-NAT",
    ]  # fmt: skip
    assert len(nftables("").differences(FIREWALL)) == 10
    with pytest.raises(HostError, match="another form"):
        nftables('{"nftables": 7}').differences(FIREWALL)


def without(rule: int) -> str:
    found = json.loads(LISTING.read_text())
    rules = [one for one in found["nftables"] if "rule" in one]
    found["nftables"].remove(rules[rule])
    return json.dumps(found)


def test_a_rule_of_nft_that_is_gone_is_named_with_its_networks() -> None:
    assert lines(nftables(without(0)).differences(FIREWALL)) == [
        "nftables KILO-NAT|ip daddr { 10.42.0.0/24, 10.43.0.7/32 } return "
        'comment "Kilo: KILO-NAT to"|None'
    ]


def test_a_rule_and_an_element_of_others_are_named() -> None:
    found = json.loads(LISTING.read_text())
    parts = found["nftables"]
    strange = [{"match": {"op": "==", "left": {"meta": {"key": "mark"}}, "right": 7}},
               {"drop": None}]  # fmt: skip
    parts.append({"rule": {"chain": "KILO-NAT", "expr": strange}})
    (networks,) = (one["set"] for one in parts if one.get("set", {}).get("name") == "networks1")
    networks["elem"].append({"range": ["10.50.0.0", "10.50.0.2"]})
    shown = lines(nftables(json.dumps(found)).differences(FIREWALL))
    assert len(shown) == 3
    assert shown[1].startswith(
        "nftables KILO-NAT|None|ip daddr { 10.42.0.0/24, 10.43.0.7/32, 10.50.0.0-10.50.0.2 } return"
    )
    assert shown[2] == f"nftables KILO-NAT|None|{json.dumps(strange)}"


def test_a_chain_is_one_whatever_its_version() -> None:
    both = FirewallRules((Chain(4, "nat", "KILO-NAT"), Chain(6, "nat", "KILO-NAT")))
    assert lines(nftables("").differences(both)) == ["nftables KILO-NAT|chain KILO-NAT|None"]
