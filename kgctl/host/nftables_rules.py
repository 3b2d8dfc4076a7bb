"""The rules of the agent's table as ``nft -j list table`` prints them, by what they mean.

nft prints a table in other words than it was written in; libnftables-json(5) describes them.
Everything here is pure.
"""

from __future__ import annotations

import json
from collections import Counter
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.host.differences import Difference, Part
from kgctl.host.iptables_rules import protocol_number
from kgctl.mesh.cidr import parse_address, parse_cidr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kgctl.mesh.cidr import Cidr

Span = tuple[int, int]
"""The first address of a range, and the one after the last, as numbers."""

_VERSIONS = {"ipv4": 4, "ipv6": 6, "ip": 4, "ip6": 6}
_VERDICTS = ("accept", "drop", "return", "masquerade")
_BITS = {4: 32, 6: 128}


class NftRule(NamedTuple):
    """What a rule of the table does, and where: ``networks`` are those of ``side``.

    ``side`` is ``saddr``, ``daddr``, or empty for a rule about all packets of ``version``.
    ``verdict`` has nft's words, or the whole rule if no agent sets such a one (``version`` 0).
    """

    chain: str
    version: int
    side: str
    networks: tuple[Span, ...]
    protocol: str
    verdict: str
    comment: str

    def __str__(self) -> str:
        """The rule in words like those of nft, with its networks."""
        words = [] if not self.version else [f"meta nfproto ipv{self.version}"]
        if self.side:
            spans = ", ".join(_span_text(span, self.version) for span in self.networks)
            words = [f"{'ip' if self.version == 4 else 'ip6'} {self.side} {{ {spans} }}"]
        if self.protocol:
            words.append(f"meta l4proto {self.protocol}")
        comment = f' comment "{self.comment}"' if self.comment else ""
        return " ".join([*words, self.verdict]) + comment


def spans_of(networks: Iterable[Cidr]) -> tuple[Span, ...]:
    """Return the ranges of networks of one version, as few as possible, in their order."""
    return _joined(network.span for network in networks)


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return tuple(found)


def _span_text(span: Span, version: int) -> str:
    first, end = span
    size = end - first
    kind = ip_address(bytes(_BITS[version] // 8)).__class__
    if size & (size - 1) == 0 and first % size == 0:
        return f"{kind(first)}/{_BITS[version] - size.bit_length() + 1}"
    return f"{kind(first)}-{kind(end - 1)}"


def read_table(listing: Any) -> dict[str, list[NftRule]]:
    """Return the rules by chain, also of chains without any; ``listing`` is nft's JSON.

    Raises:
        ValueError: it has another form.
    """
    try:
        parts = [item for one in listing["nftables"] for item in one.items()]
        sets = {one["name"]: one.get("elem", []) for kind, one in parts if kind == "set"}
        chains: dict[str, list[NftRule]] = {
            one["name"]: [] for kind, one in parts if kind == "chain"
        }
        for kind, one in parts:
            if kind == "rule":
                chains[one["chain"]].append(_rule(one, sets))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a listing of nft") from error
    return chains


def _rule(found: Mapping[str, Any], sets: Mapping[str, Sequence[Any]]) -> NftRule:
    """Return a rule; the words of one that no agent sets are its JSON."""
    chain, comment = str(found["chain"]), str(found.get("comment", ""))
    rule = NftRule(chain, 0, "", (), "", "", comment)
    try:
        for one in found["expr"]:
            ((kind, value),) = one.items()
            rule = _with(rule, kind, value, sets)
    except (KeyError, TypeError, AttributeError, ValueError):
        return NftRule(chain, 0, "", (), "", json.dumps(found["expr"]), comment)
    return rule


def _with(rule: NftRule, kind: str, value: Any, sets: Mapping[str, Sequence[Any]]) -> NftRule:
    """Return a rule with one more expression.

    Raises:
        ValueError: no rule of an agent has it; KeyError and others: it has another form.
    """
    if kind == "match" and value["op"] == "==":
        left, right = value["left"], value["right"]
        if left == {"meta": {"key": "nfproto"}} and not rule.version:
            return rule._replace(version=_VERSIONS[right])
        if left == {"meta": {"key": "l4proto"}} and not rule.protocol:
            return rule._replace(protocol=protocol_number(str(right)))
        version, side = _VERSIONS[left["payload"]["protocol"]], left["payload"]["field"]
        if side in ("saddr", "daddr") and not rule.side:
            elements = sets[right[1:]] if isinstance(right, str) and right[:1] == "@" else [right]
            return rule._replace(version=version, side=side, networks=_joined(_spans(elements)))
    if not rule.verdict:
        if kind in _VERDICTS and value is None:
            return rule._replace(verdict=kind)
        if kind == "jump":
            return rule._replace(verdict=f"jump {value['target']}")
    raise ValueError(kind)


def _spans(elements: Iterable[Any]) -> Iterator[Span]:
    for one in elements:
        if isinstance(one, str):
            yield _number(one), _number(one) + 1
        elif "range" in one:
            first, last = one["range"]
            yield _number(first), _number(last) + 1
        else:
            network = parse_cidr(f"{one['prefix']['addr']}/{one['prefix']['len']}")
            if network is None:
                raise ValueError(one)
            yield network.span


def _number(text: str) -> int:
    address = parse_address(text)
    if address is None:
        raise ValueError(text)
    return int(address)


def differences(
    present: Mapping[str, Sequence[NftRule]], wanted: Mapping[str, Sequence[NftRule]]
) -> Iterator[Difference]:
    """Yield how the present rules differ from the wanted ones, by chain."""
    for chain in dict.fromkeys([*wanted, *present]):
        about = f"nftables {chain}"
        if (chain in wanted) != (chain in present):
            words = f"chain {chain}"
            here, there = (words, None) if chain in wanted else (None, words)
            yield Difference(Part.FIREWALL, here, there, about)
        before, after = present.get(chain, ()), wanted.get(chain, ())
        lacking, more = Counter(after) - Counter(before), Counter(before) - Counter(after)
        for rule in lacking.elements():
            yield Difference(Part.FIREWALL, str(rule), None, about)
        for rule in more.elements():
            yield Difference(Part.FIREWALL, None, str(rule), about)
        if not lacking and not more and list(before) != list(after):
            yield Difference(Part.FIREWALL, "the agent's order", "another order of rules", about)
