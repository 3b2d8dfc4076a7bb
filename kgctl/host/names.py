"""Name resolution: of endpoints in the background, of many names at once, and of an interface.

``Names`` resolves endpoints in threads, so that a tunnel never waits for DNS. ``look_up_all``, for
check and peer add, tests many names within seconds; it distinguishes "the name does not exist" from
"no DNS server answered", since only the first is a fault of the name. The rest sets the DNS servers
and search domains of an interface with systemd-resolved's ``resolvectl``.
"""

from __future__ import annotations

import queue
import shutil
import socket
import subprocess
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import HostError
from kgctl.mesh.cidr import Address, parse_address
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence


AT_ONCE = 8
"""Maximum number of concurrent look-ups: a DNS server that does not answer blocks one of them for
half a minute."""

_RESERVED = 1  # additional look-ups, for names of ``keep_first``


def look_up(name: str) -> list[Address]:
    """Return the addresses of a DNS name, the best for this machine first (RFC 6724).

    Raises:
        OSError: the name has no address, or no DNS server answered.
    """
    found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    addresses = (parse_address(str(entry[4][0])) for entry in found)
    return list(dict.fromkeys(address for address in addresses if address is not None))


class Names:
    """A cache of names. Threads resolve them, and call ``changed`` about new addresses or reasons.

    A name that can no longer be resolved keeps its address.
    """

    def __init__(
        self,
        changed: Callable[[], None],
        lookup: Callable[[str], list[Address]] = look_up,
    ) -> None:
        self._changed = changed
        self._lookup = lookup
        self._known: dict[str, list[Address]] = {}
        self._failed: dict[str, str] = {}
        self._first: set[str] = set()
        self._asked: set[str] = set()
        self._dropped: set[str] = set()  # forgotten during their look-up
        self._waiting: deque[str] = deque()
        self._lock = threading.Lock()
        self._more = threading.Condition(self._lock)
        self._idle = threading.Event()
        self._idle.set()
        self._threads = self._resting = self._busy = self._problems_changed = 0

    def keep_first(self, name: str) -> None:
        """Resolve this name before all others, and never forget it."""
        with self._lock:
            self._first.add(name)

    def retain(self, names: Collection[str]) -> None:
        """Forget all names except these and those of ``keep_first``, and cancel their look-ups."""
        with self._lock:
            stale = {*self._known, *self._failed, *self._asked} - self._first - set(names)
            if not stale:
                return
            for name in stale:
                self._known.pop(name, None)
                self._failed.pop(name, None)
            waiting = stale & set(self._waiting)
            self._waiting = deque(name for name in self._waiting if name not in stale)
            self._dropped |= stale & self._asked - waiting
            self._asked -= waiting
            self._rest_if_done()

    def address(self, name: str) -> Address | None:
        """Return the address of a name; None during the look-up, or if it has none."""
        return next(iter(self.addresses(name)), None)

    def addresses(self, name: str) -> list[Address]:
        """Return every address of a name, the best first; empty during the look-up."""
        with self._lock:
            found = self._known.get(name)
            new = found is None and name not in self._failed
        if new:
            self.refresh(name)
        return found or []

    def problem(self, name: str) -> str:
        """Return why the last look-up of a name failed, or an empty string."""
        with self._lock:
            return self._failed.get(name, "")

    @property
    def problems_changed(self) -> int:
        """Return how often a look-up ended with another reason than the one before."""
        with self._lock:
            return self._problems_changed

    def refresh(self, name: str) -> None:
        """Start a new look-up of a name."""
        with self._lock:
            self._dropped.discard(name)
            if name in self._asked:
                return
            self._asked.add(name)
            self._idle.clear()
            if name in self._first:
                self._waiting.appendleft(name)
            else:
                self._waiting.append(name)
            if len(self._waiting) <= self._resting or self._threads >= AT_ONCE + _RESERVED:
                self._more.notify()
                return
            self._threads += 1
        # a daemon: a DNS server that does not answer must not block the exit
        threading.Thread(target=self._work, daemon=True, name="names").start()

    def settle(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for all look-ups; return whether they ended."""
        return self._idle.wait(timeout)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._resting += 1
                while not self._may_take():
                    self._more.wait()
                self._resting -= 1
                name = self._waiting.popleft()
                counts = name not in self._first
                self._busy += counts
            try:
                found, problem = self._lookup(name), ""
            except Exception as error:  # a dead thread would never resolve anything again
                found, problem = [], getattr(error, "strerror", None) or str(error)
            with self._lock:
                self._busy -= counts
            if self._learn(name, found, problem):
                self._changed()

    def _may_take(self) -> bool:
        """Return whether a name is waiting that may start without using the reserve."""
        if not self._waiting:
            return False
        return self._waiting[0] in self._first or self._busy < AT_ONCE

    def _learn(self, name: str, found: list[Address], problem: str) -> bool:
        """Store an answer; return whether it changes the addresses, or why there are none."""
        with self._lock:
            self._asked.discard(name)
            self._rest_if_done()
            if name in self._dropped:
                self._dropped.discard(name)
                return False
            before = self._known.get(name), self._failed.get(name, "")
            if found:
                self._known[name] = found
                self._failed.pop(name, None)
            else:
                self._failed[name] = problem or "it has no address"
            after = self._known.get(name), self._failed.get(name, "")
            self._problems_changed += before[1] != after[1]
        return before != after

    def _rest_if_done(self) -> None:
        if not self._asked:
            self._idle.set()


SECONDS = 5.0
"""Maximum seconds for all look-ups together."""

_AT_ONCE = 16
_NO_SUCH_NAME = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
)
_NEVER = ".invalid"  # RFC 6761, section 6.4: no such name resolves; DNS need not be asked


class LookedUp(NamedTuple):
    """The result of look-ups: names that do not exist, and names without an answer.

    Each maps a name to the system's error text.
    """

    missing: Mapping[str, str]
    unasked: Mapping[str, str]


def look_up_all(
    names: Iterable[str],
    *,
    seconds: float = SECONDS,
    lookup: Callable[[str], list[Address]] = look_up,
) -> LookedUp:
    """Look up names concurrently; those without an answer in ``seconds`` are unasked."""
    wanted = dict.fromkeys(names)
    missing = {name: "the top-level domain is reserved for names that do not exist"
               for name in wanted if f".{name}".endswith(_NEVER)}  # fmt: skip
    asked = [name for name in wanted if name not in missing]
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[str, bool, str]] = queue.SimpleQueue()
    for name in asked:
        waiting.put(name)
    for _ in range(min(_AT_ONCE, len(asked))):
        # daemons: a resolver that hangs must not block the exit
        threading.Thread(
            target=_work, args=(waiting, answers, lookup), daemon=True, name="look-up"
        ).start()
    unasked = dict.fromkeys(asked, "no answer in time")
    end = time.monotonic() + seconds
    for _ in asked:
        try:
            name, known, why = answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        if not known:
            unasked[name] = why
            continue
        del unasked[name]
        if why:
            missing[name] = why
    return LookedUp(missing, unasked)


def _work(
    waiting: queue.SimpleQueue[str],
    answers: queue.SimpleQueue[tuple[str, bool, str]],
    lookup: Callable[[str], list[Address]],
) -> None:
    """Look up waiting names; put the name, whether DNS answered, and the reason of a failure."""
    while True:
        try:
            name = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            why = "" if lookup(name) else "it has no address"
            answers.put((name, True, why))
        except socket.gaierror as error:
            answers.put((name, error.errno in _NO_SUCH_NAME, error.strerror or str(error)))
        except (OSError, UnicodeError) as error:
            answers.put((name, False, str(error)))


PROGRAM = "resolvectl"
_SECONDS = 10.0


def commands(interface: str, servers: Sequence[Address], domains: Sequence[str]) -> list[list[str]]:
    """Return the commands that make ``servers`` resolve ``domains`` on ``interface``.

    Without domains they resolve every name (``~.``), as with wg-quick(8).
    """
    found = []
    if servers:
        found.append([PROGRAM, "dns", interface, *map(str, servers)])
    if servers or domains:
        found.append([PROGRAM, "domain", interface, *(domains or ["~."])])
    return found


def require(path: str | None = None) -> None:
    """Check that name resolution can be set up. ``path`` replaces the PATH.

    Raises:
        HostError: this machine has no ``resolvectl``.
    """
    if shutil.which(PROGRAM, path=path) is None:
        raise HostError(
            f"DNS settings need {PROGRAM} of systemd-resolved, which this machine does not have: "
            "omit them, and configure DNS by this machine's own means",
            field="DNS settings",
        )


def run(argv: Sequence[str]) -> None:
    """Run one of the commands.

    Raises:
        HostError: the command failed.
    """
    try:
        done = subprocess.run(  # noqa: S603 - arguments were parsed
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"cannot run {argv[0]}: {error}") from error
    if done.returncode != 0:
        said = printable(done.stderr.decode("utf-8", "replace").strip(), 300)
        raise HostError(f"{' '.join(argv)} failed: {said or done.returncode}")


def revert(interface: str) -> None:
    """Undo ``commands`` on an interface that stays: remove its DNS servers and domains.

    Raises:
        HostError: the command failed.
    """
    run([PROGRAM, "revert", interface])
