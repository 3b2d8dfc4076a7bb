"""Ends the connection of a request whose time is up, whatever its library waits for.

A timeout of sockets is one of each step: a server, or a proxy before it, that sends a byte a second
never meets it. Here a thread shuts the connection down, from the start of connecting on.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_current = threading.local()


class Watchdog:
    """Ends the connection of one request after so many seconds, unless ``rest`` was called."""

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._ended = False
        self._lock = threading.Lock()
        self._wire: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Take the connections that this thread makes, or uses, meanwhile."""
        _current.watchdog = self
        try:
            yield
        except BaseException:
            self.rest()
            raise
        finally:
            _current.watchdog = None

    def take(self, wire: Any) -> None:
        """Watch a connection; another descriptor of it also ends it while TLS begins."""
        with self._lock:
            self._drop()
            if not self._ended:
                with suppress(OSError, AttributeError):
                    self._wire = socket.socket(fileno=os.dup(wire.fileno()))
            if self.expired:
                self._shut()

    def rest(self) -> None:
        """Watch no longer."""
        self._timer.cancel()
        with self._lock:
            self._ended = True
            self._drop()

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            self._shut()

    def _shut(self) -> None:
        if self._wire is not None:
            with suppress(OSError):
                self._wire.shutdown(socket.SHUT_RDWR)

    def _drop(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None


class _Watched:
    """Shows the connections of urllib3 to the watchdog of the thread that uses them."""

    def _new_conn(self) -> Any:
        wire = super()._new_conn()  # type: ignore[misc]
        _show(wire)
        return wire

    def putrequest(self, *args: Any, **kwargs: Any) -> Any:
        _show(getattr(self, "sock", None))
        return super().putrequest(*args, **kwargs)  # type: ignore[misc]


def _show(wire: Any) -> None:
    watchdog = getattr(_current, "watchdog", None)
    if watchdog is not None and wire is not None:
        watchdog.take(wire)


def watched(manager: Any) -> None:
    """Have all connections of a pool manager of urllib3's be watched."""
    manager.pool_classes_by_scheme = {
        scheme: type(
            pool.__name__,
            (pool,),
            {
                "ConnectionCls": type(
                    pool.ConnectionCls.__name__, (_Watched, pool.ConnectionCls), {}
                )
            },
        )
        for scheme, pool in manager.pool_classes_by_scheme.items()
    }
