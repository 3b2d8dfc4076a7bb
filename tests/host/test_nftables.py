"""The agent's rules in the language of nft."""

from __future__ import annotations

from ipaddress import IPv4Network, collapse_addresses
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.errors import HostError
from kgctl.host.firewall import FirewallRules, first_line, has_ipv6, run_program
from kgctl.host.nftables import Nftables, merge, table_text
from kgctl.mesh.agent_plan import FirewallRule
from kgctl.mesh.cidr import Cidr, parse_cidr
from tests.host.test_iptables_rules import CHAINS, PLACES, WANTED, _first

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def test_a_table_has_sets_and_rules_in_their_order() -> None:
    networks = ["10.42.0.0/25", "10.42.0.128/25", "10.42.0.7/32", "10.43.0.9/16"]
    first = [_first(PLACES[1], network, by_source=False) for network in networks]
    first += [_first(PLACES[0], "0.0.0.0/0", by_source=True)]
    assert table_text(FirewallRules(tuple(CHAINS), tuple(first))) == (
        "table inet kgctl {\n"
        "\tset networks1 {\n\t\ttype ipv4_addr\n\t\tflags interval\n"
        "\t\telements = { 10.42.0.0/24, 10.43.0.0/16 }\n\t}\n"
        "\tchain KILO-IPIP {\n\t}\n"
        "\tchain KILO-NAT {\n"
        '\t\tip daddr @networks1 return comment "Kilo: KILO-NAT to"\n'
        '\t\tmeta nfproto ipv4 masquerade comment "Kilo: NAT remaining packets"\n\t}\n'
        "\tchain POSTROUTING {\n\t\ttype nat hook postrouting priority 100; policy accept;\n"
        '\t\tmeta nfproto ipv4 jump KILO-NAT comment "Kilo: POSTROUTING from"\n\t}\n'
        "\tchain INPUT {\n\t\ttype filter hook input priority 0; policy accept;\n"
        "\t\tmeta nfproto ipv4 meta l4proto 4 jump KILO-IPIP "
        'comment "Kilo: jump to IPIP chain"\n'
        "\t\tmeta nfproto ipv4 meta l4proto 4 drop "
        'comment "Kilo: reject other IPIP traffic"\n\t}\n'
        "}\n"
    )


@given(
    st.lists(
        st.ip_addresses(v=4, network="10.0.0.0/26").flatmap(
            lambda address: st.integers(24, 32).map(
                lambda prefix: parse_cidr(f"{address}/{prefix}")
            )
        ),
        max_size=30,
    )
)
def test_networks_are_merged_as_the_standard_library_does(networks: list[object]) -> None:
    given_networks = [one for one in networks if isinstance(one, Cidr)]
    expected = collapse_addresses(IPv4Network(str(one.masked())) for one in given_networks)
    assert [one.network for one in merge(given_networks)] == list(expected)


class Program:
    """nft, on a machine in memory."""

    def __init__(self) -> None:
        self.table: str | None = None
        self.handle = 0

    def __call__(self, argv: Sequence[str], stdin: str) -> str:
        if "list" in argv:
            if self.table is None:
                raise HostError("nft failed: Error: No such file or directory")
            return f'{{"nftables": [{{"table": {{"handle": {self.handle}}}}}, {len(self.table)}]}}'
        self.handle += 1
        rest = stdin.removeprefix("add table inet kgctl\ndelete table inet kgctl\n")
        self.table = rest or None
        return ""


def test_a_table_is_written_if_it_differs() -> None:
    program = Program()
    firewall = Nftables(run=program)
    assert firewall.apply(WANTED, whole=False)
    assert not firewall.apply(WANTED)
    program.handle += 1
    assert not firewall.apply(WANTED)
    program.table = "flushed"
    assert not firewall.apply(WANTED, whole=False)
    assert firewall.apply(WANTED)
    program.table = None
    assert firewall.apply(WANTED)
    assert firewall.apply(FirewallRules(), whole=False)
    firewall.clean_up()
    firewall.clean_up()
    assert program.table is None
    assert firewall.operations == {
        ("inet", "Save", "kgctl", "*"): 10,
        ("inet", "Restore", "kgctl", "*"): 5,
    }


def test_rules_of_ipv6() -> None:
    network = parse_cidr("fd42::1/64")
    rule = FirewallRule(6, "filter", "FORWARD", "ACCEPT", "Kilo: x", None, network)
    text = table_text(FirewallRules((), (rule,)))
    assert "type ipv6_addr" in text
    assert "{ fd42::/64 }" in text
    assert 'ip6 daddr @networks1 accept comment "Kilo: x"' in text


def test_the_errors_of_programs_are_one_line() -> None:
    with pytest.raises(HostError, match=r"^nonesuch-save is not installed: install the package"):
        run_program(["nonesuch-save"], "")
    with pytest.raises(HostError, match=r"^sh failed: exit code 3$"):
        run_program(["sh"], "exit 3")
    with pytest.raises(HostError, match=r"^sh failed: first\\x1b$"):
        run_program(["sh"], "echo '# Warning: x' >&2; printf 'first\\033\\nsecond' >&2; exit 1")
    assert run_program(["cat"], "answer\udcff") == "answer\udcff"
    assert first_line(b"") == ""


def test_whether_there_is_ipv6(tmp_path: Path) -> None:
    assert not has_ipv6(tmp_path / "if_inet6")
    (tmp_path / "if_inet6").touch()
    assert has_ipv6(tmp_path / "if_inet6")
