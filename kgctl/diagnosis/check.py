"""The list of all rules, their pages, and the check of a cluster.

The pages are files in ``pages`` beside this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.diagnosis.facts import Facts
from kgctl.diagnosis.finding import AnyRule, Finding, Rule
from kgctl.diagnosis.rules import (
    across,
    agents,
    claims,
    cluster,
    grouping,
    locations,
    machines,
    nodes,
    own_agent,
    peers,
    placement,
    reachability,
    trust,
)
from kgctl.diagnosis.rules import annotations as node_annotations

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kgctl.diagnosis.facts import Settings, Subject


_FAMILIES = (
    nodes.RULES,
    node_annotations.RULES,
    claims.RULES,
    grouping.RULES,
    machines.RULES,
    locations.RULES,
    placement.RULES,
    reachability.RULES,
    agents.OF_NODES,
    peers.RULES,
    agents.OF_PEERS,
    cluster.RULES,
    agents.OF_CLUSTER,
    trust.RULES,
)

RULES: tuple[Rule, ...] = tuple(
    sorted((rule for family in _FAMILIES for rule in family), key=lambda rule: rule.code)
)
"""The rules about one cluster, by code."""

ALL_RULES: tuple[AnyRule, ...] = tuple(
    sorted((*RULES, *across.RULES, *own_agent.RULES), key=lambda rule: rule.code)
)
"""All rules, including those about several clusters and about the agent of a node, by code."""

BY_CODE = {rule.code: rule for rule in ALL_RULES}
"""The rules by code, for references to a rule."""


WITHOUT_NODES = frozenset(
    [
        *("KG109", "KG203", "KG215", "KG307", "KG309"),
        *("KG401", "KG402", "KG403", "KG405", "KG406", "KG408", "KG409", "KG412", "KG413", "KG414"),
        *("KG417", "KG418", "KG419", "KG505"),
        *("KG701", "KG702", "KG703", "KG704", "KG705"),
    ]
)
"""The rules about a network that has no nodes; the others are about nodes and their agents."""


def check(subject: Subject, settings: Settings, rules: Iterable[Rule] = RULES) -> list[Finding]:
    """Return the findings, rule by rule. The work grows as n log n with nodes and peers."""
    facts = Facts(subject, settings)
    if facts.state.network is not None:
        rules = [rule for rule in rules if rule.code in WITHOUT_NODES]
    return [Finding(rule.code, rule.severity, *one) for rule in rules for one in rule.find(facts)]


def page_of(rule: AnyRule) -> str:
    """Return the page of a rule, in Markdown."""
    from importlib.resources import files  # 10 ms, for pages alone

    return files("kgctl.diagnosis").joinpath("pages", f"{rule.code}.md").read_text("utf-8")


def index() -> str:
    """Return all rules as a table in Markdown, each with a link to its page from ``docs/``."""
    lines = ["| code | severity | name | |", "|---|---|---|---|"]
    lines += [
        f"| [{rule.code}](../kgctl/diagnosis/pages/{rule.code}.md) | {rule.severity} "
        f"| `{rule.name}` | {rule.summary} |"
        for rule in ALL_RULES
    ]
    return "".join(f"{line}\n" for line in lines)
