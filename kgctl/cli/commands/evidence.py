"""Reading of the state that ``kgctl check`` examines: a cluster, files, or files over a cluster."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.source import (
    ProgressBar,
    listen_port,
    live_cluster,
    mesh_granularity,
    note_clock,
    note_unread,
    read_at,
    source_of,
    time_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kgctl.cli.core.shared import Shared
    from kgctl.diagnosis.facts import Subject
    from kgctl.state.evidence import Evidence


class Examined(NamedTuple):
    """The subject, the time as of which it is judged (Unix seconds), and the granularity."""

    subject: Subject
    now: float
    granularity: str


def examined(shared: Shared, *, live: bool) -> Examined:
    """Read the cluster that the options name; with ``live``, apply files to the live cluster.

    Raises:
        UsageError: an option is wrong.
        ClusterError: the state cannot be read.
    """
    granularity = mesh_granularity(shared)
    listen_port(shared)
    if live and shared.example:
        raise UsageError("--example and --live name two sources; give one of them")
    evidence = as_of(shared, _evidence(shared, live=live))
    note_clock(shared, evidence.clock_ahead)
    now = read_at(evidence.objects)
    subject = evidence.subject(topology_label=shared.location_label)
    return Examined(subject, time_of(shared, subject.state, now), granularity)


def as_of(shared: Shared, evidence: Evidence) -> Evidence:
    """Return the evidence; drop the clock of this machine if the options name another time."""
    return evidence if shared.at is None else evidence._replace(clock_ahead=None)


def examined_several(shared: Shared) -> list[tuple[str, Examined, Sequence[Mapping[str, Any]]]]:
    """Read all clusters that the options name, at once, each with its Peer objects.

    Raises:
        UsageError: an option is wrong.
        ClusterError: a cluster cannot be read; the message names it.
    """
    from kgctl.cli.core.clusters import at_once, chosen_clusters, said_of
    from kgctl.state.evidence import evidence_of, read_evidence
    from kgctl.state.manifests import Manifests

    granularity = mesh_granularity(shared)
    listen_port(shared)
    chosen = chosen_clusters(shared)
    calls: list[Callable[[], Evidence]] = []
    for one in chosen:
        if one.shared.filename:
            files = Manifests(one.shared.filename)
            calls.append(lambda files=files: evidence_of(files.read()))  # type: ignore[misc]
            continue
        with said_of(one.name):
            cluster = live_cluster(one.shared)
            cluster.api()  # an exec plugin may prompt for a password here
        calls.append(lambda cluster=cluster: read_evidence(cluster))  # type: ignore[misc]
    read = at_once([c.name for c in chosen], calls)
    now, found = time.time(), []
    for one, evidence in zip(chosen, read, strict=True):
        note_unread(evidence.objects)
        note_clock(one.shared, evidence.clock_ahead)
        label = shared.location_label
        subject = as_of(one.shared, evidence).subject(topology_label=label)
        with said_of(one.name):
            require_some(subject, one.shared.filename)
            moment = time_of(one.shared, subject.state, evidence.objects.read_at or now)
        found.append((one.name, Examined(subject, moment, granularity), evidence.objects.peers))
    return found


def require_some(subject: Subject, files: Sequence[str] | None) -> None:
    """Make sure that the files, if there are any, held something to check.

    Raises:
        ManifestError: they held nothing, so that "no findings" would be misleading.
    """
    if files and subject.is_empty:
        from kgctl.errors import ManifestError
        from kgctl.mesh.text import printable

        if subject.state.network is not None:
            raise ManifestError(
                f"nothing to check: the network {subject.state.network.name} has no machines yet; "
                "add one with: kgctl peer add NAME"
            )
        read = ", ".join(map(printable, files))
        raise ManifestError(f"nothing to check: there is no Node and no Peer in {read}")


def _evidence(shared: Shared, *, live: bool) -> Evidence:
    if not shared.filename and not shared.example:
        return _from_cluster(shared)
    files = _from_files(shared)
    return files.over(_from_cluster(shared)) if live else files


def _from_files(shared: Shared) -> Evidence:
    from kgctl.state.evidence import evidence_of

    progress = ProgressBar("reading files")
    source = source_of(shared, advance=progress.advance)
    with progress:
        objects = source.read()
    note_unread(objects)
    return evidence_of(objects)


def _from_cluster(shared: Shared) -> Evidence:
    from kgctl.state.evidence import read_evidence

    cluster = live_cluster(shared)
    cluster.api()  # an exec plugin may prompt for a password here, before progress is shown
    with ProgressBar("reading the cluster"):
        return read_evidence(cluster)
