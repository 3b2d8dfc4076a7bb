"""The formats of findings: the table from which ``kgctl check`` takes its options.

A writer imports what it needs when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kgctl.diagnosis.report import Report


class Terms(NamedTuple):
    """What a writer has to know besides the report.

    ``limit`` is the severity from which on a finding counts as a failure. ``marks`` gives for a
    severity what to print before and after it; it is empty where colours are not wanted.
    """

    limit: str
    marks: Mapping[str, tuple[str, str]] = {}


class FindingsFormat(NamedTuple):
    """A format of findings. ``places``: it has file and line, so that large files are read too."""

    name: str
    write: Callable[[Report, Terms], str]
    places: bool


def _text(report: Report, terms: Terms) -> str:
    from kgctl.render.findings.text import to_text

    return to_text(report, terms.marks)


def _json(report: Report, _terms: Terms) -> str:
    from kgctl.render.findings.text import to_json

    return to_json(report)


def _sarif(report: Report, _terms: Terms) -> str:
    from kgctl.render.findings.ci import to_sarif

    return to_sarif(report)


def _junit(report: Report, terms: Terms) -> str:
    from kgctl.render.findings.ci import to_junit

    return to_junit(report, terms.limit)


def _github(report: Report, _terms: Terms) -> str:
    from kgctl.render.findings.ci import to_github

    return to_github(report)


def _markdown(report: Report, _terms: Terms) -> str:
    from kgctl.render.findings.text import to_markdown

    return to_markdown(report)


TABLE = FindingsFormat("table", _text, places=False)
"""What is printed where no format is asked for."""

FINDINGS_FORMATS = (
    TABLE,
    FindingsFormat("json", _json, places=True),
    FindingsFormat("sarif", _sarif, places=True),
    FindingsFormat("junit", _junit, places=False),
    FindingsFormat("github", _github, places=True),
    FindingsFormat("markdown", _markdown, places=False),
)
"""Every format of findings."""
