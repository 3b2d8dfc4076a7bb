"""What is served: the network as it is now, and its page, made anew when it is asked for."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from kgctl.cli.examining import Examined, examined
from kgctl.cli.output import note
from kgctl.cli.page import page_content
from kgctl.cli.reading import listen_port, live_cluster, mesh_granularity, time_of
from kgctl.mesh.errors import KgctlError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.cli.shared import Shared
    from kgctl.cluster.errors import ClusterError
    from kgctl.cluster.evidence import Evidence
    from kgctl.cluster.mirror import Mirror

_LASTS = 300  # seconds that one watch lasts
_REST = 4  # times as long as making a page takes, before the next is made
_FRESH = 1.0  # seconds


class Network:
    """A network that is looked at through ``look``; its methods may be called from any thread.

    ``look`` is called at most every ``interval`` seconds. A page is numbered: the number grows
    when something changed besides the age of heartbeats.
    """

    def __init__(
        self, look: Callable[[], Examined], first: Examined, *, port: int, interval: float
    ) -> None:
        self._look = look
        self._seen = first
        self._port = port
        self._interval = interval
        self._lock = threading.Lock()
        self._next_look = time.monotonic() + interval
        self._next_page = 0.0
        self._page: dict[str, Any] = {}
        self._version = 0
        self._trouble = ""

    def seen(self) -> Examined:
        """Return what the cluster holds; where it cannot be read, what it held before."""
        with self._lock:
            return self._read()

    def page(self) -> dict[str, Any]:
        """Return the data of the page.

        Raises:
            MeshError: there is no network, and was none before.
        """
        with self._lock:
            if time.monotonic() >= self._next_page:
                self._make()
            return self._page

    def _read(self) -> Examined:
        if time.monotonic() >= self._next_look:
            try:
                self._seen = self._look()
                self._trouble = ""
            except KgctlError as error:
                self._trouble = str(error)
            self._next_look = time.monotonic() + self._interval
        return self._seen

    def _make(self) -> None:
        began = time.monotonic()
        trouble = ""
        try:
            fresh = page_content(self._read(), self._port)
        except KgctlError as error:
            if not self._page:
                raise
            fresh, trouble = self._page, str(error)
        fresh = {**fresh, "trouble": trouble or self._trouble}
        if _lasting(fresh) != _lasting(self._page):
            self._version += 1
        self._page = {**fresh, "version": self._version, "live": "data"}
        took = time.monotonic() - began
        self._next_page = time.monotonic() + max(_FRESH, _REST * took)


def _lasting(page: dict[str, Any]) -> object:
    """Return what of a page does not change with the time alone."""
    areas = [
        [{**one, "facts": _facts(one), "text": ""} for one in area["things"]]
        for area in page.get("areas", ())
    ]
    return areas, page.get("findings"), page.get("subnet"), page.get("trouble")


def _facts(thing: dict[str, Any]) -> list[Any]:
    return [fact for fact in thing["facts"] if fact[0] != "heartbeat"]


def live_network(shared: Shared, interval: int) -> Network:
    """Read what the options name, and return it as a network that is kept up to date.

    A live cluster is followed by watching, where that is allowed, else looked at every
    ``interval`` seconds, as files are.

    Raises:
        KgctlError: it cannot be read this first time.
    """
    port = listen_port(shared)
    if shared.filename or shared.example:
        first = examined(shared, live=False)
        return Network(_again(shared, first), first, port=port, interval=float(interval))
    return _followed(shared, port, interval)


def _again(shared: Shared, first: Examined) -> Callable[[], Examined]:
    if "-" in (shared.filename or ()):  # standard input can be read only once
        return lambda: first
    return lambda: examined(shared, live=False)


def _followed(shared: Shared, port: int, interval: int) -> Network:
    from kgctl.cluster.evidence import Evidence, read_evidence
    from kgctl.cluster.mirror import Mirror

    cluster = live_cluster(shared)
    api = cluster.api()
    evidence = read_evidence(cluster)
    first = _judged(shared, evidence, time.time())
    if not evidence.peers_served:  # a mirror would wait for peers for ever
        return Network(
            lambda: _judged(shared, read_evidence(cluster), time.time()),
            first,
            port=port,
            interval=float(interval),
        )
    mirror: Mirror = Mirror(api, _Log(), lasts=_LASTS, poll=float(interval))
    mirror.start()

    def look() -> Examined:
        objects = mirror.read()
        if objects is None:
            return first
        # judged as of when the server was last heard: its absence makes no node old
        return _judged(shared, Evidence(objects, peers_served=True, live=True), mirror.heard)

    return Network(look, first, port=port, interval=_FRESH)


def _judged(shared: Shared, evidence: Evidence, now: float) -> Examined:
    from kgctl.cluster.interface import TOPOLOGY_LABEL

    subject = evidence.subject(topology_label=shared.topology_label or TOPOLOGY_LABEL)
    return Examined(subject, time_of(shared, subject.state, now), mesh_granularity(shared))


class _Log:
    """Says what cannot be followed, each thing once in a row."""

    def __init__(self) -> None:
        self._said = ""

    def changed(self, _kind: str, _name: str) -> None:
        self._said = ""

    def failed(self, kind: str, error: ClusterError, _pause: float) -> None:
        text = f"{kind}: {error}"
        if text != self._said:
            note(text)
        self._said = text
