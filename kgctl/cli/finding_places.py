"""Where the objects of findings stand in the files that ``kgctl check`` read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kgctl.diagnosis.finding import Finding, Place
    from kgctl.diagnosis.report import Report
    from kgctl.diagnosis.subject import Settings, Subject

_SMALL = 2_000_000
"""Bytes of files that are searched for lines whatever the format: less than 0.2 s."""


class Files(NamedTuple):
    """The files of one cluster, and the cluster as it was read from them."""

    names: Sequence[str]
    subject: Subject
    settings: Settings


def with_places(report: Report, files: Mapping[str, Files], *, every_size: bool) -> Report:
    """Return the report with the file and line of each finding whose cluster was read from files.

    ``files`` has those by the name that findings give their cluster; "" is the only one. A finding
    about a location has the place of its leader, one about the whole cluster has the first file.
    Finding the lines means reading the files once more, so large ones are searched only if
    ``every_size`` says that the lines are needed.

    Raises:
        ClusterError: a file cannot be read any more.
    """
    if not files or not (report.findings or report.ignored):
        return report
    searched = {name: _Searched(one, every_size=every_size) for name, one in files.items()}

    def place_of(finding: Finding) -> Place | None:
        found = searched.get(finding.cluster)
        return None if found is None else found.place_of(finding)

    return report.placed(place_of)


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
        """Return where what the finding is about stands, or None if no file holds it."""
        from kgctl.diagnosis.finding import CLUSTER, LOCATION, NODE, Place

        if finding.kind == CLUSTER:
            first = next(iter(self._places.values()), None)  # of a directory, a file in it
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
