"""The agent's rules in the output of iptables-save, and the change to the wanted ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.errors import HostError
from kgctl.host.firewall import FirewallRules
from kgctl.host.iptables import Iptables
from kgctl.host.iptables_rules import (
    OWN,
    Entry,
    Meaning,
    UnreadableTableError,
    change_of,
    read_rules,
    wanted_of,
)
from kgctl.mesh.agent_plan import Chain, FirewallRule
from tests.support.recorded_agents import cidr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgctl.host.iptables_rules import State

CHAINS: list[Chain | FirewallRule] = [
    Chain(4, "filter", "KILO-IPIP"),
    FirewallRule(4, "filter", "INPUT", "KILO-IPIP", "Kilo: jump to IPIP chain", protocol="ipencap"),
    FirewallRule(4, "filter", "INPUT", "DROP", "Kilo: reject other IPIP traffic", protocol="4"),
    Chain(4, "nat", "KILO-NAT"),
    FirewallRule(4, "nat", "KILO-NAT", "MASQUERADE", "Kilo: NAT remaining packets"),
]


def _first(place: tuple[str, str, str], network: str, *, by_source: bool) -> FirewallRule:
    table, chain, target = place
    found = cidr(network)
    comment = f"Kilo: {chain} {'from' if by_source else 'to'}"
    src, dst = (found, None) if by_source else (None, found)
    return FirewallRule(4, table, chain, target, comment, src, dst)


NETWORKS = ["10.42.0.0/24", "10.42.1.7/24", "10.1.0.11/32", "0.0.0.0/0", "10.0.0.0/8"]
PLACES = [
    ("nat", "POSTROUTING", "KILO-NAT"),
    ("nat", "KILO-NAT", "RETURN"),
    ("filter", "KILO-IPIP", "ACCEPT"),
    ("filter", "FORWARD", "ACCEPT"),
]
FIRST = st.builds(
    _first, st.sampled_from(PLACES), st.sampled_from(NETWORKS), by_source=st.booleans()
)
RULES = st.builds(
    lambda first, ipip: FirewallRules(
        tuple(CHAINS if ipip else CHAINS[3:]),
        tuple(one for one in first if ipip or one.chain != "KILO-IPIP"),
    ),
    st.lists(FIRST, max_size=8),
    st.booleans(),
)

OTHERS = [
    "-j ACCEPT",
    "-s 10.42.0.0/24 -j RETURN",
    '-s 10.42.0.0/24 -m comment --comment "of others: Kilo: or not" -j ACCEPT',
    "-p ipencap -j DROP",
    '-m comment --comment "kubernetes \\"postrouting\\" rules" -j KUBE-POSTROUTING',
    '-m comment --comment "its \\\\ comment" -j NOT-KILO-NAT',
    "! -d 10.0.0.0/8 -o eth0 -j MASQUERADE",
]
STALE = [
    '-s 10.99.0.0/16 -m comment --comment "Kilo: jump to NAT chain" -j KILO-NAT',
    "-d 10.99.0.0/16 -j KILO-NAT",
    '-s 10.98.0.0/16 -i eth0 -m comment --comment "Kilo: an older one" -j ACCEPT',
    "! -s 10.42.0.0/24 -g KILO-IPIP",
    '-p ipencap -m comment --comment "Kilo: reject other IPIP traffic" -j DROP',
]


class Machine:
    """Chains of iptables, as iptables-restore changes them and iptables-save prints them."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, list[str]]] = {
            "filter": {"INPUT": [], "FORWARD": [], "OUTPUT": []},
            "nat": {"PREROUTING": [], "POSTROUTING": []},
            "mangle": {"FORWARD": ['-m comment --comment "Kilo: not here" -j ACCEPT']},
        }

    def save(self) -> str:
        lines = []
        for table, chains in self.tables.items():
            lines += ["# Generated", f"*{table}"]
            lines += [
                f":{name} {'-' if name.startswith('KILO') else 'ACCEPT'} [0:0]" for name in chains
            ]
            lines += [f"-A {name} {words}" for name, rules in chains.items() for words in rules]
            lines.append("COMMIT")
        return "".join(f"{line}\n" for line in lines)

    def restore(self, text: str) -> None:
        chains: dict[str, list[str]] = {}
        for line in text.splitlines():
            if line.startswith("*"):
                chains = self.tables[line[1:]]
            elif line.startswith(":"):
                chains[line[1:].split()[0]] = []
            elif line != "COMMIT":
                verb, chain, words = (*line.split(" ", 2), "")[:3]
                self._change(chains, verb, chain, _printed(words))

    def _change(self, chains: dict[str, list[str]], verb: str, chain: str, words: str) -> None:
        match verb:
            case "-A":
                chains[chain].append(words)
            case "-I":
                chains[chain].insert(0, words.removeprefix("1 "))
            case "-D":
                chains[chain].remove(words)
            case "-F":
                chains[chain].clear()
            case "-X":
                assert not chains.pop(chain)
                jumps = [words for rules in chains.values() for words in rules]
                assert not any(re.search(rf"-[jg] {chain}$", words) for words in jumps)
            case _:
                raise AssertionError(verb)

    def others(self) -> dict[tuple[str, str], list[str]]:
        return {
            (table, chain): [words for words in rules if words in OTHERS]
            for table, chains in self.tables.items()
            for chain, rules in chains.items()
            if (table, chain) not in OWN
        }


def _printed(words: str) -> str:
    return words.replace("-p 4 ", "-p ipencap ")


def meanings(state: State) -> dict[tuple[str, str], list[Meaning | None]]:
    return {place: [entry.meaning for entry in entries] for place, entries in state.items()}


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    machine = Machine()
    if draw(st.booleans()):
        machine.restore(change_of({}, wanted_of(draw(RULES), 4)).text)
    for table, chain in (("filter", "INPUT"), ("filter", "FORWARD"), ("nat", "POSTROUTING")):
        rules = machine.tables[table][chain]
        for words in draw(st.lists(st.sampled_from([*OTHERS, *STALE, *rules]), max_size=6)):
            rules.insert(draw(st.integers(0, len(rules))), words)
    for table, chain in OWN:
        if chain in machine.tables[table] and draw(st.booleans()):
            rules = machine.tables[table][chain]
            machine.tables[table][chain] = draw(st.permutations([*rules, *OTHERS[:2]]))
    return machine


@given(machines(), RULES, RULES)
def test_a_change_leads_to_what_is_wanted(
    machine: Machine, rules: FirewallRules, later: FirewallRules
) -> None:
    others = machine.others()
    wanted = wanted_of(rules, 4)
    change = change_of(read_rules(machine.save()), wanted)
    machine.restore(change.text)
    assert machine.others() == others
    state = read_rules(machine.save())
    assert meanings(state) == meanings(change.after)
    for place, entries in wanted.chains.items():
        assert meanings(state)[place] == [entry.meaning for entry in entries]
    assert {place for place in state if place in OWN} == set(wanted.chains)
    for place, entries in state.items():
        if place not in OWN:
            first = {entry.meaning for entry in wanted.first.get(place, [])}
            ordered = [entry.meaning for entry in wanted.ordered.get(place, [])]
            rest = [entry.meaning for entry in entries if entry.meaning not in first]
            assert rest == ordered
            assert len(entries) == len(first) + len(ordered)
    assert not change_of(state, wanted).lines
    # what was set last is as good as what is read
    assert not change_of(change.after, wanted).lines
    event = change_of(change.after, wanted_of(later, 4))
    machine.restore(event.text)
    assert meanings(read_rules(machine.save())) == meanings(event.after)
    machine.restore(change_of(event.after, wanted_of(FirewallRules(), 4)).text)
    assert read_rules(machine.save()) == {}
    assert machine.others() == others


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("-s 10.1.0.0/24 -j KILO-NAT", Meaning("KILO-NAT", "", cidr("10.1.0.0/24").number)),
        ("-s 10.1.0.7 -j KILO-NAT", Meaning("KILO-NAT", "", cidr("10.1.0.7/32").number)),
        (
            "-d 10.1.0.0/255.255.255.0 -j KILO-NAT",
            Meaning("KILO-NAT", "", None, cidr("10.1.0.0/24").number),
        ),
        ("-s 10.1.0.0/255.0.255.0 -j KILO-NAT", None),
        ("-d 0.0.0.0/0 -j KILO-NAT", Meaning("KILO-NAT", "")),
        ("-d fd00::1/128 -j KILO-NAT", Meaning("KILO-NAT", "", None, cidr("fd00::1/128").number)),
        ("-p ipencap -j KILO-IPIP", Meaning("KILO-IPIP", "", protocol="4")),
        ("-p 4 -m comment --comment Kilo -j KILO-IPIP", Meaning("KILO-IPIP", "Kilo", protocol="4")),
        ('-m comment --comment "Kilo: \\"a\\" \\\\" -j DROP', Meaning("DROP", 'Kilo: "a" \\')),
        ("! -d 10.1.0.0/24 -j KILO-NAT", None),
        ("-i eth0 -j KILO-NAT", None),
        ('-m mark --mark 0x1 -m comment --comment "Kilo: x" -j DROP', None),
        ('-m string --string "it\'s" -j KILO-NAT', None),
    ],
)
def test_rules_are_read_as_any_version_prints_them(line: str, meaning: Meaning | None) -> None:
    assert read_rules(f"*nat\n-A POSTROUTING {line}\nCOMMIT\n") == {
        ("nat", "POSTROUTING"): [Entry(meaning, line)]
    }


def test_a_table_that_iptables_cannot_print_is_an_error() -> None:
    text = "# Table `nat' contains incompatible base-chains, use 'nft' tool to list them.\n*nat\n"
    with pytest.raises(UnreadableTableError, match="nat"):
        read_rules(text)
    assert read_rules(text.replace("`nat'", "`mangle'")) == {}


class Program:
    """iptables of one family, on a machine in memory; it may fail."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.calls: list[Sequence[str]] = []
        self.fails = 0

    def __call__(self, argv: Sequence[str], stdin: str) -> str:
        self.calls.append(argv)
        if argv[0] == "iptables-save":
            return self.machine.save()
        assert argv == ["iptables-restore", "-n", "-w", "5"]
        if self.fails:
            self.fails -= 1
            raise HostError("iptables-restore failed: no such rule")
        self.machine.restore(stdin)
        return ""


WANTED = FirewallRules(tuple(CHAINS), (_first(PLACES[0], "10.42.0.0/24", by_source=True),))


def test_only_what_changed_is_called_for() -> None:
    program = Program()
    firewall = Iptables(ipv6=False, run=program)
    assert firewall.apply(WANTED, whole=False)
    assert not firewall.apply(WANTED, whole=False)
    assert not firewall.apply(WANTED)
    other = WANTED._replace(first=())
    assert firewall.apply(other, whole=False)
    assert firewall.operations == {
        ("IPv4", "Save", "*", "*"): 2,
        ("IPv4", "Restore", "*", "*"): 1,
        ("IPv4", "Restore", "nat", "*"): 1,
    }
    firewall.clean_up()
    assert read_rules(program.machine.save()) == {}


def test_rules_that_changed_meanwhile_are_read_again() -> None:
    program = Program()
    firewall = Iptables(ipv6=False, run=program)
    firewall.apply(WANTED)
    program.fails = 1
    program.machine.tables["nat"]["POSTROUTING"].clear()
    assert not firewall.apply(WANTED._replace(first=()), whole=False)
    program.fails = 2
    with pytest.raises(HostError, match="no such rule"):
        firewall.apply(WANTED)
    assert firewall.apply(WANTED, whole=False)  # the failure is not forgotten
