"""The report of a check: chosen rules, and findings that objects ask to ignore."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.diagnosis.check import ALL_RULES, RULES, check
from kgctl.diagnosis.finding import (
    NODE,
    PEER,
    SEVERITIES,
    AnyRule,
    Finding,
    LinkRule,
    NodeRule,
    Place,
    Rule,
)
from kgctl.errors import KgctlError
from kgctl.kilo import PREFIX
from kgctl.mesh.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kgctl.diagnosis.facts import Settings, Subject
    from kgctl.diagnosis.node_agent import NodeAgent
    from kgctl.mesh.links import Linked

IGNORE = f"{PREFIX}kgctl-ignore"
"""The annotation of a Node or Peer with the codes of rules to ignore there, comma-separated."""


_COMMANDS = ("kgctl ", "kubectl ")
_EDITORS = ("kubectl edit ",)
"""Prefixes of remedies that are commands for a live cluster; for a file, the remedy is to edit."""


class UnknownRuleError(KgctlError):
    """There is no rule with that code or name."""


class Report(NamedTuple):
    """The result of a check: the findings, and what was not checked.

    ``ignored`` are findings that an annotation of their object ignores.
    """

    findings: tuple[Finding, ...]
    ignored: tuple[Finding, ...]
    rules: tuple[AnyRule, ...]
    unseen: tuple[str, ...] = ()

    def worst(self) -> str | None:
        """Return the highest severity of the findings, or None."""
        found = {finding.severity for finding in self.findings}
        return next((severity for severity in SEVERITIES if severity in found), None)

    def count(self, severity: str) -> int:
        """Return the number of findings with that severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def fails(self, limit: str) -> bool:
        """Return whether a finding has the severity ``limit`` or a higher one."""
        worst = self.worst()
        return worst is not None and SEVERITIES.index(worst) <= SEVERITIES.index(limit)

    def placed(
        self, place_of: Callable[[Finding], Place | None], instead: str = "in a live cluster: "
    ) -> Report:
        """Return the report with the place of each finding, which its remedy names as well.

        ``instead`` stands before the command that does the same as an edit of the file.
        """
        return self._replace(
            findings=tuple(_placed(one, place_of(one), instead) for one in self.findings),
            ignored=tuple(_placed(one, place_of(one), instead) for one in self.ignored),
        )


def _placed(finding: Finding, place: Place | None, instead: str) -> Finding:
    if place is None:
        return finding
    where, remedy = printable(str(place)), finding.remedy
    if remedy.startswith(_EDITORS):
        remedy = f"edit {where}"
    elif remedy.startswith(_COMMANDS):
        remedy = f"edit {where}; {instead}{remedy}"
    else:
        remedy = f"in {where}: {remedy}"
    return finding._replace(place=place, remedy=remedy)


def examine(subject: Subject, settings: Settings, rules: Iterable[Rule] = RULES) -> Report:
    """Check a cluster, and separate the ignored findings; highest severity first."""
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
    kept.sort(key=_weight)
    return Report(tuple(kept), tuple(ignored), chosen, subject.unseen)


def examine_several(
    clusters: Mapping[str, tuple[Subject, Settings]], linked: Linked, rules: Sequence[AnyRule]
) -> Report:
    """Check several clusters, and the links between them; highest severity first.

    ``linked`` has the clusters with a network.
    """
    own = [rule for rule in rules if isinstance(rule, Rule)]
    kept: list[Finding] = []
    ignored: list[Finding] = []
    unseen: list[str] = []
    for name, (subject, settings) in clusters.items():
        report = examine(subject, settings, own)
        kept += [finding._replace(cluster=name) for finding in report.findings]
        ignored += [finding._replace(cluster=name) for finding in report.ignored]
        unseen += [f"{printable(name)}: {what}" for what in report.unseen]
    asked = {
        name: _ignored_codes(subject.peer_annotations) for name, (subject, _) in clusters.items()
    }
    for rule in rules:
        for name, found in rule.find(linked) if isinstance(rule, LinkRule) else ():
            finding = Finding(rule.code, rule.severity, *found, cluster=name)
            passed_over = found.kind == PEER and rule.code in asked[name].get(found.name, ())
            (ignored if passed_over else kept).append(finding)
    kept.sort(key=_weight)
    return Report(tuple(kept), tuple(ignored), tuple(rules), tuple(unseen))


def examine_agents(
    agents: Iterable[NodeAgent],
    rules: Sequence[NodeRule],
    annotations: Mapping[str, Mapping[str, str]],
) -> Report:
    """Check the agents of one machine; ``annotations`` of nodes name findings to ignore."""
    asked = _ignored_codes(annotations)
    kept: list[Finding] = []
    ignored: list[Finding] = []
    unseen: list[str] = []
    for agent in agents:
        unseen += map(printable, agent.unseen)
        for rule in rules:
            for found in rule.find(agent):
                finding = Finding(rule.code, rule.severity, *found)
                passed_over = rule.code in asked.get(found.name, ())
                (ignored if passed_over else kept).append(finding)
    kept.sort(key=_weight)
    return Report(tuple(kept), tuple(ignored), tuple(rules), tuple(unseen))


def _weight(finding: Finding) -> tuple[int, str]:
    return SEVERITIES.index(finding.severity), finding.code


def _ignored_codes(annotations: Mapping[str, Mapping[str, str]]) -> dict[str, frozenset[str]]:
    return {
        name: frozenset(code.strip().upper() for code in texts[IGNORE].split(","))
        for name, texts in annotations.items()
        if IGNORE in texts
    }


def choose_rules(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[AnyRule, ...]:
    """Return the rules of ``select`` (all, if it is empty) except those of ``ignore``.

    A text is the code of a rule, its name, or the beginning of codes: KG3.

    Raises:
        UnknownRuleError: a text names no rule.
    """
    chosen = {rule for text in select for rule in _named(text)} if select else set(ALL_RULES)
    chosen -= {rule for text in ignore for rule in _named(text)}
    return tuple(rule for rule in ALL_RULES if rule in chosen)


def rule_named(text: str) -> AnyRule:
    """Return the rule with that code or name.

    Raises:
        UnknownRuleError: there is no such rule.
    """
    for rule in ALL_RULES:
        if text.upper() == rule.code or text.lower() == rule.name:
            return rule
    raise UnknownRuleError(_unknown(text))


def _named(text: str) -> list[AnyRule]:
    begun = [rule for rule in ALL_RULES if len(text) > 2 and rule.code.startswith(text.upper())]
    return begun or [rule_named(text)]


def _unknown(text: str) -> str:
    known = [*(rule.code for rule in ALL_RULES), *(rule.name for rule in ALL_RULES)]
    wanted = text.upper() if text.upper().startswith("KG") else text.lower()
    near = nearest(wanted, known)
    hint = f'; did you mean "{near}"?' if near else "; kgctl explain lists them"
    return f'there is no rule "{printable(text)}"{hint}'
