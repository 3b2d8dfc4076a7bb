"""What the loop follows: a live cluster by informers, files by reading them repeatedly.

Nodes and peers of a live cluster, kept up to date by an informer for each kind.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from kgctl.errors import KgctlError
from kgctl.kube.informer import Informer, Kind
from kgctl.state.follow import LASTS, Hearing, Standing
from kgctl.state.interface import Objects
from kgctl.state.peer_objects import peer_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from kgctl.errors import ClusterError
    from kgctl.kube.http.client import Api
    from kgctl.kube.informer import Listener
    from kgctl.kube.objects import NodeObject


class ClusterInformer:
    """Nodes and peers of a live cluster, each followed by a thread that never keeps kgctl alive."""

    def __init__(self, api: Api, listener: Listener, *, lasts: int, poll: float) -> None:
        self.nodes = Informer(_nodes(api, lasts), listener, poll=poll, memory=api.memory)
        self.peers = Informer(_peers(api, lasts), listener, poll=poll, memory=api.memory)

    def start(self) -> None:
        """Start to follow."""
        for informer in (self.nodes, self.peers):
            threading.Thread(target=informer.run, daemon=True).start()

    def read(self) -> Objects | None:
        """Return all that is known; None before both kinds were listed once."""
        nodes, peers = self.nodes.objects, self.peers.objects
        if nodes is None or peers is None:
            return None
        return Objects(nodes=nodes, peers=peers, passed_over={})

    @property
    def heard(self) -> float:
        """When the API server last said anything of nodes, in Unix seconds."""
        return self.nodes.heard

    @property
    def heard_steady(self) -> float:
        """The same on the ``steady`` clock."""
        return self.nodes.heard_steady


def _nodes(api: Api, lasts: int) -> Kind[NodeObject]:
    from kgctl.state.api_server import nodes_to_watch, watch_nodes

    return Kind(
        "nodes",
        lambda node: node.name,
        lambda: nodes_to_watch(api),
        lambda version: watch_nodes(api, version, lasts),
    )


def _peers(api: Api, lasts: int) -> Kind[Mapping[str, Any]]:
    from kgctl.state.api_server import peers_to_watch, watch_peers

    return Kind(
        "peers",
        peer_name,
        lambda: peers_to_watch(api),
        lambda version: watch_peers(api, version, lasts),
    )


T = TypeVar("T")

_MOST_PATIENCE = 300.0  # seconds between two reads of what cannot be read


class Snapshot(NamedTuple, Generic[T]):
    """What was read last, the same object until it is read again; and how its source stands."""

    content: T
    standing: Standing


class LiveFeed:
    """Nodes and peers of a live cluster that was read ``at`` a time, followed from now on.

    ``changed`` and ``failed`` are called from the informers' threads, with a kind of objects.
    ``poll`` is the number of seconds between lists where watching is not allowed. ``worded`` puts
    an error into words.
    """

    def __init__(
        self,
        api: Api,
        first: Objects,
        *,
        at: float,
        poll: float,
        changed: Callable[[str], None],
        failed: Callable[[str, ClusterError], None],
        worded: Callable[[object], str] = str,
    ) -> None:
        self._objects = first
        self._hearing = Hearing(at, poll, worded=worded)
        self._changed = changed
        self._failed = failed
        self._informer = ClusterInformer(api, self, lasts=LASTS, poll=poll)
        self._informer.start()

    def changed(self, kind: str, _name: str) -> None:
        """Hear of a change from an informer."""
        self._changed(kind)

    def failed(self, kind: str, error: ClusterError, _pause: float) -> None:
        """Hear from an informer that objects of a kind cannot be followed."""
        self._hearing.failed(kind, error)
        self._failed(kind, error)

    def look(self, changed: Collection[str]) -> Snapshot[Objects]:
        """Return what is known; it is copied from the informers where something changed.

        It is judged as of when the API server was last heard: its absence makes no node old.
        """
        if changed:
            self._objects = self._informer.read() or self._objects
        return Snapshot(self._objects, self._hearing.standing(self._informer))


class PolledFeed(Generic[T]):
    """What was read just now, and is read again ``every`` so many seconds, less often on errors.

    It is a turn of the loop. ``changed`` is called after each read, and before it ``failed`` where
    that failed. ``worded`` puts an error into words.
    """

    def __init__(
        self,
        read: Callable[[], T],
        first: T,
        *,
        every: float,
        changed: Callable[[str], None] = lambda _kind: None,
        failed: Callable[[KgctlError], None] = lambda _error: None,
        clock: Callable[[], float] = time.monotonic,
        worded: Callable[[object], str] = str,
    ) -> None:
        self._worded = worded
        self._read = read
        self._content = first
        self._every = self._pause = every
        self._changed = changed
        self._failed = failed
        self._clock = clock
        self._read_at = time.time()
        self._ended = clock()
        self._trouble = ""

    def changed(self, _now: float) -> None:
        """Ignore a change: it is its own."""

    def wait(self, now: float) -> float:
        """Return the seconds until it is to be read again."""
        return self._ended + self._pause - now

    def run(self) -> None:
        """Read it again."""
        try:
            self._content = self._read()
        except KgctlError as error:
            self._trouble = self._worded(error)
            self._pause = min(self._pause * 2, _MOST_PATIENCE)
            self._failed(error)
        else:
            self._read_at = time.time()
            self._trouble, self._pause = "", self._every
        self._ended = self._clock()
        self._changed("")

    def look(self, _changed: Collection[str]) -> Snapshot[T]:
        """Return what was read last, judged as of now."""
        return Snapshot(self._content, Standing(time.time(), self._read_at, self._trouble))
