"""``--watch``: keep a file or a terminal up to date with the cluster."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.hints import message
from kgctl.cli.core.output import note, on_terminal, warn_of_others
from kgctl.cli.core.source import Reading, reading_of, source_of, time_of
from kgctl.errors import ForbiddenError, KgctlError
from kgctl.files.atomic import check_lasting, write_private
from kgctl.mesh.readiness import age
from kgctl.mesh.text import printable
from kgctl.state.follow import Inbox, Once, end_at_signals, follow, until_tick

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console, RenderableType

    from kgctl.cli.core.shared import Shared
    from kgctl.errors import ClusterError
    from kgctl.state.api_server import ApiServer
    from kgctl.state.feeds import Snapshot
    from kgctl.state.interface import Objects, Source


_STDIN = "-"


def keep_up_to_date(
    shared: Shared, file: Path, content: Callable[[Reading], bytes], interval: int
) -> None:
    """Write ``file`` now, and again whenever its ``content`` changes, until a signal.

    A live cluster is watched; files are read every ``interval`` seconds, and so is a cluster that
    does not allow watching.

    Raises:
        KgctlError: the first write fails; later errors are only reported.
    """
    check_lasting(file)
    warn_of_others(file)
    upkeep = _FileUpkeep(file, content)
    watch(shared, upkeep, interval)
    note(f"stopped watching; {upkeep.label} stays as it is")


def watch(shared: Shared, upkeep: Upkeep, interval: int, between_looks: int | None = None) -> None:
    """Run ``upkeep`` at every change, until a signal.

    It also runs every ``interval`` seconds without a change. Files are read every
    ``between_looks`` seconds.

    Raises:
        KgctlError: the first write fails; later errors are only reported.
    """
    from kgctl.state.api_server import ApiServer

    if _STDIN in (shared.filename or ()):
        raise UsageError("--watch cannot read stdin again; give a file")
    end_at_signals()
    try:
        source = source_of(shared)
        objects = source.read()
        view = _View(shared, objects)
        upkeep.write(view.at(objects, time.time()))
        if isinstance(source, ApiServer):
            _follow(view, source, upkeep, objects, interval)
        else:
            _poll(view, source, upkeep, objects, between_looks or interval)
    except KeyboardInterrupt:
        return


class Upkeep(ABC):
    """An output that is kept up to date, named ``label`` in messages.

    ``trouble`` is the reason why it may be out of date, and since when; empty if it is not.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.trouble = ""
        self._once = Once(note)

    @property
    def ticks(self) -> bool:
        """Whether it changes with time alone, and has to be written every second."""
        return False

    def write(self, reading: Reading) -> None:
        """Write it if it has changed."""
        self._write(reading)
        if not self.trouble:
            self._once.over()

    @abstractmethod
    def _write(self, reading: Reading) -> None: ...

    def attempt(self, read: Callable[[], Reading]) -> None:
        """Read and write it; report an error once."""
        try:
            self.write(read())
        except KgctlError as error:
            self.stays(error)

    def stays(self, error: KgctlError) -> None:
        """Report once why it may be out of date."""
        self.say(f"{message(error)}; {self.label} stays as it is")

    def say(self, text: str) -> None:
        """Print a text on stderr, unless it was the last one."""
        self._once.tell(text)


class _View:
    """The last objects read, parsed once, as a reading at any time."""

    def __init__(self, shared: Shared, objects: Objects) -> None:
        self._shared = shared
        self._objects = objects
        self._reading = reading_of(shared, objects)

    def at(self, objects: Objects, judged: float, present: float | None = None) -> Reading:
        """Return the reading as of ``judged``, with ages to ``present`` (default: ``judged``).

        A time in the options replaces both.
        """
        if objects is not self._objects:
            self._reading = reading_of(self._shared, objects)
            self._objects = objects
        state = self._reading.state
        return self._reading._replace(
            now=time_of(self._shared, state, judged),
            present=None if present is None else time_of(self._shared, state, present),
        )


class _FileUpkeep(Upkeep):
    """A file that is kept up to date."""

    def __init__(self, file: Path, content: Callable[[Reading], bytes]) -> None:
        super().__init__(printable(str(file)))
        self._file = file
        self._content = content

    def _write(self, reading: Reading) -> None:
        if write_private(self._file, self._content(reading)):
            note(f"wrote {self.label}")


def _follow(
    view: _View, cluster: ApiServer, upkeep: Upkeep, objects: Objects, interval: int
) -> None:
    """Follow the changes of a live cluster, forever.

    A node that falls silent causes no change, so nodes are judged every ``interval`` seconds, or
    every second if ages are shown.
    """
    from kgctl.state.feeds import LiveFeed

    inbox = Inbox()

    def failed(kind: str, error: ClusterError) -> None:
        if isinstance(error, ForbiddenError):
            upkeep.say(f"{message(error)}; polling every {interval} s instead")
        else:
            upkeep.stays(error)
            inbox.changed(kind)

    def look(seen: Snapshot[Objects]) -> None:
        upkeep.trouble = _since("heard", seen)
        upkeep.attempt(lambda: view.at(seen.content, seen.standing.judged, time.time()))

    feed = LiveFeed(
        cluster.api(),
        objects,
        at=time.time(),
        poll=interval,
        changed=inbox.changed,
        failed=failed,
        worded=message,
    )
    follow(feed, look, inbox, pause=_pause(upkeep, interval))


def _poll(view: _View, source: Source, upkeep: Upkeep, objects: Objects, interval: int) -> None:
    """Poll files forever; between reads, write only an output that shows ages."""
    from kgctl.state.feeds import PolledFeed

    inbox = Inbox()

    def look(seen: Snapshot[Objects]) -> None:
        upkeep.trouble = _since("read", seen)
        if upkeep.ticks or not upkeep.trouble:
            upkeep.attempt(lambda: view.at(seen.content, seen.standing.judged))

    feed = PolledFeed(
        source.read,
        objects,
        every=interval,
        changed=inbox.changed,
        failed=upkeep.stays,
        worded=message,
    )
    follow(feed, look, inbox, pause=_pause(upkeep, math.inf), turns=[feed])


def _since(word: str, seen: Snapshot[Objects]) -> str:
    """Return the trouble with a cluster, and how long ago it was last ``heard`` or ``read``."""
    standing = seen.standing
    if not standing.trouble:
        return ""
    return f"last {word} {age(time.time() - standing.heard)} ago: {standing.trouble}"


def _pause(upkeep: Upkeep, interval: float) -> Callable[[float], float]:
    """Return the function from which ``follow`` gets the seconds between two looks."""
    return lambda took: until_tick(took) if upkeep.ticks else interval


_INTERVAL = 10  # seconds: heartbeats age without a change in the cluster
_BETWEEN_LOOKS = 2  # seconds between two reads of files


def redraw(
    shared: Shared, drawing: Callable[[Reading, Console], RenderableType], *, ages: bool
) -> None:
    """Show the ``drawing`` of the cluster, and redraw it at every change, until a signal.

    With ``ages``, it is also redrawn as time passes.

    Raises:
        UsageError: stdout is not a terminal.
        KgctlError: the first read fails; later errors are only reported.
    """
    if not on_terminal():
        raise UsageError("--watch needs a terminal")
    watch(shared, _Screen(drawing, ages=ages), _INTERVAL, _BETWEEN_LOOKS)


class _Screen(Upkeep):
    """A terminal that is kept up to date."""

    def __init__(
        self, drawing: Callable[[Reading, Console], RenderableType], *, ages: bool
    ) -> None:
        super().__init__("the screen")
        from rich.console import Console

        self._console = Console(highlight=False)
        self._drawing = drawing
        self._ages = ages
        self._shown = ""

    @property
    def ticks(self) -> bool:
        """Whether the terminal shows an age."""
        return self._ages or bool(self.trouble)

    def _write(self, reading: Reading) -> None:
        with self._console.capture() as capture:
            self._console.print(self._drawing(reading, self._console))
            if self.trouble:
                from rich.text import Text

                self._console.print(Text(self.trouble, style="yellow"))
        if capture.get() != self._shown:
            self._shown = capture.get()
            self._console.clear()
            self._console.file.write(self._shown)
            self._console.file.flush()
