"""Writes a node's annotations and its heartbeat, in a thread of its own.

So an API server that hangs holds nothing up: the rounds go on, and the next heartbeat brings
everything that changed meanwhile.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from kgctl.agent.announcement import LAST_SEEN, difference
from kgctl.agent.interface import CHECK_IN
from kgctl.errors import ClusterError
from kgctl.steady import steady

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kgctl.connect.journal import Journal

_FIRST_RETRY, _LAST_RETRY = 1.0, CHECK_IN / 2  # seconds: a heartbeat is late by less than 60 s
_LAST_WRITE = 5.0  # seconds
_LEAST_BETWEEN = 1.0
"""Seconds between two writes: another agent of this node could undo each one for ever."""


class Announcer:
    """Keeps the annotations of a node as wanted. ``write`` writes changes of annotations.

    ``failed`` is called after each failed write, from the thread.
    """

    def __init__(
        self,
        write: Callable[[Mapping[str, str | None]], object],
        journal: Journal,
        failed: Callable[[], object],
        *,
        clock: Callable[[], float] = time.time,
        every: float = CHECK_IN,
    ) -> None:
        self._write = write
        self._journal = journal
        self._failed = failed
        self._clock = clock
        self._every = every
        self._lock = threading.Lock()
        self._wake, self._end = threading.Event(), threading.Event()
        self._written_once = threading.Event()
        self._wanted: Mapping[str, str] = {}
        self._present: Mapping[str, str] = {}
        self._written: Mapping[str, str] = {}
        self._before: Mapping[str, str] | None = None
        self._thread: threading.Thread | None = None

    def want(self, wanted: Mapping[str, str], present: Mapping[str, str]) -> None:
        """Have the node's annotations be ``wanted``; ``present`` are those that were last seen.

        The value of the heartbeat is that of the next write.
        """
        with self._lock:
            self._wanted, self._present = dict(wanted), dict(present)
            if self._changes():
                self._wake.set()
            if self._thread is None and not self._end.is_set():
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    def settle(self, seconds: float) -> bool:
        """Wait for the first write, at most so many seconds; return whether it succeeded."""
        return self._written_once.wait(seconds)

    def end(self) -> None:
        """Write no more: whoever removes the annotations then has the last word.

        A write that is under way is waited for, a few seconds at most.
        """
        self._end.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_LAST_WRITE)

    def _changes(self) -> dict[str, str | None]:
        """Return what differs. Until the last write is seen, its values count as present."""
        present = self._present
        if present == self._before:
            present = {**present, **self._written}
        return difference(self._wanted, present)

    def _run(self) -> None:
        retry = _FIRST_RETRY
        while not self._end.is_set():
            began = steady()
            if self._announce():
                retry = _FIRST_RETRY
                self._wake.wait(self._every)
            else:
                self._end.wait(retry)
                retry = min(retry * 2, _LAST_RETRY)
            self._end.wait(began + _LEAST_BETWEEN - steady())

    def _announce(self) -> bool:
        with self._lock:
            self._wake.clear()
            wanted, present, changes = self._wanted, self._present, self._changes()
        heartbeat = {LAST_SEEN: str(int(self._clock()))}
        try:
            self._write({**changes, **heartbeat})
        except ClusterError as error:
            self._journal.warn("cannot announce this node", err=error)
            self._failed()
            return False
        with self._lock:
            self._written, self._before = {**wanted, **heartbeat}, present
        self._written_once.set()
        return True
