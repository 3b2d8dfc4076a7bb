"""Connections to a server by its name, with one deadline for the lookup and the connection."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

from kgctl.kube.failures import CONNECT_LIMIT, LookupTimeoutError
from kgctl.kube.timeout import remaining

if TYPE_CHECKING:
    from collections.abc import Callable

Found: TypeAlias = tuple[Any, Any, int, str, Any]
"""An address to connect to, as ``socket.getaddrinfo`` returns it."""


def look_up(host: str | bytes, port: int) -> list[Found]:
    """Look up the addresses of a host with the system's resolver; this can take half a minute.

    Raises:
        OSError: the host has no address, or no name server can be reached.
    """
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


class Dialler:
    """Looks up names with ``ask`` and connects. It may be used from several threads.

    The system's lookup cannot be cancelled, so it runs in a thread, and the caller waits for it
    only until its deadline. A name whose lookup still hangs is not looked up a second time: a
    program that retries for days would pile up threads.
    """

    def __init__(self, ask: Callable[[str | bytes, int], list[Found]] = look_up) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str | bytes, int], _LookUp] = {}

    def connect(
        self,
        host: str | bytes,
        port: int,
        deadline: float | None,
        attempt: Callable[[Found, float | None], socket.socket],
    ) -> socket.socket:
        """Return the first connection that ``attempt`` makes to an address of the host.

        It gets the seconds that it may take. ``deadline`` is on the clock of ``time.monotonic``.

        Raises:
            OSError: the error of the last attempt, or of the lookup.
            LookupTimeoutError: the lookup did not end in time.
            TimeoutError: the deadline has passed.
        """
        failure: OSError | None = None
        for found in self._addresses(host, port, deadline):
            try:
                return attempt(found, remaining(deadline, CONNECT_LIMIT))
            except OSError as error:
                failure = error
        raise failure or OSError("its name has no address")

    def _addresses(self, host: str | bytes, port: int, deadline: float | None) -> list[Found]:
        if _is_address(host):
            return self._ask(host, port)
        with self._lock:
            look = self._under_way.get((host, port))
            if look is None:
                look = self._under_way[host, port] = _LookUp()
                thread = threading.Thread(target=self._run, args=(look, host, port), daemon=True)
                thread.start()
        try:
            done = look.done.wait(remaining(deadline, CONNECT_LIMIT))
        except TimeoutError:  # the deadline had passed before
            done = look.done.is_set()
        if not done:
            raise LookupTimeoutError
        if look.failure is not None:
            raise look.failure
        return look.found

    def _run(self, look: _LookUp, host: str | bytes, port: int) -> None:
        try:
            look.found = self._ask(host, port)
        except BaseException as error:
            look.failure = error
        with self._lock:
            del self._under_way[host, port]
        look.done.set()


DIALLER = Dialler()
"""The dialler of the program: a lookup that hangs for one transport is not repeated by another."""


class _LookUp:
    """A lookup in progress, and its result."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.found: list[Found] = []
        self.failure: BaseException | None = None


def _is_address(host: str | bytes) -> bool:
    """Return whether a host is an IP address, with or without a zone, which needs no lookup."""
    text = host if isinstance(host, str) else host.decode("ascii")
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text.partition("%")[0])
        except (OSError, ValueError):
            continue
        return True
    return False
