"""``kgctl check``: find problems of the network, and how to fix them.

Findings about a cluster read from files get the file and line of their object.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from kgctl.cli.core.choices import format_named, format_option
from kgctl.cli.core.limits import Accept, LimitOptions, warn_of_unknown
from kgctl.cli.core.output import answer, note, on_terminal
from kgctl.cli.core.shared import Shared, of_several, with_shared
from kgctl.render.findings.formats import FINDINGS_FORMATS, TABLE, Terms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kgctl.diagnosis.facts import Settings, Subject
    from kgctl.diagnosis.finding import AnyRule, Finding, NodeRule, Place, Rule
    from kgctl.diagnosis.report import Report
    from kgctl.mesh.policy import Limits
    from kgctl.render.findings.formats import FindingsFormat


_SMALL = 2_000_000
"""Bytes of files that are searched for line numbers in every format; that takes less than 0.2 s."""


class Files(NamedTuple):
    """The files of one cluster, and the cluster read from them."""

    names: Sequence[str]
    subject: Subject
    settings: Settings


def with_places(report: Report, files: Mapping[str, Files], *, every_size: bool) -> Report:
    """Return the report with the file and line of each finding whose cluster was read from files.

    ``files`` has the files by the cluster's name in the findings, which is "" for a single cluster.
    A finding about a location gets the place of its leader, one about the whole cluster gets the
    first file. Line numbers need a second reading of the files, so large files are searched only
    with ``every_size``.

    Raises:
        ClusterError: a file can no longer be read.
    """
    if not files or not (report.findings or report.ignored):
        return report
    searched = {name: _Searched(one, every_size=every_size) for name, one in files.items()}

    def place_of(finding: Finding) -> Place | None:
        found = searched.get(finding.cluster)
        return None if found is None else found.place_of(finding)

    alone = any(one.subject.state.network is not None for one in files.values())
    return report.placed(place_of, "or: " if alone else "in a live cluster: ")


class _Searched:
    """The places in the files of one cluster."""

    def __init__(self, files: Files, *, every_size: bool) -> None:
        from kgctl.state.manifest_files import STDIN
        from kgctl.state.object_places import object_places

        self._files = files
        self._named = [name for name in files.names if name != STDIN]
        search = every_size or _size_of(self._named) <= _SMALL
        self._places = object_places(self._named) if search else {}
        self._leaders: dict[str, str] | None = None

    def place_of(self, finding: Finding) -> Place | None:
        """Return the place of the finding's object, or None if no file holds it."""
        from kgctl.diagnosis.finding import CLUSTER, LOCATION, NODE, Place

        if finding.kind == CLUSTER:
            first = next(iter(self._places.values()), None)  # for a directory, a file in it
            return Place(first.file) if first else None
        kind, name = finding.kind, finding.name
        if kind == LOCATION:
            kind, name = NODE, self._leader_of(name)
        return self._places.get((kind, name))

    def _leader_of(self, segment: str) -> str:
        if self._leaders is None:
            from kgctl.diagnosis.facts import Facts

            facts = Facts(self._files.subject, self._files.settings)
            self._leaders = {one.name: one.leader.name for one in facts.segments}
        return self._leaders.get(segment, "")


def _size_of(names: Sequence[str]) -> int:
    from kgctl.state.manifest_files import manifest_files

    files = (file.path for name in names for file in manifest_files(name))
    return sum(Path(path).stat().st_size for path in files if path.is_file())


class Severity(StrEnum):
    """The lowest severity of a finding that makes the exit code 1."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


app = typer.Typer(add_completion=False, rich_markup_mode=None)
_Codes = list[str] | None


@app.command()
@with_shared
@of_several
def check(
    shared: Shared,
    live: Annotated[
        bool,
        typer.Option("--live", help="Check the live cluster with the -f files applied to it."),
    ] = False,
    node_agent: Annotated[
        bool,
        typer.Option(
            "--node-agent", help="Check the kgctl agent of this machine instead of the cluster."
        ),
    ] = False,
    select: Annotated[
        _Codes, typer.Option(metavar="CODES", help="Run only these rules: KG001,KG3. Repeatable.")
    ] = None,
    ignore: Annotated[
        _Codes, typer.Option(metavar="CODES", help="Skip these rules. Repeatable.")
    ] = None,
    fail_on: Annotated[
        Severity | None,
        typer.Option(
            help="The lowest severity that makes the exit code 1. Default: error.",
            show_default=False,
        ),
    ] = None,
    service_cidr: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR",
            help="A service network of the cluster; with several, CLUSTER=CIDR. Repeatable.",
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The settings file. Default: kgctl.toml or pyproject.toml in this directory.",
        ),
    ] = None,
    accept: Accept = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not resolve the names of endpoints.")
    ] = False,
    output: Annotated[str, format_option(FINDINGS_FORMATS, "The output format.")] = TABLE.name,
) -> None:
    """Find problems of the network, what they break, and how to fix them.

    Exit code 0: no finding reaches the severity --fail-on. 1: at least one does. 2: the cluster
    could not be checked.
    """
    from kgctl.cli.core.settings import CheckSettings, settings_file
    from kgctl.diagnosis.report import choose_rules

    given = CheckSettings(select, ignore, fail_on and fail_on.value, service_cidr, offline or None)
    file = settings_file(config)
    settings = given.over(file.check())
    rules = choose_rules(settings.codes(settings.select), settings.codes(settings.ignore))
    limit = settings.fail_on or Severity.ERROR
    if node_agent:
        from kgctl.cli.commands.check_node import checked_agents

        report = checked_agents(shared, _of_agent(rules))
        _answer(report, format_named(FINDINGS_FORMATS, output), limit)
        return
    options = LimitOptions(accept=accept).over_settings(file)
    outside = _Outside(shared, rules, options.limits(), offline=bool(settings.offline))
    if shared.several:
        checked = _checked_several(shared, live, rules, settings.service_cidrs or (), outside)
    else:
        checked = _checked(shared, live, _of_one(rules), settings.service_cidrs or (), outside)
    chosen = format_named(FINDINGS_FORMATS, output)
    report = with_places(checked.report, checked.files, every_size=chosen.places)
    warn_of_unknown(outside.limits, outside.names)
    _answer(report, chosen, limit)


def _answer(report: Report, chosen: FindingsFormat, limit: str) -> None:
    """Print a report.

    Raises:
        typer.Exit: a finding has the severity ``limit`` or a higher one.
    """
    for unseen in report.unseen:
        note(f"not checked: {unseen}")
    answer(chosen.write(report, Terms(limit, _colours())))
    if report.fails(limit):
        raise typer.Exit(1)


class _Outside:
    """Facts from outside a cluster that its findings depend on: limits, and addresses of names.

    Names of endpoints are resolved only if a chosen rule needs them, and never those of the
    example. ``names`` are the names of all nodes and peers of the judged clusters.
    """

    def __init__(
        self, shared: Shared, rules: Sequence[AnyRule], limits: Limits, *, offline: bool
    ) -> None:
        from kgctl.diagnosis.rules.reachability import RULES

        self.limits = limits
        self.names: set[str] = set()
        self._wanted = not shared.example and any(rule in RULES for rule in rules)
        self._offline = offline

    def judged(self, subject: Subject, settings: Settings) -> tuple[Subject, Settings]:
        """Return both with the limits, and with the results of resolving names."""
        from kgctl.cli.commands.agents import names_looked_up

        settings = settings._replace(limits=self.limits)
        self.names |= subject.state.names
        if not self._wanted:
            return subject, settings
        subject, missing = names_looked_up(subject, settings.now, offline=self._offline)
        return subject, settings._replace(missing_names=missing)


class _Checked(NamedTuple):
    """The report, and the files that were checked, by the names of their clusters."""

    report: Report
    files: Mapping[str, Files]


def _of_one(rules: Sequence[AnyRule]) -> list[Rule]:
    """Return the rules about one cluster.

    Raises:
        UsageError: all chosen rules are about something else.
    """
    from kgctl.cli.core.arguments import UsageError
    from kgctl.diagnosis.finding import NodeRule, Rule

    found = [rule for rule in rules if isinstance(rule, Rule)]
    if rules and not found:
        if isinstance(rules[0], NodeRule):
            raise UsageError(f"{rules[0].code} checks the agent of a machine: give --node-agent")
        raise UsageError(
            f"{rules[0].code} checks several clusters together: give --context or --cluster "
            "more than once"
        )
    return found


def _of_agent(rules: Sequence[AnyRule]) -> list[NodeRule]:
    """Return the rules about the agent of a machine.

    Raises:
        UsageError: all chosen rules are about something else.
    """
    from kgctl.cli.core.arguments import UsageError
    from kgctl.diagnosis.finding import NodeRule

    found = [rule for rule in rules if isinstance(rule, NodeRule)]
    if rules and not found:
        raise UsageError(f"{rules[0].code} checks a cluster, not a machine: omit --node-agent")
    return found


def _checked_several(
    shared: Shared,
    live: bool,
    rules: Sequence[AnyRule],
    service_cidrs: Sequence[str],
    outside: _Outside,
) -> _Checked:
    from kgctl.cli.commands.evidence import examined_several
    from kgctl.cli.core.arguments import UsageError
    from kgctl.cli.core.clusters import chosen_clusters, networks_of_clusters
    from kgctl.diagnosis.facts import Facts, Settings
    from kgctl.diagnosis.finding import NodeRule
    from kgctl.diagnosis.report import examine_several
    from kgctl.link.peers import link_labels
    from kgctl.mesh.link_rules import Member
    from kgctl.mesh.links import linked

    if live:
        raise UsageError("--live works on one cluster: give one --context or --cluster")
    seen = examined_several(shared)
    networks = networks_of_clusters(service_cidrs, [name for name, _, _ in seen])
    clusters = {}
    members = []
    for name, (subject, now, granularity), _ in seen:
        subject, settings = outside.judged(
            subject, Settings(now, granularity, networks.get(name, ()))
        )
        clusters[name] = subject, settings
        topology = Facts(subject, settings).topology
        if topology is not None:  # else the cluster's own findings have the reason
            members.append(Member(name, subject.state, topology, settings.service_cidrs))
    labels = link_labels({name: peers for name, _, peers in seen})
    files = {
        one.name: Files(one.shared.filename, *clusters[one.name])
        for one in chosen_clusters(shared)
        if one.shared.filename
    }
    about_clusters = [rule for rule in rules if not isinstance(rule, NodeRule)]
    return _Checked(examine_several(clusters, linked(members, labels), about_clusters), files)


def _checked(
    shared: Shared,
    live: bool,
    rules: Sequence[Rule],
    service_cidrs: Sequence[str],
    outside: _Outside,
) -> _Checked:
    from kgctl.cli.commands.evidence import examined, require_some
    from kgctl.cli.core.arguments import cidrs
    from kgctl.diagnosis.facts import Settings
    from kgctl.diagnosis.report import examine

    networks = tuple(cidrs("--service-cidr", service_cidrs))
    subject, now, granularity = examined(shared, live=live)
    if not live:
        require_some(subject, shared.filename)
    subject, settings = outside.judged(subject, Settings(now, granularity, networks))
    files = {"": Files(shared.filename, subject, settings)} if shared.filename else {}
    return _Checked(examine(subject, settings, rules), files)


def _colours() -> dict[str, tuple[str, str]]:
    """Return the escape codes that colour severities; none if the terminal is dumb or NO_COLOR."""
    import os

    if not on_terminal() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return {}
    reset = "\x1b[0m"
    return {
        "error": ("\x1b[31m", reset),
        "warning": ("\x1b[33m", reset),
        "info": ("\x1b[36m", reset),
    }
