"""``kgctl explain [RULE]``: print the page of a rule, or a list of all rules."""

from __future__ import annotations

from typing import Annotated

import typer

from kgctl.cli.core.output import answer
from kgctl.cli.core.shared import Shared, with_shared

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def _complete_rule(incomplete: str) -> list[tuple[str, str]]:
    from kgctl.diagnosis.check import ALL_RULES

    begun = incomplete.upper()
    return [(rule.code, rule.summary) for rule in ALL_RULES if rule.code.startswith(begun)]


@app.command()
@with_shared
def explain(
    shared: Shared,
    rule: Annotated[
        str | None,
        typer.Argument(
            metavar="RULE",
            help="The code or name of the rule. Default: list all rules.",
            autocompletion=_complete_rule,
        ),
    ] = None,
) -> None:
    """Print the page of a rule of check: what it means, why it matters, how to fix it."""
    from kgctl.diagnosis.check import ALL_RULES, page_of
    from kgctl.diagnosis.report import rule_named

    if rule is not None:
        answer(page_of(rule_named(rule)))
        return
    answer("".join(f"{one.code}  {one.severity:7}  {one.summary}\n" for one in ALL_RULES))
