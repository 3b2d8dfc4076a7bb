"""Links that are kept current: look again whenever something changes, and now and then."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from kgctl.cli.hints import message
from kgctl.cli.output import note
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.text import printable
from kgctl.state.follow import Inbox, Once, end_at_signals, rest_after
from kgctl.state.follow import follow as follow_changes
from kgctl.state.standing import LASTS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from kgctl.cli.link.clusters import Named
    from kgctl.cli.link.task import Task
    from kgctl.kube.errors import ClusterError
    from kgctl.kube.informer import Informer
    from kgctl.kube.stored import Object
    from kgctl.link.mirroring import Mirrored
    from kgctl.state.api_server import ApiServer

WATCH_SECONDS = 10.0
"""Seconds between two looks at clusters in which nothing changes: a leader that falls silent is
stale after 60, and that is no change. Files are looked at as often, and so is what may not be
watched."""


SLICES = "endpointslices"
"""The kind of objects that say which pods are behind a service."""


def follow(task: Task, look: Callable[[Sequence[Named], Collection[str]], None]) -> None:
    """Look at the clusters now, and again whenever one changes, until a signal.

    ``look`` is told which kinds of objects changed; none means that everything is to be looked at,
    which is at the beginning and every ``WATCH_SECONDS``. What goes wrong is told once, and tried
    again.
    """
    end_at_signals()
    clusters: Sequence[Named] = task.clusters
    once = Once(note)
    try:
        _attempt(once, clusters, look, ())
        news = _News(once)
        clusters = [_followed(one, news) for one in clusters]
        _follow_services(task, news)
        follow_changes(news, partial(_attempt, once, clusters, look), news.inbox, pause=_pause)
    except KeyboardInterrupt:
        note("no longer watching; the links stay as they are")


def _attempt(
    once: Once,
    clusters: Sequence[Named],
    look: Callable[[Sequence[Named], Collection[str]], None],
    kinds: Collection[str],
) -> None:
    try:
        look(clusters, kinds)
    except KgctlError as error:
        once.tell(message(error))
    else:
        once.over()


def _pause(took: float) -> float:
    """Return the seconds from the beginning of a look to the next one where nothing changes."""
    return took + rest_after(took) + WATCH_SECONDS


class _News:
    """Wakes the loop when something changes; says what cannot be followed."""

    def __init__(self, once: Once) -> None:
        self.inbox = Inbox()
        self._once = once

    def look(self, changed: Collection[str]) -> Collection[str]:
        """Return what changed: the clusters are read by whoever hears of it."""
        return changed

    def changed(self, kind: str, _name: str) -> None:
        self.inbox.changed(kind)

    def failed(self, _kind: str, error: ClusterError, _pause: float) -> None:
        from kgctl.kube.errors import ForbiddenError

        instead = f"looking every {WATCH_SECONDS:.0f} s instead"
        text = message(error)
        self._once.tell(f"{text}; {instead}" if isinstance(error, ForbiddenError) else text)


def _followed(named: Named, news: _News) -> Named:
    """Return a cluster that is read from a copy, which is kept up to date."""
    from kgctl.state.api_server import ApiServer
    from kgctl.state.informer import ClusterInformer

    if not isinstance(named.source, ApiServer):
        return named
    try:
        informer = ClusterInformer(named.source.api(), news, lasts=LASTS, poll=WATCH_SECONDS)
    except KgctlError as error:
        note(f"{printable(named.name)}: {message(error)}")
        return named
    informer.start()
    return named._replace(copy=informer)


def _follow_services(task: Task, news: _News) -> None:
    """Hear of the pods that come and go behind the services that are mirrored."""
    from kgctl.state.api_server import ApiServer

    for mirrored in task.mirrored:
        for named in task.clusters:
            mine = mirrored.cluster in ("", named.name)
            if mine and isinstance(named.source, ApiServer):
                follower = _pods_behind(named.source, mirrored, news)
                threading.Thread(target=_run, args=[follower], daemon=True).start()


def _run(follower: Informer[Object]) -> None:
    follower.run()


def _pods_behind(source: ApiServer, mirrored: Mirrored, news: _News) -> Informer[Object]:
    from kgctl.kube.informer import Informer, Kind
    from kgctl.kube.services import ServiceObjects
    from kgctl.state.peer_objects import peer_name

    services = ServiceObjects(source.api())
    kind: Kind[Object] = Kind(
        SLICES,
        peer_name,
        lambda: services.listed_slices(mirrored.namespace, mirrored.name),
        lambda version: services.watch_slices(mirrored.namespace, mirrored.name, version, LASTS),
    )
    return Informer(kind, news, poll=WATCH_SECONDS, memory=source.api().memory)
