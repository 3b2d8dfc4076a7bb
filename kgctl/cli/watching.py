"""``--watch``: a file or a screen that follows the cluster, and nothing else."""

from __future__ import annotations

import signal
import threading
import time
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING

from kgctl.cli.arguments import UsageError
from kgctl.cli.hints import message
from kgctl.cli.output import note
from kgctl.cli.reading import Reading, reading_of, source_of, time_of
from kgctl.cli.secret import warn_of_others
from kgctl.files.writing import check_lasting, write_private
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.readiness import age
from kgctl.mesh.text import printable
from kgctl.state.standing import LASTS, Hearing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from kgctl.cli.shared import Shared
    from kgctl.kube.errors import ClusterError
    from kgctl.state.api_server import ApiServer
    from kgctl.state.interface import Objects, Source
    from kgctl.state.standing import Standing

_MOST_PATIENCE = 300.0  # seconds between two looks at files that cannot be read
_GATHER, _MOST_GATHERED = 0.2, 5.0  # seconds in which changes are gathered after one was taken
_TICK = 1.0  # seconds, the least that an age shows
_REST = 4  # times as long as the work: a large cluster's heartbeats never take a whole processor
_STDIN = "-"


def keep_up_to_date(
    shared: Shared, file: Path, content: Callable[[Reading], bytes], interval: int
) -> None:
    """Write ``file`` now, and again whenever its ``content`` changes, until a signal.

    Changes of a live cluster are followed as they happen; files are read every ``interval``
    seconds, and so is a cluster that does not allow watching.

    Raises:
        KgctlError: it cannot be written at all; later errors are said, and lived through.
    """
    check_lasting(file)
    warn_of_others(file)
    upkeep = _FileUpkeep(file, content)
    watch(shared, upkeep, interval)
    note(f"no longer watching; {upkeep.label} stays as it is")


def watch(shared: Shared, upkeep: Upkeep, interval: int, between_looks: int | None = None) -> None:
    """Keep up what ``upkeep`` writes, until a signal.

    It is looked at anew every ``interval`` seconds, changes or not; files every ``between_looks``.

    Raises:
        KgctlError: it cannot be written at all; later errors are said, and lived through.
    """
    from kgctl.state.api_server import ApiServer

    if _STDIN in (shared.filename or ()):
        raise UsageError("--watch reads again and again, and stdin can be read once; give a file")
    end_at_signals()
    try:
        source = source_of(shared)
        view = _View(shared, source.read())
        upkeep.write(view.at(time.time()))
        if isinstance(source, ApiServer):
            _follow(view, source, upkeep, interval)
        else:
            _look(view, source, upkeep, between_looks or interval)
    except KeyboardInterrupt:
        return


class Upkeep(ABC):
    """What is kept up to date, called ``label`` in messages, and what was said of it last.

    ``trouble`` says why it may not be up to date, and since when; it is empty where it is.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.trouble = ""
        self._said = ""

    @property
    def ticks(self) -> bool:
        """Whether it changes with the clock alone, so that it is to be written every second."""
        return False

    def write(self, reading: Reading) -> None:
        """Write it if it is another by now."""
        self._write(reading)
        if not self.trouble:
            self._said = ""

    @abstractmethod
    def _write(self, reading: Reading) -> None: ...

    def attempt(self, read: Callable[[], Reading]) -> bool:
        """Write it if that is possible, else say once why not; return whether it was."""
        try:
            self.write(read())
        except KgctlError as error:
            self.say(f"{message(error)}; {self.label} stays as it is")
            return False
        return True

    def say(self, text: str) -> None:
        """Say something, unless it was the last thing said."""
        if text != self._said:
            note(text)
        self._said = text


class _View:
    """What was read last, at any moment."""

    def __init__(self, shared: Shared, objects: Objects) -> None:
        self._shared = shared
        self._objects: Objects | None = None
        self.take(objects)

    def take(self, objects: Objects) -> None:
        """Look at these objects from now on."""
        self._reading = reading_of(self._shared, objects)

    def at(self, judged: float, present: float | None = None) -> Reading:
        """Return the reading judged at one moment and with ages at another, the default the same.

        Where the options name a time, both are that.
        """
        state = self._reading.state
        return self._reading._replace(
            now=time_of(self._shared, state, judged),
            present=None if present is None else time_of(self._shared, state, present),
        )


class _FileUpkeep(Upkeep):
    """A file."""

    def __init__(self, file: Path, content: Callable[[Reading], bytes]) -> None:
        super().__init__(printable(str(file)))
        self._file = file
        self._content = content

    def _write(self, reading: Reading) -> None:
        if write_private(self._file, self._content(reading)):
            note(f"wrote {self.label}")


def _look(view: _View, source: Source, upkeep: Upkeep, interval: int) -> None:
    """Read the source again and again, less often as long as that fails."""
    pause, seen = float(interval), time.time()
    while True:
        _let_age(view, upkeep, pause, seen)
        try:
            view.take(source.read())
        except KgctlError as error:
            upkeep.say(f"{message(error)}; {upkeep.label} stays as it is")
            upkeep.trouble = message(error)
            pause = min(pause * 2, _MOST_PATIENCE)
            continue
        pause, seen, upkeep.trouble = float(interval), time.time(), ""
        upkeep.attempt(lambda: view.at(time.time()))


def _let_age(view: _View, upkeep: Upkeep, seconds: float, seen: float) -> None:
    """Wait, and have what was read at ``seen`` grow older on the way where that shows."""
    error, end = upkeep.trouble, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if not upkeep.ticks:
            time.sleep(left)
            continue
        began = time.monotonic()
        if error:
            upkeep.trouble = f"last read {age(time.time() - seen)} ago: {error}"
        upkeep.attempt(lambda: view.at(time.time()))
        time.sleep(min(left, _until_tick(time.monotonic() - began)))


class _News:
    """Wakes the main thread when something changes; says what cannot be followed."""

    def __init__(self, upkeep: Upkeep, interval: int) -> None:
        self.came = threading.Event()
        self.hearing = Hearing(time.time(), interval, worded=message)
        self._upkeep = upkeep
        self._interval = interval

    def changed(self, _kind: str, _name: str) -> None:
        self.came.set()

    def failed(self, kind: str, error: ClusterError, _pause: float) -> None:
        from kgctl.kube.errors import ForbiddenError

        self.hearing.failed(kind, error)
        if isinstance(error, ForbiddenError):
            self._upkeep.say(f"{message(error)}; looking every {self._interval} s instead")
        else:
            self._upkeep.say(f"{message(error)}; {self._upkeep.label} stays as it is")
            self.came.set()


def _follow(view: _View, cluster: ApiServer, upkeep: Upkeep, interval: int) -> None:
    """Follow the changes of a live cluster, for ever.

    Nodes are judged as of when the API server was last heard: its absence makes none of them
    old. One that falls silent causes no change, so they are judged every ``interval`` seconds,
    or every second where ages are seen to grow.
    """
    from kgctl.state.informer import ClusterInformer

    news = _News(upkeep, interval)
    mirror = ClusterInformer(cluster.api(), news, lasts=LASTS, poll=interval)
    mirror.start()
    began, took = time.monotonic(), 0.0
    while True:
        pause = _until_tick(took) if upkeep.ticks else interval
        changed = news.came.wait(max(0.0, began + pause - time.monotonic()))
        news.came.clear()
        began, objects = time.monotonic(), mirror.read()
        if changed and objects is not None:
            view.take(objects)
        standing = news.hearing.standing(mirror)
        upkeep.trouble = _last_heard(standing)
        upkeep.attempt(partial(view.at, standing.judged, time.time()))
        took = time.monotonic() - began
        if changed:
            time.sleep(rest_after(took))


def _last_heard(standing: Standing) -> str:
    if not standing.trouble:
        return ""
    return f"last heard {age(time.time() - standing.heard)} ago: {standing.trouble}"


def _until_tick(took: float) -> float:
    """Return the seconds until ages are shown again, after drawing that took so many."""
    return max(_TICK, _REST * took)


def rest_after(took: float) -> float:
    """Return the seconds in which changes are gathered, after work that took so many."""
    return min(max(_GATHER, _REST * took), _MOST_GATHERED)


def end_at_signals() -> None:
    """Have SIGTERM end what is watched as Ctrl-C does, by a KeyboardInterrupt."""
    signal.signal(signal.SIGTERM, _end)


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # which nothing takes for an error to live through
