"""What is served: the network as it is now, and its page, made anew when it is asked for."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.cli.examining import Examined, as_of, examined
from kgctl.cli.hints import message
from kgctl.cli.output import note
from kgctl.cli.page import page_content
from kgctl.cli.reading import listen_port, live_cluster, mesh_granularity, time_of
from kgctl.mesh.errors import KgctlError
from kgctl.state.standing import LASTS, Hearing

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.cli.shared import Shared
    from kgctl.kube.errors import ClusterError
    from kgctl.state.evidence import Evidence
    from kgctl.state.informer import ClusterInformer

_REST = 4  # times as long as making a page takes, before the next is made
_FRESH = 1.0  # seconds
_AGED = re.compile(r"heartbeat \d+[smhd] old")


class Seen(NamedTuple):
    """What was seen of a cluster, when it was last heard of, and why that may be a while ago.

    Times are in Unix seconds; ``trouble`` is empty where there is none.
    """

    examined: Examined
    heard: float
    trouble: str = ""


class Network:
    """A network that is looked at through ``look``; its methods may be called from any thread.

    ``look`` is called at most every ``interval`` seconds. A page is numbered: the number grows
    when something changed besides ages. With ``fixed`` time these do not grow.
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
        """Return what the cluster holds, and the time to count ages to, in Unix seconds.

        Where it cannot be read, that is what it held before.
        """
        with self._lock:
            seen = self._read()
            return seen, self._present(seen)

    def page(self) -> dict[str, Any]:
        """Return the data of the page.

        Raises:
            MeshError: there is no network, and was none before.
        """
        with self._lock:
            self._update()
            return self._page | self._since()

    def news(self, since: str) -> dict[str, Any] | None:
        """Return the data of the page to who has the one numbered ``since``.

        Where that is this one, it is the ages alone, in its order; None where they do not grow.

        Raises:
            MeshError: there is no network, and was none before.
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
        """Return for how many seconds the page is there, and nothing was heard of the cluster."""
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
            fresh = page_content(seen.examined, self._port, self._present(seen))
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
        self._next_page = time.monotonic() + max(_FRESH, _REST * took)


def _lasting(page: dict[str, Any]) -> object:
    """Return what of a page does not change with the time alone."""
    areas = [[_lasting_of(one) for one in area["things"]] for area in page.get("areas", ())]
    return areas, page.get("findings"), page.get("subnet"), page.get("trouble")


def _lasting_of(thing: dict[str, Any]) -> dict[str, Any]:
    facts = [fact for fact in thing["facts"] if fact[0] != "heartbeat"]
    reasons = [reason for reason in thing["reasons"] if not _AGED.fullmatch(reason)]
    return {**thing, "facts": facts, "reasons": reasons, "text": "", "beat": None}


def live_network(shared: Shared, interval: int) -> Network:
    """Read what the options name, and return it as a network that is kept up to date.

    A live cluster is followed by watching, where that is allowed, else looked at every
    ``interval`` seconds, as files are.

    Raises:
        KgctlError: it cannot be read this first time.
    """
    port = listen_port(shared)
    if shared.filename or shared.example:
        first = _examined(shared)
        look, fixed = _again(shared, first), _is_fixed(shared)
        return Network(look, first, port=port, interval=float(interval), fixed=fixed)
    return _followed(shared, port, interval)


def _is_fixed(shared: Shared) -> bool:
    """Tell whether the options say at which time everything is judged."""
    return shared.at is not None or bool(shared.example)


def _examined(shared: Shared) -> Seen:
    return Seen(examined(shared, live=False), time.time())


def _again(shared: Shared, first: Seen) -> Callable[[], Seen]:
    if "-" in (shared.filename or ()):  # standard input can be read only once
        return lambda: first
    return lambda: _examined(shared)


def _followed(shared: Shared, port: int, interval: int) -> Network:
    from kgctl.state.evidence import Evidence, read_evidence
    from kgctl.state.informer import ClusterInformer

    cluster = live_cluster(shared)
    api = cluster.api()
    began = time.time()
    evidence = read_evidence(cluster)
    first = Seen(_judged(shared, evidence, time.time()), began)
    if not evidence.peers_served:  # a mirror would wait for peers for ever
        return Network(
            lambda: Seen(_judged(shared, read_evidence(cluster), time.time()), time.time()),
            first,
            port=port,
            interval=float(interval),
            fixed=_is_fixed(shared),
        )
    log = _Log(Hearing(began, float(interval), worded=message))
    mirror: ClusterInformer = ClusterInformer(api, log, lasts=LASTS, poll=float(interval))
    mirror.start()

    def look() -> Seen:
        objects, standing = mirror.read(), log.hearing.standing(mirror)
        known = evidence if objects is None else Evidence(objects, peers_served=True, live=True)
        # judged as of when the server was last heard: its absence makes no node old
        seen = _judged(shared, known, standing.judged)
        return Seen(seen, standing.heard, standing.trouble)

    return Network(look, first, port=port, interval=_FRESH, fixed=_is_fixed(shared))


def _judged(shared: Shared, evidence: Evidence, now: float) -> Examined:
    from kgctl.kube.objects import TOPOLOGY_LABEL

    label = shared.topology_label or TOPOLOGY_LABEL
    subject = as_of(shared, evidence).subject(topology_label=label)
    return Examined(subject, time_of(shared, subject.state, now), mesh_granularity(shared))


class _Log:
    """Says what cannot be followed, each thing once in a row."""

    def __init__(self, hearing: Hearing) -> None:
        self.hearing = hearing
        self._said = ""

    def changed(self, _kind: str, _name: str) -> None:
        self._said = ""

    def failed(self, kind: str, error: ClusterError, _pause: float) -> None:
        self.hearing.failed(kind, error)
        text = f"{kind}: {message(error)}"
        if text != self._said:
            note(text)
        self._said = text
