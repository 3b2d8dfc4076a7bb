"""Which findings count: rules that were chosen, and objects that ask to be passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.diagnosis.check import RULES, check
from kgctl.diagnosis.finding import NODE, PEER, SEVERITIES, Finding, Rule
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kgctl.diagnosis.subject import Settings, Subject

IGNORE = "kilo.squat.ai/kgctl-ignore"
"""The annotation of a Node or Peer that names rules, separated by commas, to pass over there."""


class UnknownRuleError(KgctlError):
    """There is no rule by that code or name."""


class Report(NamedTuple):
    """What a look at a cluster came to: what is wrong, and what was not looked at.

    ``ignored`` are findings that an annotation of their object asks to pass over.
    """

    findings: tuple[Finding, ...]
    ignored: tuple[Finding, ...]
    rules: tuple[Rule, ...]
    unseen: tuple[str, ...] = ()

    def worst(self) -> str | None:
        """Return the heaviest severity that was found, or None."""
        found = {finding.severity for finding in self.findings}
        return next((severity for severity in SEVERITIES if severity in found), None)

    def count(self, severity: str) -> int:
        """Return how many findings have that severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def fails(self, limit: str) -> bool:
        """Tell whether a finding weighs as much as ``limit``, or more."""
        worst = self.worst()
        return worst is not None and SEVERITIES.index(worst) <= SEVERITIES.index(limit)


def examine(subject: Subject, settings: Settings, rules: Iterable[Rule] = RULES) -> Report:
    """Look at a cluster, and put aside what its objects ask to pass over; heaviest first."""
    chosen = tuple(rules)
    asked = {
        NODE: _ignored_codes(subject.node_annotations),
        PEER: _ignored_codes(subject.peer_annotations),
    }
    kept: list[Finding] = []
    ignored: list[Finding] = []
    for finding in check(subject, settings, chosen):
        passed_over = finding.code in asked.get(finding.kind, {}).get(finding.name, ())
        (ignored if passed_over else kept).append(finding)
    kept.sort(key=lambda finding: (SEVERITIES.index(finding.severity), finding.code))
    return Report(tuple(kept), tuple(ignored), chosen, subject.unseen)


def _ignored_codes(annotations: Mapping[str, Mapping[str, str]]) -> dict[str, frozenset[str]]:
    return {
        name: frozenset(code.strip().upper() for code in texts[IGNORE].split(","))
        for name, texts in annotations.items()
        if IGNORE in texts
    }


def choose_rules(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[Rule, ...]:
    """Return the rules named by ``select`` (all, if it names none) but for those of ``ignore``.

    A rule is named by its code, its name, or the beginning of its code: KG3.

    Raises:
        UnknownRuleError: a text names no rule.
    """
    chosen = {rule for text in select for rule in _named(text)} if select else set(RULES)
    chosen -= {rule for text in ignore for rule in _named(text)}
    return tuple(rule for rule in RULES if rule in chosen)


def rule_named(text: str) -> Rule:
    """Return the rule of that code or name.

    Raises:
        UnknownRuleError: there is none.
    """
    for rule in RULES:
        if text.upper() == rule.code or text.lower() == rule.name:
            return rule
    raise UnknownRuleError(_unknown(text))


def _named(text: str) -> list[Rule]:
    begun = [rule for rule in RULES if len(text) > 2 and rule.code.startswith(text.upper())]
    return begun or [rule_named(text)]


def _unknown(text: str) -> str:
    known = [*(rule.code for rule in RULES), *(rule.name for rule in RULES)]
    wanted = text.upper() if text.upper().startswith("KG") else text.lower()
    near = nearest(wanted, known)
    hint = f'; did you mean "{near}"?' if near else "; kgctl explain lists them"
    return f'there is no rule "{printable(text)}"{hint}'
