"""Reading of the cluster that the shared options name, and the network built from it.

Where that takes longer than a second, a progress bar is shown on stderr, if it is a terminal.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TextIO, cast

from kgctl.cli.core.ahead import Target, ahead
from kgctl.cli.core.arguments import UsageError, within
from kgctl.cli.core.output import note
from kgctl.mesh.endpoint import PORTS
from kgctl.mesh.leader import disputes_in_words
from kgctl.mesh.readiness import clock_trouble, moment
from kgctl.mesh.state import AUTO, GRANULARITIES, NoReadyNodesError, State, viewpoints_of
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from types import TracebackType

    from kgctl.cli.core.shared import Shared
    from kgctl.kube.objects import Advance
    from kgctl.mesh.state import Viewpoints
    from kgctl.mesh.topology import Topology
    from kgctl.state.api_server import ApiServer
    from kgctl.state.interface import Objects, Source


PATIENCE = 1.0
"""Seconds before the progress bar appears."""

_BETWEEN = 0.1  # seconds between two updates


class ProgressBar:
    """Context manager that shows progress.

    ``stream`` defaults to stderr. Nothing is shown unless it is a terminal.
    """

    def __init__(self, what: str, stream: TextIO | None = None, patience: float = PATIENCE) -> None:
        self._what = what
        self._stream = sys.stderr if stream is None else stream
        self._patience = patience
        self._done, self._total = 0, 0
        self._over = Event()
        self._thread = Thread(target=self._show, daemon=True)

    def advance(self, done: int, total: int) -> None:
        """Record that ``done`` of ``total`` is done, in any unit."""
        self._done, self._total = done, total

    def __enter__(self) -> ProgressBar:
        if self._stream.isatty():
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _show(self) -> None:
        if self._over.wait(self._patience):
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        console = Console(file=self._stream)
        with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
            task = progress.add_task(self._what, total=None)
            while not self._over.wait(_BETWEEN):
                progress.update(task, completed=self._done, total=self._total or None)


DEFAULT_PORT = 51820
_BACKEND = "kubernetes"
NEWEST: Literal["newest"] = "newest"
_SNAPSHOT = f"a snapshot in files is judged as of its own time with --at {NEWEST}"

_HELD: dict[str, Any] = {}
"""The last objects read and network built. Freeing a large network takes 20 ms, so it is kept until
the process ends."""


class Reading(NamedTuple):
    """The state of a cluster, the time at which it is judged (Unix seconds), and the granularity.

    ``present`` is the time to which ages are counted, if it differs from ``now``.
    """

    state: State
    now: float
    granularity: str
    from_files: bool = False
    present: float | None = None

    @property
    def clock(self) -> float:
        """The time by which peers expire: unlike ``now``, it goes on while a server is away."""
        return self.now if self.present is None else self.present

    def topology(self, hostname: str | None = None, *, as_reference: bool = False) -> Topology:
        """Build the network, as seen from the node ``hostname``.

        Leaders are those that the agents chose, where that is known. With ``as_reference`` they are
        those of the reference's kgctl, and differences are reported on stderr.

        Raises:
            MeshError: there is no network; the message has the reason.
        """
        topology = _HELD["topology"] = self.viewpoints(as_reference=as_reference).from_node(
            hostname
        )
        return topology

    def viewpoints(self, *, as_reference: bool = False) -> Viewpoints:
        """Build the network once for several points of view; leaders as in ``topology``.

        Raises:
            MeshError: there is no network; the message has the reason.
        """
        try:
            views = viewpoints_of(
                self.state.unexpired(self.clock),
                now=self.now,
                granularity=self.granularity,
                acting_leaders=not as_reference,
            )
        except NoReadyNodesError as error:
            if not self.from_files or not self.state.nodes:
                raise
            raise NoReadyNodesError(f"{error}\n  {_SNAPSHOT}") from None
        for line in disputes_in_words(views.annotated) if as_reference else ():
            note(line)
        return views

    def require_ready_nodes(self) -> None:
        """Make sure that there is a network in which to look up a name.

        Raises:
            NoReadyNodesError: no node is ready; the message has the reason for each node.
        """
        if not self.state.ready_nodes(self.now):
            self.topology()


def read(shared: Shared) -> Reading:
    """Read the cluster that the options name, once.

    Raises:
        UsageError: an option is wrong.
        ClusterError: the state cannot be read.
    """
    import kgctl.state.objects  # noqa: F401 - now, while the API server works on the request

    mesh_granularity(shared)
    listen_port(shared)
    progress = ProgressBar("reading files" if shared.filename else "reading the cluster")
    source = source_of(shared, advance=progress.advance)
    with progress:
        objects = source.read()
    if shared.debug:
        for kind, count in sorted(objects.passed_over.items()):
            note(f"passed over {count} {kind}")
        note(f"read {len(objects.nodes)} nodes and {len(objects.peers)} peers")
    note_unread(objects)
    if not shared.filename and not shared.example:
        note_clock(shared, cast("ApiServer", source).clock_ahead())
    _HELD["objects"] = objects
    return reading_of(shared, objects)


_UNREAD_SHOWN = 3


def note_unread(objects: Objects) -> None:
    """Report on stderr objects that only look like a Node or Peer, and files that were not read.

    Such files lie in a directory, and hold no objects of Kubernetes.
    """
    if objects.passed_over:
        from kgctl.state.manifests import lookalikes

        for one in lookalikes(objects.passed_over):
            note(f"warning: passed over {one}")
    if not objects.unread:
        return
    shown = [f"{label} ({why})" for label, why in list(objects.unread.items())[:_UNREAD_SHOWN]]
    more = len(objects.unread) - len(shown)
    also = f", and {more} more" if more else ""
    files = "1 file" if len(objects.unread) == 1 else f"{len(objects.unread)} files"
    note(f"passed over {files}: {', '.join(shown)}{also}")


def reading_of(shared: Shared, objects: Objects, now: float | None = None) -> Reading:
    """Parse ``objects``, judged as of ``now`` (Unix seconds; default: the time of reading).

    Raises:
        UsageError: an option is wrong.
    """
    from kgctl.state.objects import state_of

    if now is None:
        now = read_at(objects)
    state = state_of(objects, topology_label=shared.location_label)
    moment = time_of(shared, state, now)
    return Reading(state, moment, mesh_granularity(shared), from_files=bool(shared.filename))


def read_at(objects: Objects) -> float:
    """Return when ``objects`` were read, in Unix seconds; call it before they are parsed.

    Parsing thousands of nodes takes seconds, which must not count as the age of a heartbeat.
    """
    return objects.read_at or time.time()


def note_clock(shared: Shared, ahead: float | None) -> None:
    """Warn on stderr if this host's clock differs from the API server's and judges heartbeats.

    ``ahead`` is in seconds, negative if the clock is behind, None if unknown.
    """
    trouble = clock_trouble(ahead)
    if trouble and shared.at is None:
        note(f"warning: {trouble}, and heartbeats are judged by it: set it, or give --at TIME")


def require_backend(shared: Shared) -> None:
    """Check the backend.

    Raises:
        UsageError: it is unknown.
    """
    if shared.backend not in (None, _BACKEND):
        raise UsageError(f'--backend "{printable(shared.backend)}" is unknown; give {_BACKEND}')


def source_of(
    shared: Shared, *, interactive: bool = True, advance: Advance | None = None
) -> Source:
    """Return the source that the options name: the example, files or a live cluster.

    Unless ``interactive``, an exec plugin of the kubeconfig must not prompt. ``advance`` gets the
    progress of reading, if it is known.

    Raises:
        UsageError: the options name more than one source.
    """
    require_backend(shared)
    if shared.example and shared.filename:
        raise UsageError("--example and --filename name two sources; give one of them")
    if shared.example:
        from kgctl.state.example import Example

        return Example()
    folder = folder_of(shared)
    if folder is not None:
        from kgctl.state.folder import Folder

        return Folder(folder, advance)
    if shared.filename:
        from kgctl.state.manifests import Manifests

        return Manifests(shared.filename, advance)
    cluster = live_cluster(shared, interactive=interactive)
    cluster.api()  # an exec plugin may prompt for a password here, before progress is shown
    return cluster


def folder_of(shared: Shared) -> Path | None:
    """Return the folder with a network that the options name, or None.

    Raises:
        UsageError: they name other files as well.
    """
    from kgctl.state.network_folder import is_network

    found = [path for path in map(Path, shared.filename or ()) if is_network(path)]
    if found and len(shared.filename or ()) > 1:
        raise UsageError(
            f"{printable(str(found[0]))} is a network, which its folder holds alone: give one -f"
        )
    return found[0] if found else None


def live_cluster(
    shared: Shared, *, interactive: bool = True, every_label: bool = False
) -> ApiServer:
    """Return the live cluster that the options name: not yet connected, or asked ahead.

    Reads only the location label of nodes, unless ``every_label`` is set.
    """
    target = Target.of(shared)
    if interactive and not shared.debug and not every_label:
        asked = ahead.take(target)
        if asked is not None:
            return asked
    return target.server(debug=bool(shared.debug), interactive=interactive, every_label=every_label)


def listen_port(shared: Shared) -> int:
    """Return the nodes' WireGuard port."""
    if shared.port is None:
        return DEFAULT_PORT
    return within("--port", shared.port, PORTS)


def mesh_granularity(shared: Shared) -> str:
    """Return the granularity of the network; ``auto`` is that of the nodes' annotation.

    Raises:
        UsageError: the granularity is unknown.
    """
    granularity = shared.mesh_granularity or AUTO
    if granularity not in GRANULARITIES:
        raise UsageError(
            f'--mesh-granularity "{printable(granularity)}" is unknown; '
            f"give {', '.join(GRANULARITIES[:-1])} or {GRANULARITIES[-1]}"
        )
    return granularity


def time_of(shared: Shared, state: State, now: float) -> float:
    """Return the time, in Unix seconds, as of which the options judge heartbeats."""
    return moment(judged_at(shared), (node.last_seen for node in state.nodes), now)


def judged_at(shared: Shared) -> float | Literal["newest"] | None:
    """Return the value of ``--at`` in Unix seconds.

    ``NEWEST`` stands for the time of the newest heartbeat, None for the present.

    Raises:
        UsageError: ``--at`` is not a time.
    """
    if shared.at == NEWEST:
        return NEWEST
    if shared.at is not None:
        return _parsed_time(shared.at)
    if shared.example:
        from kgctl.state.example import TAKEN_AT

        return TAKEN_AT
    return None


def _parsed_time(text: str) -> float:
    if text.isascii() and text.isdigit() and len(text) <= 12:
        return float(text)
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f'--at "{printable(text)}" is not a time; give RFC 3339 (2026-01-31T12:00:00Z), '
            f"Unix seconds, or {NEWEST}"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
