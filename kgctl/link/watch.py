"""The watch of ``kgctl link``: keeps links up to date, and damps Peers that change too often.

The clusters are looked at after every change, and every ten seconds.

A node of one cluster decides how often a Peer in another changes, and every write there makes
every node configure its network again. So the first few writes are made at once, as a moving leader
needs it; each later one waits longer than the one before, up to five minutes. Every ten minutes
without a write, one earlier write is forgotten.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import ForbiddenError, KgctlError
from kgctl.link.apply import apply_each
from kgctl.link.clusters import read_clusters, unbuilt_clusters
from kgctl.link.foreign_links import refuse_foreign_links
from kgctl.link.grants import Granting
from kgctl.link.keys import NO_KEYS, LinkKeys, link_keys
from kgctl.link.mirror_objects import MirrorError
from kgctl.link.plan import Wanted, obstacles_between, plan_of, report_obstacles
from kgctl.link.service_mirrors import NO_MIRRORS, MirrorPlan, ServiceMirrors
from kgctl.link.service_networks import ServiceNetworkDiscovery
from kgctl.link.steps import PEER, Plan
from kgctl.mesh.link_rules import KEYS, OVERLAP
from kgctl.mesh.text import printable
from kgctl.state.follow import LASTS, Inbox, Once, follow, rest_after

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence

    from kgctl.errors import ClusterError
    from kgctl.kube.informer import Informer
    from kgctl.kube.stored import Object
    from kgctl.link.claim_policy import Grants
    from kgctl.link.clusters import ClusterRef, ClusterState
    from kgctl.link.mirror_objects import Mirrored
    from kgctl.link.spec import LinkSpec
    from kgctl.link.steps import Step
    from kgctl.mesh.link_rules import Obstacle
    from kgctl.reporter import Reporter
    from kgctl.state.api_server import ApiServer


AT_ONCE = 4
"""The number of writes of one thing that are not delayed."""

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds between the later writes: the first pause, doubled each time up to the longest."""

FORGIVEN = 600.0
"""Seconds without a write after which one earlier write is forgotten."""


class _Past(NamedTuple):
    """The recent writes of something: their number, and the time of the last one."""

    writes: int
    last: float


class Damper:
    """Limits how often things are written; ``clock`` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._past: dict[Hashable, _Past] = {}

    def pause(self, key: Hashable) -> float:
        """Return the seconds to wait before ``key`` may be written; 0 if it may be now."""
        past = self._past.get(key)
        if past is None:
            return 0.0
        return max(0.0, past.last + _interval(past.writes) - self._clock())

    def wrote(self, key: Hashable) -> float:
        """Record a write of ``key``; return the seconds until the next one is allowed."""
        now = self._clock()
        writes, last = self._past.get(key, _Past(0, now))
        writes = max(0, writes - int((now - last) // FORGIVEN)) + 1
        self._past[key] = _Past(writes, now)
        return _interval(writes)

    def forget(self) -> None:
        """Drop keys without recent writes, so that short-lived names take no memory."""
        now = self._clock()
        self._past = {
            key: past
            for key, past in self._past.items()
            if now - past.last < past.writes * FORGIVEN
        }


class PlanDamper:
    """Removes Peers that were written too often lately from plans, and reports each once."""

    def __init__(self, clock: Callable[[], float], reporter: Reporter) -> None:
        self._reporter = reporter
        self._damper = Damper(clock)
        self._damped: set[tuple[str, str]] = set()

    def only(self, plan: Plan) -> Plan:
        """Return the plan without the steps that have to wait; the rest counts as written."""
        self._damper.forget()
        return Plan(
            [
                (ref, [step for step in steps if self._is_due(ref.name, step)])
                for ref, steps in plan.clusters
            ]
        )

    def _is_due(self, cluster: str, step: Step) -> bool:
        if step.kind != PEER or not step.writes:
            return True
        key = cluster, step.name
        if self._damper.pause(key):
            if key not in self._damped:
                self._damped.add(key)
                self._reporter.warn(
                    f"{printable(cluster)}: peer {printable(step.name)} changes all the time: it "
                    "is written less and less often, down to once in 5 minutes"
                )
            return False
        if not self._damper.wrote(key):
            self._damped.discard(key)
        return True


class FailureReports:
    """Reports clusters whose networks cannot be built, and those whose networks can be again.

    Each failure is reported once, even if its reason changes. One node decides how often a network
    fails, so repeated failures are reported less and less often.
    """

    def __init__(self, clock: Callable[[], float], reporter: Reporter) -> None:
        self._reporter = reporter
        self._damper = Damper(clock)
        self._said: set[str] = set()

    def report(self, states: Iterable[ClusterState]) -> None:
        """Report the changes since the last call."""
        for state in states:
            name = state.member.name
            if state.failure is None and name in self._said:
                self._said.discard(name)
                self._reporter.inform(
                    f"{printable(name)}: its network can be built again: its links are updated"
                )
            elif state.failure is not None and name not in self._said:
                if self._damper.pause(name):
                    continue
                self._damper.wrote(name)
                self._said.add(name)
                self._reporter.warn(
                    f"{printable(name)}: its network cannot be built, so its links stay as they "
                    f"are, and only links between the other clusters are updated: "
                    f"{self._reporter.worded(state.failure)}"
                )


def _interval(writes: int) -> float:
    """Return the seconds to wait after this number of writes."""
    if writes < AT_ONCE:
        return 0.0
    return float(min(FIRST_PAUSE * 2 ** min(writes - AT_ONCE, 16), LONGEST_PAUSE))


WATCH_SECONDS = 10.0
"""Seconds between two looks at clusters without changes: a leader that falls silent is stale after
60 seconds, and no change reports that. It is also the interval for files, and for objects that the
credentials may not watch."""


SLICES = "endpointslices"
"""The kind of the objects that list the pods behind a service."""


def watch_links(spec: LinkSpec, reporter: Reporter) -> None:
    """Keep the links of clusters up to date, until KeyboardInterrupt.

    Raises:
        KgctlError: the spec is wrong. Later errors are reported, and the work is tried again.
    """
    spec.check()
    keeper = _Keeper(spec, ServiceMirrors(spec, reporter), reporter)
    _follow(spec, keeper.look, reporter)


class _Keeper:
    """Keeps links up to date, one look at a time, and reports only news.

    Nobody reviews its plans. So an obstacle to one segment leaves out only that segment, new
    networks that need a person's consent are left out, and the links of a cluster whose network
    cannot be built stay as they are.
    """

    def __init__(self, spec: LinkSpec, mirrors: ServiceMirrors, reporter: Reporter) -> None:
        self._reporter = reporter
        self._spec = spec
        self._mirrors = mirrors
        self._services = ServiceNetworkDiscovery(spec, reporter)
        self._granting = Granting(spec, reporter, unattended=True)
        self._damper = PlanDamper(time.monotonic, reporter)
        self._failures = FailureReports(time.monotonic, reporter)
        self._unbuilt: frozenset[str] = frozenset()
        self._told: list[Obstacle] = []
        self._keys = NO_KEYS
        self._looked = -WATCH_SECONDS

    def look(self, clusters: Sequence[ClusterRef], kinds: Collection[str]) -> None:
        """Read the clusters, and bring their links up to date.

        Heartbeats change nodes all the time. If nothing else changed, services and keys are read
        only every ``WATCH_SECONDS``, and also when the set of clusters whose networks cannot be
        built has changed, since those of a recovered one are unknown.

        Raises:
            KgctlError: a check failed, or only a part was done.
        """
        spec, now = self._spec, time.monotonic()
        states = self._services.complete(read_clusters(spec, clusters, unbuilt=True))
        self._failures.report(states)
        unbuilt = unbuilt_clusters(states)
        if unbuilt != self._unbuilt:
            self._unbuilt, self._looked = unbuilt, -WATCH_SECONDS
        standing = obstacles_between(states, spec)
        if standing != self._told:
            report_obstacles(standing, spec, self._reporter)
            self._told = standing
        if {KEYS, OVERLAP} & spec.allowed:  # else only the segments behind them are left out
            refuse_foreign_links(states, spec, self._reporter)
        views = self._granting.judge(states)
        if kinds and SLICES not in kinds and now < self._looked + WATCH_SECONDS:
            self._keep(states, self._keys, NO_MIRRORS, views)
            return
        self._looked, amiss = -WATCH_SECONDS, None  # until all is done
        try:
            mirrors = self._mirrors.find(views, prune=spec.prune)
        except MirrorError as error:  # must not prevent the update of links
            mirrors, amiss = NO_MIRRORS, error
        keys = link_keys(spec.without(unbuilt))
        self._keep(states, keys, mirrors, views)
        self._keys, self._looked = keys._replace(steps={}), now
        if amiss is not None:
            raise amiss

    def _keep(
        self,
        states: Sequence[ClusterState],
        keys: LinkKeys,
        mirrors: MirrorPlan,
        views: Mapping[str, Grants],
    ) -> None:
        plan = plan_of(states, self._spec, Wanted(keys, mirrors, self._granting, views))
        apply_each(self._damper.only(plan), self._reporter)


def _follow(
    spec: LinkSpec,
    look: Callable[[Sequence[ClusterRef], Collection[str]], None],
    reporter: Reporter,
) -> None:
    """Look at the clusters now and after every change, until KeyboardInterrupt.

    ``look`` gets the kinds of objects that changed. No kinds mean that everything must be looked
    at: at the start and every ``WATCH_SECONDS``. Errors are reported once, and the look is tried
    again.
    """
    clusters: Sequence[ClusterRef] = spec.clusters
    once = Once(reporter.warn)
    try:
        _attempt(once, reporter, clusters, look, ())
        news = _News(once, reporter)
        clusters = [_followed(one, news, reporter) for one in clusters]
        _follow_services(spec, news)
        follow(news, partial(_attempt, once, reporter, clusters, look), news.inbox, pause=_pause)
    except KeyboardInterrupt:
        reporter.inform("no longer watching; the links stay as they are")


def _attempt(
    once: Once,
    reporter: Reporter,
    clusters: Sequence[ClusterRef],
    look: Callable[[Sequence[ClusterRef], Collection[str]], None],
    kinds: Collection[str],
) -> None:
    try:
        look(clusters, kinds)
    except KgctlError as error:
        once.tell(reporter.worded(error))
    else:
        once.over()


def _pause(took: float) -> float:
    """Return the seconds from the start of a look to the next one without changes."""
    return took + rest_after(took) + WATCH_SECONDS


class _News:
    """Wakes the loop when something changes, and reports what cannot be watched."""

    def __init__(self, once: Once, reporter: Reporter) -> None:
        self.inbox = Inbox()
        self._once = once
        self._reporter = reporter

    def look(self, changed: Collection[str]) -> Collection[str]:
        """Return the changed kinds; the caller reads the clusters."""
        return changed

    def changed(self, kind: str, _name: str) -> None:
        self.inbox.changed(kind)

    def failed(self, _kind: str, error: ClusterError, _pause: float) -> None:
        instead = f"looking every {WATCH_SECONDS:.0f} s instead"
        text = self._reporter.worded(error)
        self._once.tell(f"{text}; {instead}" if isinstance(error, ForbiddenError) else text)


def _followed(ref: ClusterRef, news: _News, reporter: Reporter) -> ClusterRef:
    """Return the cluster with a copy that a watch keeps up to date."""
    from kgctl.state.api_server import ApiServer
    from kgctl.state.feeds import ClusterInformer

    if not isinstance(ref.source, ApiServer):
        return ref
    try:
        informer = ClusterInformer(
            ref.source.api(), news, lasts=LASTS, poll=WATCH_SECONDS, heartbeats=False
        )
    except KgctlError as error:
        reporter.warn(f"{printable(ref.name)}: {reporter.worded(error)}")
        return ref
    informer.start()
    return ref._replace(copy=informer)


def _follow_services(spec: LinkSpec, news: _News) -> None:
    """Watch the pods behind the mirrored services."""
    from kgctl.state.api_server import ApiServer

    for mirrored in spec.mirrored:
        for ref in spec.clusters:
            mine = mirrored.cluster in ("", ref.name)
            if mine and isinstance(ref.source, ApiServer):
                follower = _pods_behind(ref.source, mirrored, news)
                threading.Thread(target=follower.run, daemon=True).start()


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
