"""Links that are kept current: look again whenever something changes, and now and then."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from kgctl.cli.watching import end_at_signals, rest_after
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.text import printable
from kgctl.state.standing import LASTS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from kgctl.cli.link.clusters import ClusterRef
    from kgctl.cli.link.spec import LinkSpec
    from kgctl.kube.errors import ClusterError
    from kgctl.kube.informer import Informer
    from kgctl.kube.stored import Object
    from kgctl.link.mirroring import Mirrored
    from kgctl.reporter import Reporter
    from kgctl.state.api_server import ApiServer

WATCH_SECONDS = 10.0
"""Seconds between two looks at clusters in which nothing changes: a leader that falls silent is
stale after 60, and that is no change. Files are looked at as often, and so is what may not be
watched."""


SLICES = "endpointslices"
"""The kind of objects that say which pods are behind a service."""


def follow(
    spec: LinkSpec,
    look: Callable[[Sequence[ClusterRef], Collection[str]], None],
    reporter: Reporter,
) -> None:
    """Look at the clusters now, and again whenever one changes, until a signal.

    ``look`` is told which kinds of objects changed; none means that everything is to be looked at,
    which is at the beginning and every ``WATCH_SECONDS``. What goes wrong is told once, and tried
    again.
    """
    end_at_signals()
    clusters: Sequence[ClusterRef] = spec.clusters
    told = _Once(reporter)
    try:
        told.attempt(lambda: look(clusters, ()))
        news = _News(told)
        clusters = [_followed(one, news, reporter) for one in clusters]
        _follow_services(spec, news)
        while True:
            kinds = news.await_some(WATCH_SECONDS)
            began = time.monotonic()
            told.attempt(partial(look, clusters, kinds))
            time.sleep(rest_after(time.monotonic() - began))
    except KeyboardInterrupt:
        reporter.inform("no longer watching; the links stay as they are")


class _Once:
    """Says what goes wrong, once as long as it stays the same."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._said = ""

    def attempt(self, act: Callable[[], None]) -> None:
        try:
            act()
        except KgctlError as error:
            self.say(str(error))
        else:
            self._said = ""

    def say(self, text: str) -> None:
        if text != self._said:
            self._reporter.warn(text)
        self._said = text


class _News:
    """Wakes the main thread when something changes; says what cannot be followed."""

    def __init__(self, told: _Once) -> None:
        self._came = threading.Event()
        self._kinds: set[str] = set()
        self._told = told

    def await_some(self, seconds: float) -> Collection[str]:
        """Return the kinds of objects that changed, after so many seconds at most."""
        self._came.wait(seconds)
        self._came.clear()
        kinds, self._kinds = self._kinds, set()  # one that comes in between wakes again
        return kinds

    def changed(self, kind: str, _name: str) -> None:
        self._kinds.add(kind)
        self._came.set()

    def failed(self, _kind: str, error: ClusterError, _pause: float) -> None:
        from kgctl.kube.errors import ForbiddenError

        instead = f"looking every {WATCH_SECONDS:.0f} s instead"
        self._told.say(f"{error}; {instead}" if isinstance(error, ForbiddenError) else str(error))


def _followed(ref: ClusterRef, news: _News, reporter: Reporter) -> ClusterRef:
    """Return a cluster that is read from a copy, which is kept up to date."""
    from kgctl.state.api_server import ApiServer
    from kgctl.state.informer import ClusterInformer

    if not isinstance(ref.source, ApiServer):
        return ref
    try:
        mirror = ClusterInformer(ref.source.api(), news, lasts=LASTS, poll=WATCH_SECONDS)
    except KgctlError as error:
        reporter.warn(f"{printable(ref.name)}: {error}")
        return ref
    mirror.start()
    return ref._replace(copy=mirror)


def _follow_services(spec: LinkSpec, news: _News) -> None:
    """Hear of the pods that come and go behind the services that are mirrored."""
    from kgctl.state.api_server import ApiServer

    for mirrored in spec.mirrored:
        for ref in spec.clusters:
            mine = mirrored.cluster in ("", ref.name)
            if mine and isinstance(ref.source, ApiServer):
                follower = _pods_behind(ref.source, mirrored, news)
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
