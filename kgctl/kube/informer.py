"""Informers: copies of all objects of a kind, kept up to date by watches.

Like client-go's reflector, an informer lists, and then watches from the version of the list. A
watch that ends normally continues from its last event. If the connection broke, or the version is
too old, the informer lists again: an API server restored from a backup counts from a lower
version, and a watch from a higher one would stay silent.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from kgctl.errors import (
    ClusterError,
    ForbiddenError,
    GoneError,
    OverloadedError,
)
from kgctl.kube.budget import MEMORY, too_much
from kgctl.mesh.text import printable
from kgctl.steady import steady

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from kgctl.kube.lists import Listed
    from kgctl.kube.watch import Event

T = TypeVar("T")

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 30.0
"""Seconds between attempts while the API server cannot be read: doubled from the first one on."""

MINOR = 15.0
"""Seconds in which the listener hears of one minor change. The copy has all of them at once."""

_SHORT = 1.0  # seconds; no API server ends a watch so soon without an error
_LASTED = 10.0  # seconds after which a watch counts as proof of a healthy server


class Listener(Protocol):
    """Receives the events of an informer; called from its threads."""

    def changed(self, kind: str, name: str) -> None:
        """An object was added, changed or deleted; an empty ``name`` means all were read again."""
        ...

    def failed(self, kind: str, error: ClusterError, pause: float) -> None:
        """Objects of a kind cannot be followed; the next attempt is in ``pause`` seconds."""
        ...


def _never(_before: Any, _after: Any) -> None:
    return None


class Kind(NamedTuple, Generic[T]):
    """The functions that list, watch and name objects of one kind."""

    plural: str
    name: Callable[[T], str]
    list: Callable[[], Listed[T]]
    watch: Callable[[str], Generator[Event[T], None, None]]
    minor: Callable[[T, T], T | None] = _never
    """If a change of an object, from before to after, may wait (see ``MINOR``): the object after
    it, which may share with the one before what is the same. Else None."""


class Informer(Generic[T]):
    """Keeps a copy of all objects of one kind. ``run`` needs its own thread.

    ``poll`` is the number of seconds between lists where watching is not allowed. Objects received
    from the watch since the last list may take ``memory`` bytes: a server may send them without
    end.
    """

    def __init__(
        self,
        kind: Kind[T],
        listener: Listener,
        *,
        poll: float = 30.0,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = steady,
        memory: int = MEMORY,
    ) -> None:
        self._memory = memory
        self._sizes: dict[str, int] = {}  # of objects received from the watch since the last list
        self._kept = 0
        self._kind = kind
        self._listener = listener
        self._poll = poll
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._objects: dict[str, T] | None = None
        self._heard = self._heard_steady = 0.0
        self._version = ""
        self._failures = 0
        self._started = 0.0
        self._watchable = True
        self._minor = float("-inf")  # when the listener last heard of a minor change

    @property
    def objects(self) -> list[T] | None:
        """All known objects; None before the first list."""
        with self._lock:
            return None if self._objects is None else list(self._objects.values())

    @property
    def heard(self) -> float:
        """When the API server last sent anything about this kind, in Unix seconds; 0 if never."""
        return self._heard

    @property
    def heard_steady(self) -> float:
        """The same on the ``steady`` clock, which is never adjusted; 0 if never."""
        return self._heard_steady

    def _hear(self) -> float:
        """Record an answer of the API server; return the steady time."""
        self._heard, self._heard_steady = time.time(), self._clock()
        return self._heard_steady

    def run(self) -> None:
        """Follow for ever: if the thread ended, nobody would notice.

        So every error is reported, and the thread goes on, even after unexpected ones, such as a
        listener that fails, or a lack of memory.
        """
        while True:
            try:
                self.step()
            except BaseException as error:
                with suppress(BaseException):
                    self._fail(_fault(error))
                    continue
                self._sleep(FIRST_PAUSE)

    def step(self) -> None:
        """List if needed, then follow one watch to its end."""
        try:
            if not self._version:
                self._read()
            if self._watchable:
                self._follow()
            else:
                self._sleep(self._poll)
                self._version = ""
        except GoneError:
            self._version = ""
            self._failures += 1
            if self._failures > 1:
                self._sleep(self._pause(None))
        except ClusterError as error:
            self._fail(error)
        except Exception as error:
            self._fail(_fault(error))

    def _read(self) -> None:
        listed = self._kind.list()
        objects = {self._kind.name(one): one for one in listed.objects}
        with self._lock:
            same = objects == self._objects
            self._objects = objects
        self._sizes, self._kept = {}, 0
        self._version = listed.resource_version
        self._hear()
        if not same:
            self._listener.changed(self._kind.plural, "")

    def _follow(self) -> None:
        self._started = self._clock()
        try:
            for event in self._kind.watch(self._version):
                self._take(event)
        except ForbiddenError as error:
            self._watchable = False
            self._listener.failed(self._kind.plural, error, self._poll)
        else:
            lasted = self._hear() - self._started
            if lasted < _SHORT:  # do not busy-loop on a proxy that ends every watch
                self._failures += 1
                self._sleep(self._pause(None))
            self._trust()

    def _take(self, event: Event[T]) -> None:
        self._hear()
        self._trust()
        self._version = event.resource_version or self._version
        if event.object is None:
            return
        name = self._kind.name(event.object)
        self._count(name, 0 if event.kind == "DELETED" else event.size)
        assert self._objects is not None  # watching comes after listing
        before, shared = self._objects.get(name), None  # no other thread writes
        if before is not None and event.kind != "DELETED":
            shared = self._kind.minor(before, event.object)
        with self._lock:
            if event.kind == "DELETED":
                self._objects.pop(name, None)
            else:
                self._objects[name] = event.object if shared is None else shared
        if shared is None or not self._waits():
            self._listener.changed(self._kind.plural, name)

    def _waits(self) -> bool:
        """Return whether the listener need not hear of a minor change now."""
        if self._heard_steady - self._minor < MINOR:
            return True
        self._minor = self._heard_steady
        return False

    def _count(self, name: str, size: int) -> None:
        """Count the memory of an object, in place of its former size.

        Raises:
            AnswerError: all objects together take too much; then the informer lists again.
        """
        self._kept += size - self._sizes.pop(name, 0)
        if size:
            self._sizes[name] = size
        if self._kept > self._memory:
            changes = f"the changes of {self._kind.plural} that the API server sends"
            raise too_much(f"{changes} take", self._memory)

    def _trust(self) -> None:
        """Forget the failures if the watch lasted.

        One event or a few seconds do not prove health: a failing server may send an event and
        break off, and each list after that costs it more than all events.
        """
        if self._heard_steady - self._started >= _LASTED:
            self._failures = 0

    def _fail(self, error: ClusterError) -> None:
        self._version = ""
        self._failures += 1
        pause = self._pause(error)
        self._listener.failed(self._kind.plural, error, pause)
        self._sleep(pause)

    def _pause(self, error: ClusterError | None) -> float:
        spread = 0.75 + os.urandom(1)[0] / 512  # 0.75 to 1.25: spreads clients in time
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10)) * spread
        asked = error.retry_after if isinstance(error, OverloadedError) else None
        return max(pause, float(min(asked or 0, 300)))


def _fault(error: BaseException) -> ClusterError:
    return ClusterError(f"internal error: {type(error).__name__}: {printable(str(error), 200)}")
