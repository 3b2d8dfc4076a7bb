"""The policy rules of an agent in the kernel."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kgctl.host.policy_rules import AppliedRules, HostRule, PolicyRules, RefusedRule
from tests.network.inside import WIREGUARD, node
from tests.support.recorded_agents import cidr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.network.namespace import Namespace

WANTED = [
    HostRule(cidr("10.1.0.12/32"), cidr("10.42.0.7/24")),
    HostRule(cidr("10.1.0.12/32"), iif=WIREGUARD),
    HostRule(cidr("fd01::12/128"), cidr("fd42::/64")),
    HostRule(cidr("fd01::12/128"), iif="gone0"),
]


@pytest.fixture
def machine() -> Iterator[Namespace]:
    with node() as made:
        yield made


@pytest.fixture
def rules(machine: Namespace) -> Iterator[PolicyRules]:
    assert machine
    made = PolicyRules()
    yield made
    made.close()


def listed(machine: Namespace) -> list[str]:
    text = machine.ip("-4", "rule") + machine.ip("-6", "rule")
    return [" ".join(line.split()) for line in text.splitlines()]


def test_they_have_the_references_priorities(machine: Namespace, rules: PolicyRules) -> None:
    before = listed(machine)
    assert rules.apply(WANTED) == AppliedRules(added=4)
    ours = [line for line in listed(machine) if line not in before]
    assert ours == [
        "32764: from all to 10.1.0.12 iif kilo0 lookup 1107",
        "32765: from 10.42.0.0/24 to 10.1.0.12 lookup 1107",
        "32764: from all to fd01::12 iif gone0 [detached] lookup 1107",
        "32765: from fd42::/64 to fd01::12 lookup 1107",
    ]
    assert rules.apply(WANTED) == AppliedRules()
    with closing(PolicyRules()) as successor:
        assert successor.apply(WANTED) == AppliedRules()
    assert str(HostRule(*WANTED[0])) == "from 10.42.0.7/24 to 10.1.0.12/32 lookup 1107"
    assert rules.apply([], whole=False) == AppliedRules(removed=4)
    assert listed(machine) == before


def test_those_of_others_survive(machine: Namespace, rules: PolicyRules) -> None:
    machine.ip("rule", "add", "to", "10.1.0.12", "iif", WIREGUARD, "lookup", "100")
    machine.ip("rule", "add", "to", "10.1.0.12", "iif", WIREGUARD, "unreachable")
    machine.ip("rule", "add", "fwmark", "7", "lookup", "main", "suppress_prefixlength", "0")
    before = listed(machine)
    rules.apply(WANTED)
    rules.apply([])
    assert listed(machine) == before


def test_a_whole_round_mends_the_table(machine: Namespace, rules: PolicyRules) -> None:
    rules.apply(WANTED)
    before = sorted(listed(machine))
    strange = [
        ("from", "10.42.0.0/24", "to", "10.1.0.12", "priority", "100"),
        ("from", "10.42.9.0/24", "to", "10.1.0.12"),
        ("to", "10.1.0.12", "iif", WIREGUARD, "fwmark", "7"),
        ("not", "to", "10.1.0.12", "iif", WIREGUARD),
        ("from", "all", "tos", "0x10"),
        ("from", "all", "suppress_prefixlength", "0"),
        ("from", "all", "ipproto", "udp", "dport", "53"),
    ]
    for words in strange:
        machine.ip("rule", "add", *words, "lookup", "1107")
    machine.ip("-6", "rule", "del", "from", "fd42::/64", "lookup", "1107")
    assert rules.apply(WANTED, whole=False) == AppliedRules()
    assert rules.apply(WANTED) == AppliedRules(added=1, removed=7)
    # the one with a priority of its own came first, and is a duplicate like the other
    assert len(listed(machine)) == len(before)
    assert rules.apply(WANTED) == AppliedRules()


def test_a_refused_rule_stops_no_other(rules: PolicyRules) -> None:
    mixed = HostRule(cidr("10.1.0.12/32"), cidr("fd42::/64"))
    wanted = [HostRule(cidr("10.1.0.12/32"), iif="x" * 20), mixed, *WANTED[:1]]
    done = rules.apply(wanted)
    assert done.added == 1
    reason = "its source and its destination are of different IP versions"
    assert done.refused[0] == RefusedRule(mixed, reason)
    assert done.refused[1].rule == wanted[0]
    done = rules.apply(wanted[1:], whole=False)
    assert done == AppliedRules(refused=(RefusedRule(mixed, reason),))
    assert rules.apply(wanted[1:], whole=False) == done
