"""A watchdog that closes the connection of a request at its deadline, for the package transport.

A socket's timeout applies to each step: a server, or a proxy in front of it, that sends a byte per
second never triggers it. So a thread shuts the connection down, even during the handshake with a
SOCKS proxy or TLS. This module also makes the connections, since urllib3 has no limit for lookups,
and gives the whole time to each address of a name.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.kube.http.dial import Dialler, Found

_SOCKS_PORT = 1080  # the default port of a SOCKS proxy, as in PySocks
_current = threading.local()


class Watchdog:
    """Shuts the connection of one request down after ``seconds``, unless ``rest`` was called.

    ``deadline`` is that time on the clock of ``time.monotonic``.
    """

    def __init__(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        self.expired = False
        self._ended = False
        self._lock = threading.Lock()
        self._wire: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Watch the connections that this thread makes or uses in the context."""
        _current.watchdog = self
        try:
            yield
        except BaseException:
            self.rest()
            raise
        finally:
            _current.watchdog = None

    def take(self, wire: Any) -> None:
        """Watch a connection by a second descriptor, which also works during the TLS handshake."""
        with self._lock:
            self._drop()
            if not self._ended:
                with suppress(OSError, AttributeError):
                    self._wire = socket.socket(fileno=os.dup(wire.fileno()))
            if self.expired:
                self._shut()

    def rest(self) -> None:
        """Stop watching."""
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
    """A mixin for urllib3's connections: it connects, and registers with the thread's watchdog.

    ``watched`` sets ``_dialler``; the other attributes are those of urllib3's connections.
    """

    _dialler: Dialler
    _dns_host: str
    host: str
    port: int
    socket_options: Any
    _socks_options: Any = None

    def _new_conn(self) -> Any:
        host, port = self._dns_host, self.port
        if self._socks_options is not None:
            host = self._socks_options["proxy_host"]
            port = self._socks_options["proxy_port"] or _SOCKS_PORT
        watchdog = getattr(_current, "watchdog", None)
        deadline = None if watchdog is None else watchdog.deadline
        return self._dialler.connect(host.strip("[]"), port, deadline, self._attempt)

    def _attempt(self, found: Found, seconds: float | None) -> Any:
        family, kind, protocol, _, address = found
        socks = self._socks_options is not None
        wire = _socks_socket(family, kind, protocol) if socks else socket.socket(*found[:3])
        try:
            for option in self.socket_options or ():
                wire.setsockopt(*option)
            wire.settimeout(seconds)
            if socks:
                self._through_socks(wire, address)
            else:
                wire.connect(address)
                _show(wire)
        except BaseException:
            wire.close()
            raise
        return wire

    def _through_socks(self, wire: Any, address: Any) -> None:
        """Connect to the proxy at an address, and through it to the server."""
        numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        host, port = socket.getnameinfo(address, numeric)  # with the zone, if the address has one
        options = self._socks_options
        wire.set_proxy(
            options["socks_version"],
            host,
            int(port),
            options["rdns"],
            options["username"],
            options["password"],
        )
        wire.connect((self.host.strip("[]"), self.port))

    def putrequest(self, *args: Any, **kwargs: Any) -> Any:
        _show(getattr(self, "sock", None))
        return super().putrequest(*args, **kwargs)  # type: ignore[misc]


def _socks_socket(family: Any, kind: Any, protocol: int) -> Any:
    """Return a PySocks socket that is watched from its handshake with the proxy on."""
    import socks

    class Shown(socks.socksocket):  # type: ignore[misc]
        def makefile(self, *args: Any, **kwargs: Any) -> Any:
            _show(self)  # it is connected now, and the handshake uses files
            return super().makefile(*args, **kwargs)

    return Shown(family, kind, protocol)


def _show(wire: Any) -> None:
    watchdog = getattr(_current, "watchdog", None)
    if watchdog is not None and wire is not None:
        watchdog.take(wire)


def watched(manager: Any, dialler: Dialler) -> None:
    """Make a urllib3 pool manager create all connections with ``dialler``, watched."""
    manager.pool_classes_by_scheme = {
        scheme: type(
            pool.__name__,
            (pool,),
            {
                "ConnectionCls": type(
                    pool.ConnectionCls.__name__,
                    (_Watched, pool.ConnectionCls),
                    {"_dialler": dialler},
                )
            },
        )
        for scheme, pool in manager.pool_classes_by_scheme.items()
    }
