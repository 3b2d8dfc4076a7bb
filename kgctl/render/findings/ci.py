"""Findings for CI systems: SARIF, JUnit, and GitHub's workflow commands."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from kgctl.diagnosis.check import page_of
from kgctl.diagnosis.finding import SEVERITIES
from kgctl.mesh.text import printable
from kgctl.render.findings.formats import object_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.diagnosis.finding import AnyRule, Finding
    from kgctl.diagnosis.report import Report

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_INFORMATION = "https://kilo.squat.ai/"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
_LIMIT = 2000


def to_sarif(report: Report) -> str:
    """Return a SARIF 2.1.0 log; findings ignored by annotation are suppressed results.

    A finding has the file and line of its object. Code scanning shows no result without a file, so
    objects of a live cluster get substitutes: ``live-cluster/node/NAME``.
    """
    from kgctl import __version__
    from kgctl.kube.codec.structured import to_json

    index = {rule.code: number for number, rule in enumerate(report.rules)}
    results = [_result(finding, index) for finding in report.findings]
    results += [
        {**_result(finding, index), "suppressions": [{"kind": "external"}]}
        for finding in report.ignored
    ]
    driver = {
        "name": "kgctl",
        "informationUri": _INFORMATION,
        "semanticVersion": __version__,
        "rules": [_sarif_rule(rule) for rule in report.rules],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": "kgctl-check/"},
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return to_json({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _sarif_rule(rule: AnyRule) -> dict[str, Any]:
    page = page_of(rule)
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": _section(page, "What it means")},
        "help": {"text": page, "markdown": page},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": ["kilo", "wireguard", rule.name]},
    }


def _section(page: str, title: str) -> str:
    """Return the text below a heading of a rule's page."""
    _, _, after = page.partition(f"\n## {title}\n")
    return after.partition("\n## ")[0].strip()


def _result(finding: Finding, index: dict[str, int]) -> dict[str, Any]:
    name = object_of(finding)
    return {
        "ruleId": finding.code,
        "ruleIndex": index[finding.code],
        "level": _LEVELS[finding.severity],
        "message": {"text": _whole(finding)},
        "locations": [
            {
                "physicalLocation": _physical(finding),
                "logicalLocations": [{"fullyQualifiedName": name, "kind": "resource"}],
            }
        ],
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(finding)},
    }


def _physical(finding: Finding) -> dict[str, Any]:
    """Return file and region; the region is a whole line, since columns are unknown."""
    place = finding.place
    uri = _stand_in(finding) if place is None else _uri(place.file)
    line = place.line if place is not None and place.line else 1
    return {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}


def _stand_in(finding: Finding) -> str:
    """Return the stable relative URI that represents an object of a live cluster."""
    parts = (finding.cluster, finding.kind, finding.name)
    return "/".join(("live-cluster", *(quote(part, safe="") for part in parts if part)))


def _uri(file: str) -> str:
    """Return a file's URI: relative if the file is below the working directory."""
    path = PurePath(file)
    if path.is_absolute():
        below = Path.cwd()
        if not path.is_relative_to(below):
            return Path(path).as_uri()
        path = path.relative_to(below)
    return quote(PurePosixPath(os.path.normpath(path)).as_posix())


def _fingerprint(finding: Finding) -> str:
    """Return a hash that is stable across runs, by which code scanning tracks a finding."""
    parts = (finding.code, finding.cluster, finding.kind, finding.name, finding.sentence)
    digest = sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{digest[:16]}:1"


def to_junit(report: Report, limit: str) -> str:
    """Return JUnit XML: one test case per rule, which fails if it has findings.

    ``limit`` is the lowest severity that fails a case; less severe findings become the case's
    output.
    """
    from xml.etree import ElementTree

    by_code: dict[str, list[Finding]] = {rule.code: [] for rule in report.rules}
    for finding in report.findings:
        by_code[finding.code].append(finding)
    failing = SEVERITIES[: SEVERITIES.index(limit) + 1]
    failed = sum(1 for rule in report.rules if by_code[rule.code] and rule.severity in failing)
    counts = {"name": "kgctl check", "tests": str(len(by_code)), "failures": str(failed)}
    suite = ElementTree.Element("testsuite", counts)
    for rule in report.rules:
        name = f"{rule.code} {rule.name}"
        case = ElementTree.SubElement(suite, "testcase", classname="kgctl.check", name=name)
        found = "\n".join(map(_whole, by_code[rule.code]))
        if not found:
            continue
        if rule.severity in failing:
            attributes = {"type": rule.severity, "message": rule.summary}
            ElementTree.SubElement(case, "failure", attributes).text = found
        else:
            ElementTree.SubElement(case, "system-out").text = f"{rule.severity}: {found}"
    ElementTree.indent(suite)
    text = ElementTree.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def to_github(report: Report) -> str:
    """Return a workflow command for each finding; GitHub shows it with the run, or in the file.

    The file is relative to the working directory, which must be that of the repository.
    """
    return "".join(
        f"::{_COMMANDS[one.severity]} {','.join(_properties(one))}::{_data(_whole(one))}\n"
        for one in report.findings
    )


def _properties(finding: Finding) -> Iterator[str]:
    if finding.place is not None:
        yield f"file={_property(printable(unquote(_uri(finding.place.file)), _LIMIT))}"
        if finding.place.line:
            yield f"line={finding.place.line}"
    yield f"title={_property(f'{finding.code} {object_of(finding)}')}"


def _whole(finding: Finding) -> str:
    text = f"{finding.sentence}. It breaks: {finding.consequence}. Do: {finding.remedy}"
    return f"{object_of(finding)}: {printable(text, _LIMIT)}"


def _data(text: str) -> str:
    """Escape the message of a workflow command, as GitHub's toolkit does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape a property of a workflow command, as GitHub's toolkit does."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
