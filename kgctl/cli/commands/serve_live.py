"""Live state of the network for ``kgctl serve``, and its page, which is made on request."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.cli.commands.evidence import Examined, as_of, examined
from kgctl.cli.commands.page import page_of
from kgctl.cli.core.hints import message
from kgctl.cli.core.output import note
from kgctl.cli.core.source import listen_port, live_cluster, mesh_granularity, time_of
from kgctl.errors import KgctlError
from kgctl.render.page.content import content
from kgctl.state.follow import Inbox, Once, until_tick

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.cli.core.shared import Shared
    from kgctl.errors import ClusterError
    from kgctl.kube.http.client import Api
    from kgctl.state.evidence import Evidence

_FRESH = 1.0  # seconds
_AGED = re.compile(r"heartbeat \d+[smhd] old")


class Seen(NamedTuple):
    """The state of a cluster, the time of its last answer, and the reason if that is long ago.

    Times are in Unix seconds; ``trouble`` is empty if there is none.
    """

    examined: Examined
    heard: float
    trouble: str = ""


class Network:
    """A network that ``look`` reads; its methods are thread-safe.

    ``look`` is called at most every ``interval`` seconds. Pages have a version, which grows when
    something other than ages changed. With ``fixed`` time, ages do not grow.
    """

    def __init__(
        self,
        look: Callable[[], Seen],
        first: Seen,
        *,
        port: int,
        interval: float,
        fixed: bool,
    ) -> None:
        self._look = look
        self._seen = first
        self._port = port
        self._interval = interval
        self._fixed = fixed
        self._lock = threading.Lock()
        self._next_look = time.monotonic() + interval
        self._next_page = 0.0
        self._page: dict[str, Any] = {}
        self._made = 0.0
        self._version = 0

    def seen(self) -> tuple[Seen, float]:
        """Return the state of the cluster, and the time to count ages to, in Unix seconds.

        If the cluster cannot be read, this is its last known state.
        """
        with self._lock:
            seen = self._read()
            return seen, self._present(seen)

    def page(self) -> dict[str, Any]:
        """Return the data of the page.

        Raises:
            MeshError: there is no network, and there was none before.
        """
        with self._lock:
            self._update()
            return self._page | self._since()

    def news(self, since: str) -> dict[str, Any] | None:
        """Return the data of the page for a client that has the version ``since``.

        If that is current, return only the ages, in its order, or None if they do not grow.

        Raises:
            MeshError: there is no network, and there was none before.
        """
        with self._lock:
            self._update()
            if since != str(self._version):
                return self._page | self._since()
            if self._fixed:
                return None
            things = (one for area in self._page["areas"] for one in area["things"])
            return {"beats": [one.get("beat") for one in things], **self._since()}

    def _update(self) -> None:
        if time.monotonic() >= self._next_page:
            self._make()

    def _since(self) -> dict[str, Any]:
        """Return the seconds since the page was made, and since the cluster last answered."""
        silence = max(0.0, time.time() - self._seen.heard)
        return {"elapsed": time.monotonic() - self._made, "silence": silence}

    def _present(self, seen: Seen) -> float:
        return seen.examined.now if self._fixed else time.time()

    def _read(self) -> Seen:
        if time.monotonic() >= self._next_look:
            try:
                self._seen = self._look()
            except KgctlError as error:
                self._seen = self._seen._replace(trouble=message(error))
            self._next_look = time.monotonic() + self._interval
        return self._seen

    def _make(self) -> None:
        began = time.monotonic()
        seen, trouble = self._read(), ""
        try:
            fresh = content(page_of(seen.examined, self._port, self._present(seen)))
        except KgctlError as error:
            if not self._page:
                raise
            fresh, trouble = self._page, message(error)
        else:
            self._made = began
        fresh = {**fresh, "trouble": trouble or seen.trouble, "away": bool(seen.trouble)}
        if _lasting(fresh) != _lasting(self._page):
            self._version += 1
        live = {"version": self._version, "live": "data", "ticks": not self._fixed}
        self._page = {**fresh, **live}
        took = time.monotonic() - began
        self._next_page = time.monotonic() + until_tick(took, _FRESH)


def _lasting(page: dict[str, Any]) -> object:
    """Return the parts of a page that do not change with time alone."""
    areas = [[_lasting_of(one) for one in area["things"]] for area in page.get("areas", ())]
    return areas, page.get("findings"), page.get("subnet"), page.get("trouble")


def _lasting_of(thing: dict[str, Any]) -> dict[str, Any]:
    facts = [fact for fact in thing["facts"] if fact[0] != "heartbeat"]
    reasons = [reason for reason in thing["reasons"] if not _AGED.fullmatch(reason)]
    return {**thing, "facts": facts, "reasons": reasons, "text": "", "beat": None}


def live_network(shared: Shared, interval: int) -> Network:
    """Read the cluster that the options name, and return it as a network that is kept up to date.

    A live cluster is watched, if that is allowed; otherwise it is read every ``interval`` seconds,
    like files.

    Raises:
        KgctlError: the first read fails.
    """
    port = listen_port(shared)
    if shared.filename or shared.example:
        first = _examined(shared)
        look, fixed = _again(shared, first), _is_fixed(shared)
        return Network(look, first, port=port, interval=float(interval), fixed=fixed)
    return _followed(shared, port, interval)


def _is_fixed(shared: Shared) -> bool:
    """Return whether the options fix the time as of which the cluster is judged."""
    return shared.at is not None or bool(shared.example)


def _examined(shared: Shared) -> Seen:
    return Seen(examined(shared, live=False), time.time())


def _again(shared: Shared, first: Seen) -> Callable[[], Seen]:
    if "-" in (shared.filename or ()):  # standard input can be read only once
        return lambda: first
    return lambda: _examined(shared)


def _followed(shared: Shared, port: int, interval: int) -> Network:
    from kgctl.state.evidence import read_evidence

    cluster = live_cluster(shared)
    api = cluster.api()
    began = time.time()
    evidence = read_evidence(cluster)
    first = Seen(_judged(shared, evidence, time.time()), began)
    fixed = _is_fixed(shared)
    if evidence.peers_served:
        look = _watched(shared, api, evidence, began, float(interval))
        return Network(look, first, port=port, interval=_FRESH, fixed=fixed)

    def read() -> Seen:  # an informer would wait for peers forever
        return Seen(_judged(shared, read_evidence(cluster), time.time()), time.time())

    return Network(read, first, port=port, interval=float(interval), fixed=fixed)


def _watched(
    shared: Shared, api: Api, evidence: Evidence, began: float, interval: float
) -> Callable[[], Seen]:
    """Return a function that reads a cluster from informers; each request calls it."""
    from kgctl.state.evidence import Evidence
    from kgctl.state.feeds import LiveFeed

    once, inbox = Once(note), Inbox()

    def changed(kind: str) -> None:
        once.over()
        inbox.changed(kind)

    def failed(kind: str, error: ClusterError) -> None:
        once.tell(f"{kind}: {message(error)}")

    feed = LiveFeed(
        api,
        evidence.objects,
        at=began,
        poll=interval,
        changed=changed,
        failed=failed,
        worded=message,
    )

    def look() -> Seen:
        objects, standing = feed.look(inbox.kinds())
        read = objects is evidence.objects
        known = evidence if read else Evidence(objects, peers_served=True, live=True)
        return Seen(_judged(shared, known, standing.judged), standing.heard, standing.trouble)

    return look


def _judged(shared: Shared, evidence: Evidence, now: float) -> Examined:
    label = shared.location_label
    subject = as_of(shared, evidence).subject(topology_label=label)
    return Examined(subject, time_of(shared, subject.state, now), mesh_granularity(shared))
