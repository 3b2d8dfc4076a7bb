"""Findings for the machines of CI: SARIF, JUnit, and the workflow commands of GitHub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgctl.mesh.text import printable
from kgctl.render.findings import object_of

if TYPE_CHECKING:
    from kgctl.diagnosis.finding import AnyRule, Finding
    from kgctl.diagnosis.report import Report

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
_LIMIT = 2000


def to_sarif(report: Report) -> str:
    """Return a SARIF 2.1.0 log; what an annotation passed over is there as suppressed."""
    from kgctl import __version__
    from kgctl.render.structured import to_json

    index = {rule.code: number for number, rule in enumerate(report.rules)}
    results = [_result(finding, index) for finding in report.findings]
    results += [
        {**_result(finding, index), "suppressions": [{"kind": "external"}]}
        for finding in report.ignored
    ]
    driver = {
        "name": "kgctl",
        "semanticVersion": __version__,
        "rules": [_sarif_rule(rule) for rule in report.rules],
    }
    run = {"tool": {"driver": driver}, "results": results}
    return to_json({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _sarif_rule(rule: AnyRule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(finding: Finding, index: dict[str, int]) -> dict[str, Any]:
    name = object_of(finding)
    return {
        "ruleId": finding.code,
        "ruleIndex": index[finding.code],
        "level": _LEVELS[finding.severity],
        "message": {"text": _whole(finding)},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": name, "kind": "resource"}]}],
    }


def to_junit(report: Report) -> str:
    """Return JUnit XML: a test case a rule, which fails when the rule found something."""
    from xml.etree import ElementTree

    by_code: dict[str, list[Finding]] = {rule.code: [] for rule in report.rules}
    for finding in report.findings:
        by_code[finding.code].append(finding)
    failed = sum(1 for found in by_code.values() if found)
    counts = {"name": "kgctl check", "tests": str(len(by_code)), "failures": str(failed)}
    suite = ElementTree.Element("testsuite", counts)
    for rule in report.rules:
        name = f"{rule.code} {rule.name}"
        case = ElementTree.SubElement(suite, "testcase", classname="kgctl.check", name=name)
        if found := by_code[rule.code]:
            attributes = {"type": rule.severity, "message": rule.summary}
            failure = ElementTree.SubElement(case, "failure", attributes)
            failure.text = "\n".join(map(_whole, found))
    ElementTree.indent(suite)
    text = ElementTree.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def to_github(report: Report) -> str:
    """Return a workflow command for each finding; GitHub shows it beside the run."""
    return "".join(
        f"::{_COMMANDS[one.severity]} title={_property(f'{one.code} {object_of(one)}')}"
        f"::{_data(_whole(one))}\n"
        for one in report.findings
    )


def _whole(finding: Finding) -> str:
    text = f"{finding.sentence}. It breaks: {finding.consequence}. Do: {finding.remedy}"
    return f"{object_of(finding)}: {printable(text, _LIMIT)}"


def _data(text: str) -> str:
    """Escape the message of a workflow command, as GitHub's toolkit does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape a property of a workflow command, as GitHub's toolkit does."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
