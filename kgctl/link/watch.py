"""Links that are kept current: look again whenever something changes, and now and then.

Damping: what changes again and again is written more and more seldom.

A node of one cluster decides how often a Peer in the other changes, and every write there makes
every node set up its network again. So the first few writes go at once, as a leader that moves
needs it; then each waits longer than the one before, up to five minutes. What is quiet for a while
is forgiven, one write for every ten minutes.
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
from kgctl.mesh.linking import KEYS, OVERLAP
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
    from kgctl.mesh.linking import Obstacle
    from kgctl.reporter import Reporter
    from kgctl.state.api_server import ApiServer


AT_ONCE = 4
"""Writes of one thing that wait for nothing."""

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds between the writes after those: twice as long each time."""

FORGIVEN = 600.0
"""Seconds without a write after which one of the writes before is forgotten."""


class _Past(NamedTuple):
    """How often something was written lately, and when it was for the last time."""

    writes: int
    last: float


class Damper:
    """Says what may be written now; ``clock`` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._past: dict[Hashable, _Past] = {}

    def pause(self, key: Hashable) -> float:
        """Return for how many seconds the thing called ``key`` is not to be written yet."""
        past = self._past.get(key)
        if past is None:
            return 0.0
        return max(0.0, past.last + _interval(past.writes) - self._clock())

    def wrote(self, key: Hashable) -> float:
        """Note that the thing was written; return the seconds until it may be again."""
        now = self._clock()
        writes, last = self._past.get(key, _Past(0, now))
        writes = max(0, writes - int((now - last) // FORGIVEN)) + 1
        self._past[key] = _Past(writes, now)
        return _interval(writes)

    def forget(self) -> None:
        """Forget what is forgiven altogether, so that names that come and go take no room."""
        now = self._clock()
        self._past = {
            key: past
            for key, past in self._past.items()
            if now - past.last < past.writes * FORGIVEN
        }


class PlanDamper:
    """Leaves out of plans the Peers that were written too often lately; says so once."""

    def __init__(self, clock: Callable[[], float], reporter: Reporter) -> None:
        self._reporter = reporter
        self._damper = Damper(clock)
        self._damped: set[tuple[str, str]] = set()

    def only(self, plan: Plan) -> Plan:
        """Return a plan without what has to wait; what is left counts as written."""
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
                    "is written more and more seldom, every 5 minutes in the end"
                )
            return False
        if not self._damper.wrote(key):
            self._damped.discard(key)
        return True


class FailureReports:
    """Reports which clusters have a network that cannot be built, and when it can be again.

    Once, whatever of the reason changes; one node decides how often that is so, and then it is
    reported more and more seldom.
    """

    def __init__(self, clock: Callable[[], float], reporter: Reporter) -> None:
        self._reporter = reporter
        self._damper = Damper(clock)
        self._said: set[str] = set()

    def report(self, states: Iterable[ClusterState]) -> None:
        """Report what is new of these clusters."""
        for state in states:
            name = state.member.name
            if state.failure is None and name in self._said:
                self._said.discard(name)
                self._reporter.inform(
                    f"{printable(name)}: its network can be built again: its links are kept"
                )
            elif state.failure is not None and name not in self._said:
                if self._damper.pause(name):
                    continue
                self._damper.wrote(name)
                self._said.add(name)
                self._reporter.warn(
                    f"{printable(name)}: its network cannot be built, so what links it stays as it "
                    f"is, and only links between the other clusters are kept: "
                    f"{self._reporter.worded(state.failure)}"
                )


def _interval(writes: int) -> float:
    """Return the seconds to wait after so many writes."""
    if writes < AT_ONCE:
        return 0.0
    return float(min(FIRST_PAUSE * 2 ** min(writes - AT_ONCE, 16), LONGEST_PAUSE))


WATCH_SECONDS = 10.0
"""Seconds between two looks at clusters in which nothing changes: a leader that falls silent is
stale after 60, and that is no change. Files are looked at as often, and so is what may not be
watched."""


SLICES = "endpointslices"
"""The kind of objects that say which pods are behind a service."""


def watch_links(spec: LinkSpec, reporter: Reporter) -> None:
    """Keep the links of clusters current, until KeyboardInterrupt.

    Raises:
        KgctlError: the spec is wrong; what goes wrong later is reported, and tried again.
    """
    spec.check()
    keeper = _Keeper(spec, ServiceMirrors(spec, reporter), reporter)
    _follow(spec, keeper.look, reporter)


class _Keeper:
    """Keeps links current, a look at a time, and says anew only what is new.

    Nobody looks at its plans: what stands against one segment leaves that one out, what is new and
    takes a person is not carried along, and what links a cluster whose network cannot be built
    stays as it is.
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
        """Read the clusters, and do what there is to do.

        Nodes say that they live all the time. Where nothing else changed, services and keys are
        not asked for again before ``WATCH_SECONDS`` are over; of a cluster whose network can be
        built again they are not known.

        Raises:
            KgctlError: something stands against it, or it was done in part.
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
        if {KEYS, OVERLAP} & spec.allowed:  # else what they stand for is left out, alone
            refuse_foreign_links(states, spec, self._reporter)
        views = self._granting.judge(states)
        if kinds and SLICES not in kinds and now < self._looked + WATCH_SECONDS:
            self._keep(states, self._keys, NO_MIRRORS, views)
            return
        self._looked, amiss = -WATCH_SECONDS, None  # until all of it is done
        try:
            mirrors = self._mirrors.find(views, prune=spec.prune)
        except MirrorError as error:  # which must not keep the links from being current
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
    """Look at the clusters now, and again whenever one changes, until KeyboardInterrupt.

    ``look`` is told which kinds of objects changed; none means that everything is to be looked at,
    which is at the beginning and every ``WATCH_SECONDS``. What goes wrong is told once, and tried
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
    """Return the seconds from the beginning of a look to the next one where nothing changes."""
    return took + rest_after(took) + WATCH_SECONDS


class _News:
    """Wakes the loop when something changes; says what cannot be followed."""

    def __init__(self, once: Once, reporter: Reporter) -> None:
        self.inbox = Inbox()
        self._once = once
        self._reporter = reporter

    def look(self, changed: Collection[str]) -> Collection[str]:
        """Return what changed: the clusters are read by whoever hears of it."""
        return changed

    def changed(self, kind: str, _name: str) -> None:
        self.inbox.changed(kind)

    def failed(self, _kind: str, error: ClusterError, _pause: float) -> None:

        instead = f"looking every {WATCH_SECONDS:.0f} s instead"
        text = self._reporter.worded(error)
        self._once.tell(f"{text}; {instead}" if isinstance(error, ForbiddenError) else text)


def _followed(ref: ClusterRef, news: _News, reporter: Reporter) -> ClusterRef:
    """Return a cluster that is read from a copy, which is kept up to date."""
    from kgctl.state.api_server import ApiServer
    from kgctl.state.feeds import ClusterInformer

    if not isinstance(ref.source, ApiServer):
        return ref
    try:
        informer = ClusterInformer(ref.source.api(), news, lasts=LASTS, poll=WATCH_SECONDS)
    except KgctlError as error:
        reporter.warn(f"{printable(ref.name)}: {reporter.worded(error)}")
        return ref
    informer.start()
    return ref._replace(copy=informer)


def _follow_services(spec: LinkSpec, news: _News) -> None:
    """Hear of the pods that come and go behind the services that are mirrored."""
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
