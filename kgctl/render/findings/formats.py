"""The table of formats of findings, and the writers of text, JSON and Markdown.

``kgctl check`` takes its options from the table. A writer imports its modules when it is called.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from kgctl.diagnosis.finding import SEVERITIES
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kgctl.diagnosis.finding import Finding
    from kgctl.diagnosis.report import Report


class Terms(NamedTuple):
    """Parameters of a writer besides the report.

    ``limit`` is the lowest severity that counts as a failure. ``marks`` maps a severity to the
    texts before and after it; it is empty without colours.
    """

    limit: str
    marks: Mapping[str, tuple[str, str]] = {}


class FindingsFormat(NamedTuple):
    """A format of findings. ``places``: it shows files and lines, so large files are read too."""

    name: str
    write: Callable[[Report, Terms], str]
    places: bool


def _text(report: Report, terms: Terms) -> str:
    return to_text(report, terms.marks)


def _json(report: Report, _terms: Terms) -> str:
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
    return to_markdown(report)


TABLE = FindingsFormat("table", _text, places=False)
"""The default format."""

FINDINGS_FORMATS = (
    TABLE,
    FindingsFormat("json", _json, places=True),
    FindingsFormat("sarif", _sarif, places=True),
    FindingsFormat("junit", _junit, places=False),
    FindingsFormat("github", _github, places=True),
    FindingsFormat("markdown", _markdown, places=False),
)
"""All formats of findings."""


_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>~&@-])")


def object_of(finding: Finding) -> str:
    """Return the object of a finding: ``node/aws-1``, or ``cluster``.

    With several clusters the cluster's name comes first: ``west/node/aws-1``, ``west``.
    """
    if finding.cluster:
        cluster = printable(finding.cluster)
        return f"{cluster}/{finding.kind}/{printable(finding.name)}" if finding.name else cluster
    return f"{finding.kind}/{printable(finding.name)}" if finding.name else finding.kind


def summary(report: Report) -> str:
    """Return one line with the numbers of findings and of ignored ones."""
    counts = [_counted(report.count(severity), severity) for severity in SEVERITIES]
    found = ", ".join(counted for counted in counts if counted) or "no findings"
    if report.ignored:
        found += f"; {len(report.ignored)} ignored by annotation"
    return found


def _counted(number: int, severity: str) -> str:
    plural = "" if number == 1 or severity == "info" else "s"
    return f"{number} {severity}{plural}" if number else ""


def to_text(report: Report, marks: Mapping[str, tuple[str, str]] = {}) -> str:
    """Return each finding as a line with its sentence, then its consequence and its remedy.

    ``marks`` maps a severity to the texts before and after it: colours, on a terminal.
    """
    lines = []
    for finding in report.findings:
        before, after = marks.get(finding.severity, ("", ""))
        head = f"{finding.code} {before}{finding.severity}{after}"
        lines.append(f"{head} {object_of(finding)}: {finding.sentence}")
        lines += [f"    breaks: {finding.consequence}", f"    do: {finding.remedy}"]
    return "".join(f"{line}\n" for line in [*lines, summary(report)])


def finding_item(finding: Finding) -> dict[str, str | int]:
    """Return a finding as plain data.

    ``cluster`` is present with several clusters, ``file`` if the object was read from a file, and
    ``line`` if it is known.
    """
    texts = {key: value for key, value in finding._asdict().items() if isinstance(value, str)}
    found: dict[str, str | int] = {key: printable(text, 2000) for key, text in texts.items()}
    cluster = found.pop("cluster")
    if finding.place is not None:
        found["file"] = printable(finding.place.file, 2000)
        if finding.place.line:
            found["line"] = finding.place.line
    return {"cluster": cluster, **found} if cluster else found


def to_json(report: Report) -> str:
    """Return the report as one JSON object; its keys are part of the interface."""
    from kgctl.kube.codec.structured import to_json as dump

    return dump(
        {
            "findings": [finding_item(finding) for finding in report.findings],
            "ignored": [finding_item(finding) for finding in report.ignored],
            "summary": {severity: report.count(severity) for severity in SEVERITIES},
            "unseen": list(report.unseen),
        }
    )


def to_markdown(report: Report) -> str:
    """Return a Markdown table for a pull request; texts from the cluster never become markup."""
    lines = [f"**kgctl check**: {summary(report)}"]
    if report.findings:
        lines += ["", "| rule | severity | object | what is wrong | what to do |"]
        lines.append("|---|---|---|---|---|")
    for one in report.findings:
        wrong = _escaped(f"{one.sentence}: {one.consequence}")
        remedy = _escaped(one.remedy)
        subject = _escaped(object_of(one))
        lines.append(f"| {one.code} | {one.severity} | {subject} | {wrong} | {remedy} |")
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    """Return text that GitHub shows verbatim: no markup, no link, no mention of a user."""
    escaped = _SPECIAL.sub(r"\\\1", printable(text, 2000))
    # a backslash prevents neither a link for a bare URL nor a mention for @name
    return escaped.replace("\\@", "&#64;").replace("://", "&#58;//").replace("www.", "www&#46;")
