"""The agent's firewall rules through nft: one table of the agent's own, written whole.

Networks are sets, so that a thousand segments take no more rules than one. The rules are those of
iptables, with one difference that lies in nftables: ``accept`` ends only this table's chain, and
the chain of another table may still drop the packet.
"""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.errors import HostError
from kgctl.host.firewall import Calls, run_program
from kgctl.host.nftables_rules import NftRule, differences, read_table, spans_of
from kgctl.mesh.agent_plan import Chain
from kgctl.mesh.cidr import Cidr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kgctl.host.differences import Difference
    from kgctl.host.firewall import FirewallRules, Operation
    from kgctl.mesh.agent_plan import FirewallRule

TABLE = "kgctl"
"""The table, of the family inet."""

_HOOKS = {
    "POSTROUTING": "type nat hook postrouting priority 100; policy accept;",
    "INPUT": "type filter hook input priority 0; policy accept;",
    "FORWARD": "type filter hook forward priority 0; policy accept;",
}
_VERDICTS = {
    "ACCEPT": "accept",
    "DROP": "drop",
    "RETURN": "return",
    "MASQUERADE": "masquerade",
}
_FAMILIES = {4: "ip", 6: "ip6"}
_PROTOCOLS = {"ipencap": 4}
_RENEWED = f"add table inet {TABLE}\ndelete table inet {TABLE}\n"
_ABSENT = "No such file or directory"


class Nftables:
    """The rules of both families, in one table; a ``FirewallProgram``."""

    def __init__(self, *, run: Callable[[Sequence[str], str], str] = run_program) -> None:
        self._calls = Calls(run)
        self._rules: FirewallRules | None = None
        self._text = ""
        self._written: str | None = None
        self._listed: Any = None

    @property
    def operations(self) -> Mapping[Operation, int]:
        """The number of calls; see ``FirewallProgram``."""
        return self._calls.operations

    def apply(self, rules: FirewallRules, *, whole: bool = True) -> bool:
        """Set the rules; see ``FirewallProgram``.

        The first round always writes: nft lists a table in other words than it was written in, so
        only what this process wrote can be compared.
        """
        if rules != self._rules:
            self._rules, self._text = rules, _RENEWED + table_text(rules)
        if self._text == self._written and (not whole or self._list() == self._listed):
            return False
        self._written = None  # until this round is through
        self._write(self._text)
        self._listed = self._list()
        self._written = self._text
        return True

    def differences(self, rules: FirewallRules) -> list[Difference]:
        """Return how the table differs; see ``FirewallProgram``.

        Rules are compared by what they mean, since another process wrote them.
        """
        listing = self._list()
        try:
            present = {} if listing is None else read_table(listing)
        except ValueError as error:
            raise HostError("nft lists its table in another form than version 1 of JSON") from error
        return list(differences(present, table_rules(rules)))

    def clean_up(self) -> None:
        """Remove the table; see ``FirewallProgram``."""
        self._written = None
        if self._list() is not None:
            self._write(_RENEWED)

    def _write(self, text: str) -> None:
        self._calls(("inet", "Restore", TABLE, "*"), ["nft", "-f", "-"], text)

    def _list(self) -> Any:
        """Return the table as nft lists it, without numbers that each write changes; or None."""
        argv = ["nft", "-j", "list", "table", "inet", TABLE]
        try:
            found = json.loads(self._calls(("inet", "Save", TABLE, "*"), argv))
        except HostError as error:
            if _ABSENT in str(error):
                return None
            raise
        except ValueError as error:
            raise HostError("nft printed no JSON: install nftables 0.9.3 or newer") from error
        return _without_handles(found)


def _without_handles(found: Any) -> Any:
    if isinstance(found, dict):
        return {
            key: _without_handles(value)
            for key, value in found.items()
            if key not in ("handle", "metainfo")
        }
    return list(map(_without_handles, found)) if isinstance(found, list) else found


class _Match(NamedTuple):
    """What the rules of a group have in common: all but the network."""

    version: int
    chain: str
    target: str
    comment: str
    side: str
    protocol: str | None


def table_text(rules: FirewallRules) -> str:
    """Return the table in the language of nft."""
    return str(_table(rules))


def table_rules(rules: FirewallRules) -> dict[str, list[NftRule]]:
    """Return what the rules of the table mean, by chain."""
    return _table(rules).meanings if rules.ordered or rules.first else {}


def _table(rules: FirewallRules) -> _Table:
    table = _Table()
    for one in rules.ordered:
        if isinstance(one, Chain):
            table.add_chain(one.name)
    # rules that stand first have no order: all that differ in the network only are one group
    table.add(rules.first)
    for one in rules.ordered:
        if not isinstance(one, Chain):
            table.add([one])
    return table


class _Table:
    def __init__(self) -> None:
        self._sets: list[str] = []
        self._chains: dict[str, list[str]] = {}
        self.meanings: dict[str, list[NftRule]] = {}

    def add_chain(self, name: str) -> None:
        """Add a chain, unless it is there."""
        self._chains.setdefault(name, [])
        self.meanings.setdefault(name, [])

    def add(self, rules: Iterable[FirewallRule]) -> None:
        """Append rules, as one for each group."""
        groups: dict[_Match, list[Cidr]] = {}
        for rule in rules:
            side = "saddr" if rule.src is not None else "daddr"
            network = rule.src or rule.dst
            match = _Match(rule.version, rule.chain, rule.target, rule.comment, side, rule.protocol)
            groups.setdefault(match, []).append(network or _everything(rule.version))
        for match, networks in groups.items():
            self.add_chain(match.chain)
            self._chains[match.chain].append(self._rule(match, networks))

    def _rule(self, match: _Match, networks: Iterable[Cidr]) -> str:
        merged = list(merge(networks))
        family = _FAMILIES[match.version]
        every = any(not network.prefix for network in merged)
        protocol = (
            None if match.protocol is None else _PROTOCOLS.get(match.protocol, match.protocol)
        )
        verdict = _VERDICTS.get(match.target) or f"jump {match.target}"
        self.meanings[match.chain].append(
            NftRule(
                match.chain,
                match.version,
                "" if every else match.side,
                () if every else spans_of(merged),
                "" if protocol is None else str(protocol),
                verdict,
                match.comment,
            )
        )
        if every:
            words = [f"meta nfproto ipv{match.version}"]
        else:
            name = f"networks{len(self._sets) + 1}"
            elements = ", ".join(map(str, merged))
            self._sets.append(
                f"\tset {name} {{\n\t\ttype ipv{match.version}_addr\n\t\tflags interval\n"
                f"\t\telements = {{ {elements} }}\n\t}}\n"
            )
            words = [f"{family} {match.side} @{name}"]
        if protocol is not None:
            words.append(f"meta l4proto {protocol}")
        words.append(verdict)
        return f'{" ".join(words)} comment "{match.comment}"'

    def __str__(self) -> str:
        """The table; a chain comes before those that jump to it."""
        names = sorted(self._chains, key=lambda name: name in _HOOKS)
        chains = "".join(self._chain(name) for name in names)
        return f"table inet {TABLE} {{\n{''.join(self._sets)}{chains}}}\n"

    def _chain(self, name: str) -> str:
        hook = _HOOKS.get(name)
        lines = [*([] if hook is None else [hook]), *self._chains[name]]
        body = "".join(f"\t\t{line}\n" for line in lines)
        return f"\tchain {name} {{\n{body}\t}}\n"


def _everything(version: int) -> Cidr:
    return Cidr(IPv4Address(0) if version == 4 else IPv6Address(0), 0)


def merge(networks: Iterable[Cidr]) -> Iterator[Cidr]:
    """Yield the fewest networks of one version that cover these: no two overlap or are halves.

    A set of nft takes no overlapping networks.
    """
    kept: list[Cidr] = []
    masked = {one.masked() for one in networks}
    for network in sorted(masked, key=lambda one: (one.network_value, one.prefix)):
        if kept and network.span[1] <= kept[-1].span[1]:
            continue
        kept.append(network)
        while len(kept) > 1 and (joined := _joined(kept[-2], kept[-1])) is not None:
            kept[-2:] = [joined]
    yield from kept


def _joined(left: Cidr, right: Cidr) -> Cidr | None:
    """Return the network that two networks are the halves of."""
    if left.prefix != right.prefix or not left.prefix:
        return None
    whole = Cidr(left.address, left.prefix - 1)
    return whole if whole.span == (left.span[0], right.span[1]) else None
