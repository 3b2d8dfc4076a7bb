"""Reading the state that the shared options name, and building the network from it.

A progress bar on stderr, on a terminal, for what takes longer than a second.
"""

from __future__ import annotations

import sys
import time
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TextIO, cast

from kgctl.cli.core.ahead import Target, ahead
from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import note
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
"""Seconds that pass before anything is shown."""

_BETWEEN = 0.1  # seconds between two looks at how far it has come


class ProgressBar:
    """Shows how far something has come, while the context lasts.

    ``stream`` stands for stderr. Where it is no terminal, nothing is shown, ever.
    """

    def __init__(self, what: str, stream: TextIO | None = None, patience: float = PATIENCE) -> None:
        self._what = what
        self._stream = sys.stderr if stream is None else stream
        self._patience = patience
        self._done, self._total = 0, 0
        self._over = Event()
        self._thread = Thread(target=self._show, daemon=True)

    def advance(self, done: int, total: int) -> None:
        """Take note that ``done`` of ``total`` is done, in any unit."""
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
"""What was read and built last: to take a large network apart before the end takes longer (20 ms)
than to let it go with the process."""


class Reading(NamedTuple):
    """What was read, the time at which it is judged (Unix seconds), and how to look at it.

    ``present`` is the time that ages are counted to, where that is another.
    """

    state: State
    now: float
    granularity: str
    from_files: bool = False
    present: float | None = None

    def topology(self, hostname: str | None = None, *, as_reference: bool = False) -> Topology:
        """Build the network, as seen from the side of the node ``hostname``.

        Its leaders are those that the agents chose, as far as that is known; ``as_reference``
        makes them those of the reference's kgctl, and says on stderr where the two differ.

        Raises:
            MeshError: there is no network; the message says why.
        """
        topology = _HELD["topology"] = self.viewpoints(as_reference=as_reference).from_node(
            hostname
        )
        return topology

    def viewpoints(self, *, as_reference: bool = False) -> Viewpoints:
        """Build the network once, to be seen from several nodes, with leaders as ``topology`` has.

        Raises:
            MeshError: there is no network; the message says why.
        """
        try:
            views = viewpoints_of(
                self.state,
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
        """Make sure that there is a network to look for a name in.

        Raises:
            NoReadyNodesError: no node is ready; it says of each node why.
        """
        if not self.state.ready_nodes(self.now):
            self.topology()


def read(shared: Shared) -> Reading:
    """Read the cluster once, from where the options say.

    Raises:
        UsageError: an option is wrong.
        ClusterError: the state cannot be read.
    """
    import kgctl.state.objects  # noqa: F401 - now, while the API server works on what was asked

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
    """Note on stderr what looks like a Node or Peer but is not one, and which files were not read.

    Those are files of a directory that hold no objects of Kubernetes.
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
    """Return what ``objects`` say, judged as of ``now`` (Unix seconds), the default the present.

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

    Parsing thousands of nodes takes seconds, in which no heartbeat gets older.
    """
    return objects.read_at or time.time()


def note_clock(shared: Shared, ahead: float | None) -> None:
    """Warn on stderr of a clock that is ``ahead`` of the API server's, where it judges heartbeats.

    ``ahead`` is in seconds, negative if behind; None is not known.
    """
    trouble = clock_trouble(ahead)
    if trouble and shared.at is None:
        note(f"warning: {trouble}, and heartbeats are judged by it: set it, or give --at TIME")


def source_of(
    shared: Shared, *, interactive: bool = True, advance: Advance | None = None
) -> Source:
    """Return the source of state that the options name: the example, files or a live cluster.

    Unless ``interactive``, an exec plugin of the kubeconfig may not ask anything. ``advance`` is
    told how far reading has come, where that is known.

    Raises:
        UsageError: the options name more than one.
    """
    if shared.backend not in (None, _BACKEND):
        raise UsageError(f'--backend "{printable(shared.backend)}" is unknown; it is {_BACKEND}')
    if shared.example and shared.filename:
        raise UsageError("--example and --filename name two sources of state; give one of them")
    if shared.example:
        from kgctl.state.example import Example

        return Example()
    if shared.filename:
        from kgctl.state.manifests import Manifests

        return Manifests(shared.filename, advance)
    cluster = live_cluster(shared, interactive=interactive)
    cluster.api()  # an exec plugin may ask for a password here, before progress is shown
    return cluster


def live_cluster(
    shared: Shared, *, interactive: bool = True, every_label: bool = False
) -> ApiServer:
    """Return the live cluster that the options name; nothing is connected yet, or it is asked.

    Of nodes' labels only that of the location is read, unless ``every_label`` is wanted.
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
    if not 1 <= shared.port <= 65535:
        raise UsageError(f"--port {shared.port} is no port; give one from 1 to 65535")
    return shared.port


def mesh_granularity(shared: Shared) -> str:
    """Return the granularity to draw the network in; ``auto`` asks a node.

    Raises:
        UsageError: there is no such granularity.
    """
    granularity = shared.mesh_granularity or AUTO
    if granularity not in GRANULARITIES:
        raise UsageError(
            f'--mesh-granularity "{printable(granularity)}" is unknown; '
            f"give {', '.join(GRANULARITIES[:-1])} or {GRANULARITIES[-1]}"
        )
    return granularity


def time_of(shared: Shared, state: State, now: float) -> float:
    """Return the time, in Unix seconds, at which the options have heartbeats judged."""
    return moment(judged_at(shared), (node.last_seen for node in state.nodes), now)


def judged_at(shared: Shared) -> float | Literal["newest"] | None:
    """Return the time, in Unix seconds, at which the options have heartbeats judged.

    ``NEWEST`` is that of the newest heartbeat, None the present.

    Raises:
        UsageError: it is no time.
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
