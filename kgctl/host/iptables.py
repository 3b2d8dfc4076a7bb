"""The agent's firewall rules through iptables and ip6tables, of either kind (nft or legacy)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from kgctl.errors import HostError, KgctlError
from kgctl.host.firewall import Calls, FirewallRules, has_ipv6, run_program
from kgctl.host.iptables_rules import (
    UnreadableTableError,
    Wanted,
    change_of,
    differences,
    read_rules,
    wanted_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kgctl.host.differences import Difference
    from kgctl.host.firewall import Operation
    from kgctl.host.iptables_rules import State

T = TypeVar("T")

_PREFIXES = {4: "iptables", 6: "ip6tables"}
_KEEPING = ("-n",)  # the rules that are there
_WAIT = ("-w", "5")  # seconds for the lock that other programs hold


class Iptables:
    """The rules of both families; a ``FirewallProgram``.

    One call changes all of a family's rules that differ. ``ipv6`` is whether the system has it.
    """

    def __init__(
        self,
        *,
        ipv6: bool | None = None,
        run: Callable[[Sequence[str], str], str] = run_program,
    ) -> None:
        calls = Calls(run)
        self._calls = calls
        versions = (4, 6) if (has_ipv6() if ipv6 is None else ipv6) else (4,)
        self._families = [_Family(version, calls) for version in versions]

    @property
    def operations(self) -> Mapping[Operation, int]:
        """The number of calls; see ``FirewallProgram``."""
        return self._calls.operations

    def apply(self, rules: FirewallRules, *, whole: bool = True) -> bool:
        """Set the rules; see ``FirewallProgram``."""
        return any(self._each(lambda family: family.apply(rules, whole=whole)))

    def differences(self, rules: FirewallRules) -> list[Difference]:
        """Return how the kernel's rules differ; see ``FirewallProgram``."""
        return [one for found in self._each(lambda each: each.differences(rules)) for one in found]

    def clean_up(self) -> None:
        """Remove the agent's rules and chains; see ``FirewallProgram``."""
        self.apply(FirewallRules())

    def _each(self, step: Callable[[_Family], T]) -> list[T]:
        """Take a step for each family, whatever the other's result; raise the first error then."""
        done, errors = [], []
        for family in self._families:
            try:
                done.append(step(family))
            except KgctlError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return done


class _Family:
    def __init__(self, version: int, calls: Calls) -> None:
        self.version = version
        self._name = f"IPv{version}"
        self._program = _PREFIXES[version]
        self._calls = calls
        self._state: State | None = None
        self._rules: FirewallRules | None = None
        self._wanted = Wanted({}, {}, {})

    def apply(self, rules: FirewallRules, *, whole: bool) -> bool:
        """Set the rules of this family; return whether anything was written."""
        if rules != self._rules:
            # kept, since making it takes longer than to read the rules
            self._rules, self._wanted = rules, wanted_of(rules, self.version)
        elif not whole and self._state is not None:
            return False
        present = None if whole else self._state
        self._state = None  # until this round is through
        return self._mend(self._read() if present is None else present, self._wanted, again=True)

    def differences(self, rules: FirewallRules) -> list[Difference]:
        """Return how the rules of this family differ from these."""
        present = self._read()
        change = change_of(present, wanted_of(rules, self.version))
        return list(differences(present, change, self._name))

    def _mend(self, present: State, wanted: Wanted, *, again: bool) -> bool:
        change = change_of(present, wanted)
        if change.lines:
            try:
                self._restore(change.lines, change.text)
            except HostError:
                # another program may have changed the rules since they were read
                if not again:
                    raise
                return self._mend(self._read(), wanted, again=False)
        self._state = change.after
        return bool(change.lines)

    def _read(self) -> State:
        program = f"{self._program}-save"
        text = self._calls((self._name, "Save", "*", "*"), [program])
        try:
            return read_rules(text)
        except UnreadableTableError as error:
            raise HostError(
                f"{program} cannot read the table {error}, which holds rules of nftables alone: "
                "use nftables for the agent too"
            ) from error

    def _restore(self, tables: Mapping[str, object], text: str) -> None:
        argv = [f"{self._program}-restore", *_KEEPING, *_WAIT]
        operation = (self._name, "Restore", next(iter(tables)) if len(tables) == 1 else "*", "*")
        self._calls(operation, argv, text)
