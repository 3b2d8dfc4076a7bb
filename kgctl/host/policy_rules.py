"""The policy rules of a node's agent: those of its routing table, which is Kilo's alone."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, NamedTuple

from kgctl.host.batches import BatchSocket, Request
from kgctl.host.differences import Difference, Part
from kgctl.host.netlink import attributes, told
from kgctl.host.route_messages import FAMILIES, attribute, open_routes, read_address
from kgctl.mesh.agent_plan import TABLE
from kgctl.mesh.cidr import Cidr
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

_RULE = struct.Struct("=BBBBBxxBL")  # fib_rule_hdr: family, both lengths, TOS, table, …, action
_NUMBER = struct.Struct("=L")
_NEW, _DEL, _GET = 32, 33, 34  # RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE
_CREATE = 0x400 | 0x200  # NLM_F_CREATE, NLM_F_EXCL
_DST, _SRC, _IIF, _PRIORITY, _SUPPRESS, _TABLE, _PROTOCOL = 1, 2, 3, 6, 14, 15, 21
_PLAIN = {_DST, _SRC, _IIF, _PRIORITY, _SUPPRESS, _TABLE, _PROTOCOL}
"""The attributes of a rule that selects by addresses and interface only."""
_NO_SUPPRESSION = _NUMBER.pack(0xFFFF_FFFF)
_DETACHED = 0x8  # the interface is not there now
_TO_TABLE = 1
_OTHER_KIND = f"a rule to table {TABLE} that no agent sets"
_MIXED = "its source and its destination are of different IP versions"
_WITHOUT_IPV6 = (errno.EAFNOSUPPORT, errno.EOPNOTSUPP)


class HostRule(NamedTuple):
    """A rule that looks packets to ``dst`` up in ``kgctl.mesh.agent_plan.TABLE``.

    ``src`` is their source, ``iif`` the name of the interface that they come in by.
    """

    dst: Cidr
    src: Cidr | None = None
    iif: str | None = None

    def __str__(self) -> str:
        """The rule in the words of ``ip rule``."""
        source = "" if self.src is None else f"from {self.src} "
        interface = "" if self.iif is None else f" iif {printable(self.iif)}"
        return f"{source}to {self.dst}{interface} lookup {TABLE}"


class RefusedRule(NamedTuple):
    """A rule that was not set or not removed, and the reason in words."""

    rule: HostRule | None
    reason: str


class RuleChange(NamedTuple):
    """The rules to add; those to remove, with their messages; and the whole choice.

    None among ``surplus`` is a rule that no agent sets. ``mixed`` are rules that no kernel can
    have.
    """

    added: list[HostRule]
    surplus: list[tuple[HostRule | None, bytes]]
    mixed: list[RefusedRule]


class AppliedRules(NamedTuple):
    """The numbers of rules that were changed, and what the kernel refused."""

    added: int = 0
    removed: int = 0
    refused: tuple[RefusedRule, ...] = ()


class PolicyRules:
    """The rules of the agent's table, through the kernel's routing socket."""

    def __init__(self) -> None:
        self._netlink = open_routes()
        self._socket = BatchSocket("the policy rules of this machine")
        self._last: frozenset[HostRule] | None = None

    @property
    def port(self) -> int:
        """The netlink port that notifications of these changes carry."""
        return self._socket.port

    def close(self) -> None:
        """Close the sockets."""
        self._netlink.close()
        self._socket.close()

    def read(self) -> list[tuple[HostRule | None, bytes]]:
        """Return each rule of the table with its message; None is a rule that no agent sets.

        Raises:
            HostError: rules cannot be read.
        """
        found = []
        for family in FAMILIES.values():
            with told("read the policy rules of this machine"):
                try:
                    messages, _ = self._netlink.dump(_GET, _RULE.pack(family, 0, 0, 0, 0, 0, 0))
                except OSError as error:
                    if error.errno not in _WITHOUT_IPV6:
                        raise
                    continue
            found += [
                (_rule(message), message)
                for message in messages
                if message[:1] == bytes([family]) and is_of_table(message)
            ]
        return found

    def change(self, wanted: Iterable[HostRule]) -> RuleChange:
        """Return what a whole round would change; see ``apply``.

        Raises:
            HostError: rules cannot be read.
        """
        rules, mixed = _choose(wanted)
        missing, surplus = dict(rules), []
        for rule, message in self.read():
            if rule is None or missing.pop(rule, False) is False:
                surplus.append((rule, message))
        return RuleChange(list(missing), surplus, mixed)

    def differences(self, wanted: Iterable[HostRule]) -> list[Difference]:
        """Return ``change`` in words.

        Raises:
            HostError: rules cannot be read.
        """
        change = self.change(wanted)
        lacking = [Difference(Part.RULE, str(rule), None) for rule in change.added]
        surplus = [
            Difference(Part.RULE, None, _OTHER_KIND if rule is None else str(rule))
            for rule, _ in change.surplus
        ]
        return [*lacking, *surplus]

    def apply(self, wanted: Iterable[HostRule], *, whole: bool = True) -> AppliedRules:
        """Add the rules that are missing, and remove the others of the table.

        Only a ``whole`` round, and the first, reads the kernel's rules, unless the wanted ones
        changed. The kernel chooses the priorities. A rule that is refused stops no other.

        Raises:
            HostError: rules cannot be read, or the kernel does not answer.
        """
        rules, mixed = _choose(wanted)
        if not whole and self._last == frozenset(rules):
            return AppliedRules(refused=tuple(mixed))
        self._last = None  # until this round is through
        added, surplus, _ = self.change(rules)
        answers = self._socket.change([Request(_NEW, _CREATE, _body(rule)) for rule in added])
        refused = [RefusedRule(added[at], one.reason) for at, one in answers.items()]
        # the whole message of a rule deletes that rule, and no similar one
        gone = self._socket.change([Request(_DEL, 0, message) for _, message in surplus])
        failed = {at: one for at, one in gone.items() if one.code != errno.ENOENT}
        refused += [
            RefusedRule(surplus[at][0], f"cannot remove it: {one.reason}")
            for at, one in failed.items()
        ]
        if not refused:
            self._last = frozenset(rules)
        return AppliedRules(len(added) - len(answers), len(surplus) - len(gone), (*mixed, *refused))


def _choose(wanted: Iterable[HostRule]) -> tuple[dict[HostRule, None], list[RefusedRule]]:
    """Return the rules, masked, each once; and those that no kernel can have."""
    chosen: dict[HostRule, None] = {}
    mixed = []
    for rule in wanted:
        if rule.src is not None and rule.src.version != rule.dst.version:
            mixed.append(RefusedRule(rule, _MIXED))
        else:
            chosen[HostRule(rule.dst.masked(), rule.src and rule.src.masked(), rule.iif)] = None
    return chosen, mixed


def _body(rule: HostRule) -> bytes:
    source = 0 if rule.src is None else rule.src.prefix
    body = _RULE.pack(FAMILIES[rule.dst.version], rule.dst.prefix, source, 0, 0, _TO_TABLE, 0)
    body += attribute(_TABLE, _NUMBER.pack(TABLE))
    body += attribute(_DST, rule.dst.address.packed)
    if rule.src is not None:
        body += attribute(_SRC, rule.src.address.packed)
    if rule.iif is not None:
        body += attribute(_IIF, rule.iif.encode() + b"\0")
    return body


def is_of_table(message: bytes) -> bool:
    """Return whether a message is of a rule that looks packets up in the agent's table."""
    if len(message) < _RULE.size:
        return False
    _, _, _, _, table, action, _ = _RULE.unpack_from(message)
    raw = attributes(message[_RULE.size :]).get(_TABLE, b"")
    number: int = _NUMBER.unpack(raw)[0] if len(raw) == _NUMBER.size else table
    return (action, number) == (_TO_TABLE, TABLE)


def _rule(message: bytes) -> HostRule | None:
    """Return the rule of a message; None if it selects by anything else too."""
    _, to, source, service, _, _, flags = _RULE.unpack_from(message)
    found = attributes(message[_RULE.size :])
    suppressed = found.get(_SUPPRESS, _NO_SUPPRESSION) != _NO_SUPPRESSION
    if service or flags & ~_DETACHED or suppressed or not found.keys() <= _PLAIN:
        return None
    dst, src = read_address(found.get(_DST, b"")), read_address(found.get(_SRC, b""))
    if dst is None:
        return None
    iif = found.get(_IIF)
    return HostRule(
        Cidr(dst, to),
        None if src is None else Cidr(src, source),
        None if iif is None else iif.rstrip(b"\0").decode("utf-8", "replace"),
    )
