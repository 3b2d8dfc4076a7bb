"""Feeds for the loop of ``follow.py``: a live cluster by informers, files by repeated reading.

An informer for each kind keeps the nodes and peers of a live cluster up to date.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from kgctl.errors import KgctlError
from kgctl.kube.informer import Informer, Kind
from kgctl.state.follow import LASTS, Hearing, Standing
from kgctl.state.interface import Objects
from kgctl.state.objects import heartbeat
from kgctl.state.peer_objects import peer_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from kgctl.errors import ClusterError
    from kgctl.kube.http.client import Api
    from kgctl.kube.informer import Listener
    from kgctl.kube.objects import NodeObject


class ClusterInformer:
    """Nodes and peers of a live cluster, each followed by its own daemon thread.

    Unless ``heartbeats``, the listener hears of one heartbeat in ``kgctl.kube.informer.MINOR``
    seconds: in a large cluster they are nearly all events, and change nothing. Only labels whose
    name begins with ``label`` are kept, and the platform of nodes only with ``platform``.
    """

    def __init__(
        self,
        api: Api,
        listener: Listener,
        *,
        lasts: int,
        poll: float,
        heartbeats: bool = True,
        label: str = "",
        platform: bool = True,
    ) -> None:
        nodes = _nodes(api, lasts, label, platform=platform)
        if not heartbeats:
            nodes = nodes._replace(minor=_beats)
        self.nodes = Informer(nodes, listener, poll=poll, memory=api.memory)
        self.peers = Informer(_peers(api, lasts), listener, poll=poll, memory=api.memory)

    def start(self) -> None:
        """Start the threads."""
        for informer in (self.nodes, self.peers):
            threading.Thread(target=informer.run, daemon=True).start()

    def read(self) -> Objects | None:
        """Return all known objects; None before both kinds were listed once."""
        nodes, peers = self.nodes.objects, self.peers.objects
        if nodes is None or peers is None:
            return None
        return Objects(nodes=nodes, peers=peers, passed_over={})

    @property
    def heard(self) -> float:
        """When the API server last sent anything about nodes, in Unix seconds."""
        return self.nodes.heard

    @property
    def heard_steady(self) -> float:
        """The same on the ``steady`` clock."""
        return self.nodes.heard_steady


def _nodes(api: Api, lasts: int, label: str = "", *, platform: bool = True) -> Kind[NodeObject]:
    from kgctl.state.api_server import nodes_to_watch, watch_nodes

    return Kind(
        "nodes",
        lambda node: node.name,
        lambda: nodes_to_watch(api, label, platform=platform),
        lambda version: watch_nodes(api, version, lasts, label, platform=platform),
    )


def _beats(before: NodeObject, after: NodeObject) -> NodeObject | None:
    return heartbeat(before, after, time.time())


def _peers(api: Api, lasts: int) -> Kind[Mapping[str, Any]]:
    from kgctl.state.api_server import peers_to_watch, watch_peers

    return Kind(
        "peers",
        peer_name,
        lambda: peers_to_watch(api),
        lambda version: watch_peers(api, version, lasts),
    )


T = TypeVar("T")

_MOST_PATIENCE = 300.0  # the most seconds between two reads after errors


class Snapshot(NamedTuple, Generic[T]):
    """The last content, the same object until the next read; and the state of its source."""

    content: T
    standing: Standing


class LiveFeed:
    """Nodes and peers of a live cluster, first read at the time ``at`` and followed from now on.

    ``changed`` and ``failed`` are called from the informers' threads, with a kind of objects.
    ``poll`` is the number of seconds between lists where watching is not allowed. ``worded``
    formats an error.
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
        """Receive a change from an informer."""
        self._changed(kind)

    def failed(self, kind: str, error: ClusterError, _pause: float) -> None:
        """Receive an informer's error: objects of a kind cannot be followed."""
        self._hearing.failed(kind, error)
        self._failed(kind, error)

    def look(self, changed: Collection[str]) -> Snapshot[Objects]:
        """Return the known objects, copied from the informers if something changed.

        They are judged as of the API server's last answer: its outage makes no node stale.
        """
        if changed:
            self._objects = self._informer.read() or self._objects
        return Snapshot(self._objects, self._hearing.standing(self._informer))


class PolledFeed(Generic[T]):
    """Content that is read again every ``every`` seconds, less often after errors.

    It is a turn of the loop. ``changed`` is called after each read; after one that failed,
    ``failed`` is called first. ``worded`` formats an error.
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
        """Ignore a change: it is this feed's own."""

    def wait(self, now: float) -> float:
        """Return the seconds until the next read."""
        return self._ended + self._pause - now

    def run(self) -> None:
        """Read the content again."""
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
        """Return the last content, judged as of now."""
        return Snapshot(self._content, Standing(time.time(), self._read_at, self._trouble))
