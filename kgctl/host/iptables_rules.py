"""The agent's rules among those that ``iptables-save`` prints, and the input that mends them.

Everything here is pure. Rules are compared by what they mean, since versions of iptables print
them in different words. In chains of others, a rule is the agent's, of whatever version, if it
jumps to a chain KILO-… or has a comment of Kilo's.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from kgctl.host.differences import Difference, Part
from kgctl.mesh.agent_plan import IPIP_CHAIN, NAT_CHAIN, Chain
from kgctl.mesh.cidr import Cidr, parse_address, parse_cidr, single

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.host.firewall import FirewallRules
    from kgctl.mesh.agent_plan import FirewallRule

TABLES = ("filter", "nat")

Place = tuple[str, str]
"""A table and a chain."""

OWN: tuple[Place, ...] = (("filter", IPIP_CHAIN), ("nat", NAT_CHAIN))
"""The chains that are the agent's alone."""

_TARGETS, _COMMENTS = "KILO-", "Kilo: "
_IPIP = 4
_IPIP_NAMES = ("4", "ipencap", "ipip", "ipv4")  # by /etc/protocols, which images lack
_RULE = re.compile(
    r"-A (\S+)(?: -s (\S+))?(?: -d (\S+))?(?: -p (\S+))?"
    r'(?: -m comment --comment (?:"((?:[^"\\]|\\.)*)"|([^\s"]+)))?(?: -j (\S+))?'
)
_ESCAPED = re.compile(r"\\(.)")
_INCOMPATIBLE = re.compile(r"# Table `(\S+)' .*incompatible")


class Meaning(NamedTuple):
    """What a rule does: ``src`` and ``dst`` are numbers of networks, None for any."""

    target: str
    comment: str
    src: int | None = None
    dst: int | None = None
    protocol: str | None = None


class Entry(NamedTuple):
    """A rule in words of iptables, without its chain; ``meaning`` None is one of another kind."""

    meaning: Meaning | None
    words: str


State = dict[Place, list[Entry]]
"""All rules of own chains that exist, and the agent's rules in others', in their order."""


class UnreadableTableError(ValueError):
    """A table, which the error names, has rules that iptables cannot print."""


class Wanted(NamedTuple):
    """The wanted rules of one family.

    ``chains`` are own chains with their rules. In chains of others, ``first`` rules stand anywhere,
    and ``ordered`` ones in this order.
    """

    chains: State
    first: State
    ordered: State


def wanted_of(rules: FirewallRules, version: int) -> Wanted:
    """Return the rules of IP ``version`` 4 or 6, each once."""
    wanted = Wanted({}, {}, {})
    for one in rules.ordered:
        if isinstance(one, Chain) and one.version == version:
            wanted.chains.setdefault((one.table, one.name), [])
    for place, entry in _entries(rules.first, version):
        chain = wanted.chains if place in OWN else wanted.first
        chain.setdefault(place, []).append(entry)
    ordered = [one for one in rules.ordered if not isinstance(one, Chain)]
    for place, entry in _entries(ordered, version):
        chain = wanted.chains if place in OWN else wanted.ordered
        chain.setdefault(place, []).append(entry)
    return wanted


def _entries(rules: Sequence[FirewallRule], version: int) -> Iterator[tuple[Place, Entry]]:
    seen = set()
    for rule in rules:
        if rule.version == version:
            place, entry = (rule.table, rule.chain), _entry(rule)
            if (place, entry.meaning) not in seen:
                seen.add((place, entry.meaning))
                yield place, entry


def _entry(rule: FirewallRule) -> Entry:
    words = [
        f"{option} {cidr.masked()}"
        for option, cidr in (("-s", rule.src), ("-d", rule.dst))
        if cidr is not None and cidr.prefix
    ]
    protocol = None
    if rule.protocol is not None:
        protocol = protocol_number(rule.protocol)
        words.append(f"-p {protocol}")
    words.append(f"-m comment --comment {_quoted(rule.comment)} -j {rule.target}")
    meaning = Meaning(rule.target, rule.comment, _number(rule.src), _number(rule.dst), protocol)
    return Entry(meaning, " ".join(words))


def _number(cidr: Cidr | None) -> int | None:
    return cidr.number if cidr is not None and cidr.prefix else None


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def protocol_number(name: str) -> str:
    """Return the number of IP in IP by any of its names; another name as it is."""
    return str(_IPIP) if name.lower() in _IPIP_NAMES else name


def read_rules(text: str) -> State:
    """Return the agent's rules in the output of iptables-save.

    Raises:
        UnreadableTableError: rules of a table are missing in the output.
    """
    state: State = {}
    table = ""
    for line in text.split("\n"):
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("# Table"):
            match = _INCOMPATIBLE.match(line)
            if match is not None and match[1] in TABLES:
                raise UnreadableTableError(match[1])
        elif table in TABLES and line[:1] in (":", "-"):
            _take(state, table, line)
    return state


def _take(state: State, table: str, line: str) -> None:
    if line.startswith(":"):
        place = table, line[1:].split(" ", 1)[0]
        if place in OWN:
            state.setdefault(place, [])
    elif line.startswith("-A "):
        chain, _, words = line[3:].partition(" ")
        place = table, chain
        # most lines are others': a look at the text is enough
        if place in OWN or _TARGETS in words or _COMMENTS in words:
            meaning, target, comment = _read(line)
            if place in OWN or target.startswith(_TARGETS) or comment.startswith(_COMMENTS):
                state.setdefault(place, []).append(Entry(meaning, words))


def _read(line: str) -> tuple[Meaning | None, str, str]:
    """Return the meaning of a rule, its target and its comment."""
    match = _RULE.fullmatch(line)
    if match is None:
        return None, *_marks(line)
    _, src, dst, protocol, quoted, plain, target = match.groups()
    comment = _ESCAPED.sub(r"\1", quoted) if quoted is not None else plain or ""
    target = target or ""
    networks = [None if text is None else _network(text) for text in (src, dst)]
    if (src is None, dst is None) != (networks[0] is None, networks[1] is None):
        return None, target, comment
    protocol = None if protocol is None else protocol_number(protocol)
    meaning = Meaning(target, comment, _number(networks[0]), _number(networks[1]), protocol)
    return meaning, target, comment


def _marks(line: str) -> tuple[str, str]:
    """Return target and comment of a rule with any other words."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    found = {word.lstrip("-"): value for word, value in pairwise(words)}
    return found.get("j") or found.get("g") or "", found.get("comment", "")


def _network(text: str) -> Cidr | None:
    """Return a network as versions of iptables print it: bare, with a prefix or with a mask."""
    address, slash, mask = text.partition("/")
    if "." not in mask and ":" not in mask:
        whole = parse_address(text)
        return parse_cidr(text) if slash or whole is None else single(whole)
    host, bits = parse_address(address), parse_address(mask)
    if host is None or bits is None or host.version != bits.version:
        return None
    ones = f"{int(bits):0{bits.max_prefixlen}b}".rstrip("0")
    return None if "0" in ones else Cidr(host, len(ones))


class Change(NamedTuple):
    """Lines of input for iptables-restore by table, and the state that they lead to."""

    lines: dict[str, list[str]]
    after: State

    @property
    def text(self) -> str:
        """The input for ``iptables-restore --noflush``; empty if nothing is to change."""
        parts = (
            "".join(f"{line}\n" for line in (f"*{table}", *lines, "COMMIT"))
            for table, lines in self.lines.items()
        )
        return "".join(parts)


def change_of(present: State, wanted: Wanted) -> Change:
    """Return the change that turns the agent's present rules into the wanted ones."""
    change = Change({}, {})
    for table in TABLES:
        lines = [*_own_chains(table, present, wanted, change.after)]
        places = dict.fromkeys([*present, *wanted.first, *wanted.ordered])
        for place in places:
            if place[0] == table and place not in OWN:
                lines += _other_chain(place, present, wanted, change.after)
        # a chain goes last: nothing may jump to it any more
        gone = [p for p in present if p in OWN and p[0] == table and p not in wanted.chains]
        lines += [line for _, chain in gone for line in (f"-F {chain}", f"-X {chain}")]
        if lines:
            change.lines[table] = lines
    return change


def differences(present: State, change: Change, family: str) -> Iterator[Difference]:
    """Yield a change of the ``present`` rules, in words; ``family`` is ``IPv4`` or ``IPv6``."""
    for place in dict.fromkeys([*present, *change.after]):
        about = f"{family} {place[0]} {place[1]}"
        before, after = present.get(place), change.after.get(place)
        if place in OWN and (before is None or after is None):
            chain = f"chain {place[1]}"
            here, there = (None if one is None else chain for one in (after, before))
            yield Difference(Part.FIREWALL, here, there, about)
        yield from _in_chain(before or [], after or [], about)


def _in_chain(before: list[Entry], after: list[Entry], about: str) -> Iterator[Difference]:
    there, wanted = ([e.meaning or e.words for e in one] for one in (before, after))
    if there == wanted:
        return
    lacking, more = Counter(wanted) - Counter(there), Counter(there) - Counter(wanted)
    words = {e.meaning or e.words: e.words for e in (*after, *before)}
    for key in lacking.elements():
        yield Difference(Part.FIREWALL, words[key], None, about)
    for key in more.elements():
        yield Difference(Part.FIREWALL, None, words[key], about)
    if not lacking and not more:
        yield Difference(Part.FIREWALL, "the agent's order", "another order of rules", about)


def _own_chains(table: str, present: State, wanted: Wanted, after: State) -> Iterator[str]:
    rewritten = []
    for place, entries in wanted.chains.items():
        if place[0] != table:
            continue
        after[place] = entries
        before = present.get(place)
        if before is None or [e.meaning for e in before] != [e.meaning for e in entries]:
            rewritten.append((place[1], entries))
    for chain, _ in rewritten:
        yield f":{chain} - [0:0]"  # creates the chain, or empties it
    for chain, entries in rewritten:
        for entry in entries:
            yield f"-A {chain} {entry.words}"


def _other_chain(place: Place, present: State, wanted: Wanted, after: State) -> Iterator[str]:
    chain = place[1]
    ordered = wanted.ordered.get(place, [])
    first: dict[Meaning | None, Entry] = {e.meaning: e for e in wanted.first.get(place, [])}
    sequence = {entry.meaning for entry in ordered}
    there = [e for e in present.get(place, []) if e.meaning in sequence]
    kept_sequence = [e.meaning for e in there] == [e.meaning for e in ordered]
    kept: list[Entry] = []
    removed: list[Entry] = []
    # of two that mean the same, -D removes the first
    for entry in reversed(present.get(place, [])):
        stays = kept_sequence and entry.meaning in sequence
        stays = stays or first.pop(entry.meaning, None) is not None
        (kept if stays else removed).append(entry)
    for entry in reversed(removed):
        yield f"-D {chain} {entry.words}"
    for entry in first.values():
        yield f"-I {chain} 1 {entry.words}"
    added = [] if kept_sequence else ordered
    for entry in added:
        yield f"-A {chain} {entry.words}"
    found = [*reversed(first.values()), *reversed(kept), *added]
    if found:
        after[place] = found
