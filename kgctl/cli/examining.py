"""Reading what ``kgctl check`` looks at: a live cluster, files, or files laid over a cluster."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from kgctl.cli.arguments import UsageError
from kgctl.cli.reading import listen_port, live_cluster, mesh_granularity, source_of, time_of
from kgctl.cli.waiting import Waiting

if TYPE_CHECKING:
    from kgctl.cli.shared import Shared
    from kgctl.cluster.evidence import Evidence
    from kgctl.diagnosis.subject import Subject


class Examined(NamedTuple):
    """What was read, the time at which it is judged (Unix seconds), and the granularity."""

    subject: Subject
    now: float
    granularity: str


def examined(shared: Shared, *, live: bool) -> Examined:
    """Read what the options name; with ``live``, files are laid over the live cluster.

    Raises:
        UsageError: an option is wrong.
        ClusterError: the state cannot be read.
    """
    from kgctl.cluster.interface import TOPOLOGY_LABEL

    granularity = mesh_granularity(shared)
    listen_port(shared)
    if live and shared.example:
        raise UsageError("--example and --live name two sources of state; give one of them")
    evidence = _evidence(shared, live=live)
    subject = evidence.subject(topology_label=shared.topology_label or TOPOLOGY_LABEL)
    return Examined(subject, time_of(shared, subject.state, time.time()), granularity)


def _evidence(shared: Shared, *, live: bool) -> Evidence:
    if not shared.filename and not shared.example:
        return _from_cluster(shared)
    files = _from_files(shared)
    return files.over(_from_cluster(shared)) if live else files


def _from_files(shared: Shared) -> Evidence:
    from kgctl.cluster.evidence import evidence_of

    waiting = Waiting("reading files")
    source = source_of(shared, advance=waiting.advance)
    with waiting:
        return evidence_of(source.read())


def _from_cluster(shared: Shared) -> Evidence:
    from kgctl.cluster.evidence import read_evidence

    cluster = live_cluster(shared)
    cluster.api()  # an exec plugin may ask for a password here, before progress is shown
    with Waiting("reading the cluster"):
        return read_evidence(cluster)
