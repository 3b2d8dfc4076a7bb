"""Resolving the names of endpoints, without ever keeping a tunnel waiting for it."""

from __future__ import annotations

import queue
import socket
import threading
from typing import TYPE_CHECKING

from kgctl.mesh.cidr import Address, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable


def look_up(name: str) -> list[Address]:
    """Return the addresses of a DNS name, the best for this machine first (RFC 6724).

    Raises:
        OSError: it has none, or nobody who knows can be asked.
    """
    found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    addresses = (parse_address(str(entry[4][0])) for entry in found)
    return list(dict.fromkeys(address for address in addresses if address is not None))


class Names:
    """What is known of names. A thread looks them up, and calls ``changed`` when one has moved.

    A name that cannot be resolved keeps the address that it had.
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
        self._asked: set[str] = set()
        self._wanted: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._thread: threading.Thread | None = None

    def address(self, name: str) -> Address | None:
        """Return the address of a name; None while it is being looked up, or has none."""
        return next(iter(self.addresses(name)), None)

    def addresses(self, name: str) -> list[Address]:
        """Return every address of a name, the best first; none while it is being looked up."""
        with self._lock:
            found = self._known.get(name)
            new = found is None and name not in self._failed
        if new:
            self.refresh(name)
        return found or []

    def problem(self, name: str) -> str:
        """Return why a name could not be resolved the last time, or the empty string."""
        with self._lock:
            return self._failed.get(name, "")

    def refresh(self, name: str) -> None:
        """Have a name looked up again."""
        with self._lock:
            if name in self._asked:
                return
            self._asked.add(name)
            self._idle.clear()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True, name="names")
                self._thread.start()
        self._wanted.put(name)

    def settle(self, timeout: float) -> bool:
        """Wait at most so many seconds until every name was looked up; tell whether they were."""
        return self._idle.wait(timeout)

    def _work(self) -> None:
        while True:
            name = self._wanted.get()
            try:
                found, problem = self._lookup(name), ""
            except (OSError, UnicodeError) as error:
                found, problem = [], getattr(error, "strerror", None) or str(error)
            if self._learn(name, found, problem):
                self._changed()

    def _learn(self, name: str, found: list[Address], problem: str) -> bool:
        """Keep an answer; tell whether it is news."""
        with self._lock:
            before = self._known.get(name)
            if found:
                self._known[name] = found
                self._failed.pop(name, None)
            else:
                self._failed[name] = problem or "it has no address"
            self._asked.discard(name)
            if not self._asked:
                self._idle.set()
        return bool(found) and found != before
