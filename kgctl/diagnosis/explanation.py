"""The pages of the rules, which are files beside this module."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from kgctl.diagnosis.check import ALL_RULES

if TYPE_CHECKING:
    from kgctl.diagnosis.finding import AnyRule


def page_of(rule: AnyRule) -> str:
    """Return the page of a rule, in Markdown."""
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
