"""The firewall rules of agents, set by the real programs in a namespace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kgctl.errors import HostError
from kgctl.host.firewall import FirewallRules, rules_of, run_program
from kgctl.host.iptables import Iptables
from kgctl.host.nftables import Nftables
from kgctl.mesh.agent_plan import Chain, FirewallRule
from tests.network.inside import node
from tests.support.recorded_agents import RECORDINGS, cidr, firewall_words, load, plan_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from kgctl.host.firewall import FirewallProgram
    from tests.network.namespace import Namespace

    Make = Callable[[], FirewallProgram]

OTHERS = """\
*filter
-A INPUT -p ipencap -s 192.0.2.1 -j ACCEPT
-A FORWARD -s 10.42.0.0/24 -m comment --comment "of others" -j ACCEPT
-A FORWARD -j DROP
COMMIT
*nat
:KUBE-POSTROUTING - [0:0]
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A POSTROUTING -s 10.42.0.0/24 ! -d 10.42.0.0/16 -j MASQUERADE
COMMIT
"""


def _legacy(argv: Sequence[str], stdin: str) -> str:
    return run_program([argv[0].replace("tables-", "tables-legacy-"), *argv[1:]], stdin)


PROGRAMS: dict[str, Make] = {
    "iptables": Iptables,
    "iptables-legacy": lambda: Iptables(run=_legacy),
    "nftables": Nftables,
}


@pytest.fixture
def machine() -> Iterator[Namespace]:
    with node() as made:
        yield made


def rules_in(machine: Namespace) -> str:
    """Everything that any firewall program prints, without counters, times and empty chains."""
    texts = [
        machine.run(f"{program}-save").stdout
        for program in ("iptables-legacy", "ip6tables-legacy", "iptables-nft", "ip6tables-nft")
    ]
    texts.append(machine.run("nft", "list", "table", "inet", "kgctl", check=False).stdout)
    return "".join(
        f"{line}\n"
        for text in texts
        for line in text.splitlines()
        if line.startswith(("*", "-", ":KILO", "table", "\t"))
    )


def recorded(recording: Path, tmp_path: Path, most: int) -> Iterator[FirewallRules]:
    cluster, cases = load(recording)
    manifest = tmp_path / "cluster.json"
    manifest.write_text(json.dumps(cluster))
    taking_part = [case for case in cases if "error" not in case]
    for case in taking_part[:most]:
        yield rules_of(plan_of(manifest, case)[0])


@pytest.mark.parametrize("recording", RECORDINGS[1::4], ids=lambda path: path.stem)
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_set_is_what_is_wanted(
    machine: Namespace, recording: Path, program: str, tmp_path: Path
) -> None:
    for restore in ("iptables-restore", "iptables-legacy-restore", "ip6tables-restore"):
        others = OTHERS.replace("192.0.2.1", "::1") if "6" in restore else OTHERS
        others = others.replace("10.42.0.0/24", "fd42::/64") if "6" in restore else others
        others = others.replace("10.42.0.0/16", "fd42::/48") if "6" in restore else others
        machine.run(restore, stdin=others)
    run_program(["ip6tables-legacy-save", "-t", "nat"], "")
    run_program(["ip6tables-legacy-save", "-t", "filter"], "")
    before = rules_in(machine)
    firewall = PROGRAMS[program]()
    for rules in recorded(recording, tmp_path, most=2):
        firewall.apply(rules, whole=False)  # from the one before
        assert not firewall.apply(rules)
        if program != "nftables":
            successor = PROGRAMS[program]()
            assert not successor.apply(rules)
            assert sorted(_words(rules)) == sorted(_kilo(machine, legacy="legacy" in program))
    assert rules_in(machine) != before
    PROGRAMS[program]().clean_up()
    assert rules_in(machine) == before


def _words(rules: FirewallRules) -> Iterator[str]:
    """The rules as the reference gives them to iptables, each once, with masks and in one order."""
    found: dict[tuple[int, str, str], None] = {}
    for one in (*rules.ordered, *rules.first):
        if isinstance(one, FirewallRule):
            src, dst = one.src and one.src.masked(), one.dst and one.dst.masked()
            rule = one._replace(src=src, dst=dst, chain=one.chain)
            words = firewall_words(rule._replace(chain="x")).replace("-A x", f"-A {one.chain}")
            found[one.version, one.table, words] = None
        else:
            assert isinstance(one, Chain)
    yield from (f"{version} {table} {words}" for version, table, words in found)


def _kilo(machine: Namespace, *, legacy: bool) -> Iterator[str]:
    for version, program in ((4, "iptables"), (6, "ip6tables")):
        name = f"{program}-legacy-save" if legacy else f"{program}-save"
        table = ""
        for line in machine.run(name).stdout.splitlines():
            table = line[1:] if line.startswith("*") else table
            if "Kilo: " in line:
                yield f"{version} {table} {line}"


RULES = FirewallRules(
    (
        Chain(4, "filter", "KILO-IPIP"),
        FirewallRule(4, "filter", "INPUT", "KILO-IPIP", "Kilo: jump", protocol="ipencap"),
        FirewallRule(4, "filter", "INPUT", "DROP", "Kilo: reject", protocol="ipencap"),
        Chain(4, "nat", "KILO-NAT"),
        FirewallRule(4, "nat", "KILO-NAT", "MASQUERADE", "Kilo: NAT remaining packets"),
    ),
    (
        FirewallRule(4, "nat", "POSTROUTING", "KILO-NAT", "Kilo: x", cidr("10.42.0.7/24")),
        FirewallRule(4, "nat", "POSTROUTING", "KILO-NAT", "Kilo: y", cidr("0.0.0.0/0")),
        FirewallRule(4, "nat", "KILO-NAT", "RETURN", "Kilo: z", None, cidr("0.0.0.0/1")),
        FirewallRule(4, "nat", "KILO-NAT", "RETURN", "Kilo: z", None, cidr("128.0.0.0/1")),
        FirewallRule(4, "filter", "KILO-IPIP", "ACCEPT", "Kilo: w", cidr("10.1.0.11/32")),
    ),
)

HARM = {
    "iptables": [
        ("iptables", "-t", "nat", "-F", "KILO-NAT"),
        ("iptables", "-F", "INPUT"),
        ("iptables", "-t", "nat", "-D", "POSTROUTING", "2"),
        ("iptables", "-I", "INPUT", "-p", "4", "-j", "KILO-IPIP"),
        ("iptables", "-A", "FORWARD", "-s", "10.9.0.0/16", "-i", "lo", "-j", "KILO-IPIP"),
    ],
    "nftables": [
        ("nft", "delete", "table", "inet", "kgctl"),
        ("nft", "flush", "chain", "inet", "kgctl", "POSTROUTING"),
        ("nft", "add", "rule", "inet", "kgctl", "INPUT", "accept"),
        ("nft", "add", "element", "inet", "kgctl", "networks1", "{ 10.9.0.0/16 }"),
    ],
}


@pytest.mark.parametrize(
    ("program", "words"), [(program, words) for program, all_ in HARM.items() for words in all_]
)
def test_a_whole_round_mends_what_others_changed(
    machine: Namespace, program: str, words: tuple[str, ...]
) -> None:
    firewall = PROGRAMS[program]()
    firewall.apply(RULES)
    before = rules_in(machine)
    machine.run(*words)
    assert rules_in(machine) != before
    assert not firewall.apply(RULES, whole=False)
    assert firewall.apply(RULES)
    assert sorted(rules_in(machine)) == sorted(before)
    assert not firewall.apply(RULES)


def test_the_rules_of_others_are_no_reason_to_write(machine: Namespace) -> None:
    for make in (Iptables, Nftables):
        firewall = make()
        firewall.apply(RULES)
        machine.run("iptables-restore", "--noflush", stdin=OTHERS)
        assert not firewall.apply(RULES)


def test_a_table_that_iptables_cannot_read_is_an_error(machine: Namespace) -> None:
    machine.run("nft", "add", "table", "ip", "nat")
    chain = "{ type filter hook postrouting priority 7; }"
    machine.run("nft", "add", "chain", "ip", "nat", "odd", chain)
    with pytest.raises(HostError, match=r"^iptables-save cannot read the table nat, which"):
        Iptables().apply(RULES)
    assert "KILO" not in machine.run("nft", "list", "ruleset").stdout


def test_a_thousand_segments(machine: Namespace) -> None:
    assert machine
    networks = [cidr(f"10.{64 + number // 256}.{number % 256}.0/24") for number in range(1000)]
    first = tuple(
        FirewallRule(4, "nat", "KILO-NAT", "RETURN", f"Kilo: {kind}", None, network)
        for network in networks
        for kind in "abc"
    )
    for make in (Iptables, Nftables):
        firewall = make()
        assert firewall.apply(RULES._replace(first=first))
        assert not firewall.apply(RULES._replace(first=first))
        assert firewall.apply(RULES._replace(first=first[1:]), whole=False)
