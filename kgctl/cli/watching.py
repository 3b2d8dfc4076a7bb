"""``--watch``: a file or a screen that follows the cluster, and nothing else."""

from __future__ import annotations

import signal
import threading
import time
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING

from kgctl.cli.arguments import UsageError
from kgctl.cli.files import write_private
from kgctl.cli.output import note
from kgctl.cli.reading import Reading, reading_of, source_of
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from kgctl.cli.shared import Shared
    from kgctl.cluster.apiserver import ApiServer
    from kgctl.cluster.errors import ClusterError
    from kgctl.cluster.interface import Source

_MOST_PATIENCE = 300.0  # seconds between two looks at files that cannot be read
LASTS = 60
"""Seconds of a watch: so long at most goes by until a dead connection shows."""
_GATHER, _MOST_GATHERED = 0.2, 5.0  # seconds in which changes are gathered after one was taken
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
    upkeep = _FileUpkeep(file, content)
    watch(shared, upkeep, interval)
    note(f"no longer watching; {upkeep.label} stays as it is")


def watch(shared: Shared, upkeep: Upkeep, interval: int, between_looks: int | None = None) -> None:
    """Keep up what ``upkeep`` writes, until a signal.

    It is looked at anew every ``interval`` seconds, changes or not; files every ``between_looks``.

    Raises:
        KgctlError: it cannot be written at all; later errors are said, and lived through.
    """
    from kgctl.cluster.apiserver import ApiServer

    if _STDIN in (shared.filename or ()):
        raise UsageError("--watch reads again and again, and stdin can be read once; give a file")
    end_at_signals()
    try:
        source = source_of(shared)
        upkeep.write(reading_of(shared, source.read()))
        if isinstance(source, ApiServer):
            _follow(shared, source, upkeep, interval)
        else:
            _look(shared, source, upkeep, between_looks or interval)
    except KeyboardInterrupt:
        return


class Upkeep(ABC):
    """What is kept up to date, called ``label`` in messages, and what was said of it last."""

    def __init__(self, label: str) -> None:
        self.label = label
        self._said = ""

    def write(self, reading: Reading) -> None:
        """Write it if it is another by now."""
        self._write(reading)
        self._said = ""

    @abstractmethod
    def _write(self, reading: Reading) -> None: ...

    def attempt(self, read: Callable[[], Reading]) -> bool:
        """Write it if that is possible, else say once why not; return whether it was."""
        try:
            self.write(read())
        except KgctlError as error:
            self.say(f"{error}; {self.label} stays as it is")
            return False
        return True

    def say(self, text: str) -> None:
        """Say something, unless it was the last thing said."""
        if text != self._said:
            note(text)
        self._said = text


class _FileUpkeep(Upkeep):
    """A file."""

    def __init__(self, file: Path, content: Callable[[Reading], bytes]) -> None:
        super().__init__(printable(str(file)))
        self._file = file
        self._content = content

    def _write(self, reading: Reading) -> None:
        if write_private(self._file, self._content(reading)):
            note(f"wrote {self.label}")


def _look(shared: Shared, source: Source, upkeep: Upkeep, interval: int) -> None:
    """Read the source again and again, less often as long as that fails."""
    pause = float(interval)
    while True:
        time.sleep(pause)
        read = upkeep.attempt(lambda: reading_of(shared, source.read()))
        pause = float(interval) if read else min(pause * 2, _MOST_PATIENCE)


class _News:
    """Wakes the main thread when something changes; says what cannot be followed."""

    def __init__(self, upkeep: Upkeep, interval: int) -> None:
        self.came = threading.Event()
        self._upkeep = upkeep
        self._interval = interval

    def changed(self, _kind: str, _name: str) -> None:
        self.came.set()

    def failed(self, _kind: str, error: ClusterError, _pause: float) -> None:
        from kgctl.cluster.errors import ForbiddenError

        if isinstance(error, ForbiddenError):
            self._upkeep.say(f"{error}; looking every {self._interval} s instead")
        else:
            self._upkeep.say(f"{error}; {self._upkeep.label} stays as it is")


def _follow(shared: Shared, cluster: ApiServer, upkeep: Upkeep, interval: int) -> None:
    """Follow the changes of a live cluster, for ever.

    Nodes are judged as of when the API server was last heard: its absence makes none of them
    old. One that falls silent causes no change, so they are judged every ``interval`` seconds.
    """
    from kgctl.cluster.mirror import Mirror

    news = _News(upkeep, interval)
    mirror = Mirror(cluster.api(), news, lasts=LASTS, poll=interval)
    mirror.start()
    while True:
        news.came.wait(interval)
        news.came.clear()
        began, objects = time.monotonic(), mirror.read()
        if objects is not None:
            upkeep.attempt(partial(reading_of, shared, objects, mirror.heard))
        time.sleep(rest_after(time.monotonic() - began))


def rest_after(took: float) -> float:
    """Return the seconds in which changes are gathered, after work that took so many."""
    return min(max(_GATHER, _REST * took), _MOST_GATHERED)


def end_at_signals() -> None:
    """Have SIGTERM end what is watched as Ctrl-C does, by a KeyboardInterrupt."""
    signal.signal(signal.SIGTERM, _end)


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # which nothing takes for an error to live through
