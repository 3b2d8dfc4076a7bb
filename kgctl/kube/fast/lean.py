"""The lean transport: requests with only the standard library, for common kubeconfigs."""

from __future__ import annotations

import socket
import time
import weakref
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from kgctl.kube.access.credentials import (
    QUIET_LIMIT,
    Credentials,
    impersonation,
    renewable,
    resolve_credentials,
)
from kgctl.kube.access.kubeconfig import server_url
from kgctl.kube.access.proxy import http_proxy, proxy_failure, proxy_for
from kgctl.kube.failures import (
    CONNECT_LIMIT,
    HEAD_LIMIT,
    LookupTimeoutError,
    connection_failure,
    no_http,
    place,
)
from kgctl.kube.fast.http1 import Answer, NoHttpError, Wire
from kgctl.kube.http.dial import DIALLER, Dialler
from kgctl.kube.timeout import remaining

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from kgctl.errors import ClusterError
    from kgctl.kube.access.auth_provider import AuthProvider
    from kgctl.kube.access.kubeconfig import Access
    from kgctl.kube.access.proxy import HttpProxy
    from kgctl.kube.http.dial import Found

_HANDSHAKE = 0.013  # seconds of work that a TLS handshake takes at most, without network delay


class _Request(NamedTuple):
    """A request with its final headers."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None

    def __repr__(self) -> str:
        """Return method and target without the token: this text may end up in a log."""
        return f"_Request({self.method} {self.target})"


class LeanTransport:
    """A transport on its own sockets: one connection per request, kept for later requests."""

    def __init__(
        self,
        access: Access,
        interactive: bool = True,
        limit: float = QUIET_LIMIT,
        dialler: Dialler | None = None,
    ) -> None:
        self._idle: list[Wire] = []
        self._ahead: dict[_Request, Wire] = {}
        # a caller that reads once does not need to close; a __del__ would come too late where a
        # cycle of references ends: there Python may finalize the sockets first
        weakref.finalize(self, _close, self._idle, self._ahead)
        self._access = access
        self._dialler = dialler or DIALLER
        self._asking = (interactive, limit)
        self._provider: AuthProvider | None = None
        if access.user.get("auth-provider"):
            from kgctl.kube.access.auth_provider import AuthProvider

            self._provider = AuthProvider(access)
        self._credentials = self._resolved()
        self._impersonated = impersonation(access)
        self._server = server_url(access)
        proxy = proxy_for(access)
        self._proxy = http_proxy(proxy) if proxy else None
        self._port = self._server.port or (443 if self._server.scheme == "https" else 80)
        # RFC 6874: [fe80::1%25eth0]; the zone has a meaning only on this system
        self._host = (self._server.hostname or "").replace("%25", "%", 1)
        self._named = _without_zone(self._server.netloc)
        self._tls: ssl.SSLContext | None = None
        self._round_trip: float | None = None

    def _resolved(self, *, renew: bool = False) -> Credentials:
        if self._provider is not None:
            return Credentials(self._provider.token())
        return resolve_credentials(self._access, *self._asking, renew=renew)

    def round_trip(self, timeout: float | None) -> float | None:
        """Return the seconds that connecting took; see ``Transport.round_trip``."""
        if self._round_trip is None:
            try:
                self._idle.append(self._connect(_deadline(timeout)))
            except OSError as error:
                raise connection_failure(error, self._access) from error
        return self._round_trip

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float | None,
    ) -> LeanResponse:
        """Send a request; see ``Transport.request``."""
        deadline = _deadline(timeout)
        asked = self._asked(method, path, query, headers, body)
        try:
            if method == "GET" and (asked in self._ahead or self._idle):
                try:
                    wire = self._ahead.pop(asked, None)
                    if wire is not None:
                        return self._receive(wire, deadline)
                    return self._send(self._idle.pop(), asked, deadline)
                except TimeoutError:
                    raise
                except OSError:
                    pass  # the server may close idle connections; a GET can be sent again
            return self._send(self._connect(deadline), asked, deadline)
        except OSError as error:
            raise connection_failure(error, self._access) from error
        except NoHttpError as error:
            raise no_http(self._access) from error

    def ask(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], timeout: float | None
    ) -> None:
        """Send a GET now, whose answer is read later; see ``Transport.ask``."""
        deadline = _deadline(timeout)
        asked = self._asked("GET", path, query, headers, None)
        try:
            wire = self._idle.pop() if self._idle else self._connect(deadline)
            self._ahead[asked] = wire
            wire.deadline = deadline
            wire.send(asked.method, asked.target, asked.headers, asked.body)
        except OSError as error:
            raise connection_failure(error, self._access) from error

    def _asked(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> _Request:
        """Return the request with its final headers."""
        target = self._server.path + path + ("?" + urlencode(query) if query else "")
        sent = {"Host": self._named, **headers}
        token = self._credentials.token if self._provider is None else self._provider.token()
        if token:
            sent["Authorization"] = f"Bearer {token}"
        return _Request(method, target, (*sent.items(), *self._impersonated), body)

    def _send(self, wire: Wire, asked: _Request, deadline: float | None) -> LeanResponse:
        wire.deadline = deadline
        try:
            wire.send(asked.method, asked.target, asked.headers, asked.body)
        except BaseException:
            wire.close()
            raise
        return self._receive(wire, deadline)

    def _receive(self, wire: Wire, deadline: float | None) -> LeanResponse:
        wire.deadline = _deadline(HEAD_LIMIT) if deadline is None else deadline
        try:
            answer = Answer(wire)
        except BaseException:
            wire.close()
            raise
        wire.deadline = deadline
        return LeanResponse(self._access, wire, answer, self._idle.append)

    def _connect(self, deadline: float | None) -> Wire:
        if self._tls is None and self._server.scheme == "https":
            from kgctl.kube.access.tls import tls_context

            # before connecting: a missing certificate is the error to report first
            self._tls = tls_context(self._access, self._credentials)
        plain = self._reach(deadline)
        try:
            _keep_alive(plain)
            plain.settimeout(remaining(deadline, CONNECT_LIMIT))  # for the TLS handshake
            return Wire(self._secured(plain, self._tls) if self._tls else plain)
        except BaseException:
            plain.close()
            raise

    def _reach(self, deadline: float | None) -> socket.socket:
        """Connect to the first address of the server that accepts a connection, or of the proxy."""
        if self._proxy is not None:
            return self._through(self._proxy, deadline)
        return self._dialler.connect(_encoded(self._host), self._port, deadline, self._attempt)

    def _through(self, proxy: HttpProxy, deadline: float | None) -> socket.socket:
        """Return a tunnel to the server through a proxy (RFC 9110, 9.3.6).

        Raises:
            UnreachableError: the proxy cannot be reached, or makes no tunnel.
        """
        try:
            plain = self._dialler.connect(_encoded(proxy.host), proxy.port, deadline, self._attempt)
            try:
                why = self._tunnelled(Wire(plain), proxy, deadline)
            except BaseException:
                plain.close()
                raise
        except NoHttpError:
            why = "it does not speak HTTP"
        except OSError as error:
            if isinstance(error, TimeoutError) and not isinstance(error, LookupTimeoutError):
                raise
            raise self._proxy_failure(proxy, error.strerror or str(error)) from error
        if why is None:
            return plain
        plain.close()
        raise self._proxy_failure(proxy, why)

    def _tunnelled(self, wire: Wire, proxy: HttpProxy, deadline: float | None) -> str | None:
        """Request a tunnel; return why there is none."""
        host = self._host.partition("%")[0]
        target = f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"
        headers = [("Host", target)]
        if proxy.login:
            headers.append(("Proxy-Authorization", proxy.login))
        wire.deadline = time.monotonic() + CONNECT_LIMIT
        if deadline is not None:
            wire.deadline = min(wire.deadline, deadline)
        wire.send("CONNECT", target, headers, None)
        status = Answer(wire).status
        if not 200 <= status < 300:
            return f"it answered CONNECT with the status {status}"
        # whoever speaks before the TLS handshake is not the server
        return "it sent data before the server did" if wire.pending else None

    def _proxy_failure(self, proxy: HttpProxy, why: str) -> ClusterError:
        return proxy_failure(place(self._access), proxy.url, why)

    def _attempt(self, found: Found, seconds: float | None) -> socket.socket:
        family, kind, protocol, _, address = found
        reached = socket.socket(family, kind, protocol)
        try:
            reached.settimeout(seconds)
            start = time.perf_counter()
            reached.connect(address)
            self._round_trip = time.perf_counter() - start
        except BaseException:
            reached.close()
            raise
        return reached

    def _secured(self, plain: socket.socket, tls: ssl.SSLContext) -> socket.socket:
        name = str(self._access.cluster.get("tls-server-name") or self._host.partition("%")[0])
        start = time.perf_counter()
        secured = tls.wrap_socket(plain, server_hostname=_encoded(name))
        # a local tunnel accepts connections at once; only the handshake makes the round trip
        beyond = time.perf_counter() - start - _HANDSHAKE
        self._round_trip = max(self._round_trip or 0.0, beyond)
        return secured

    def refresh(self) -> bool:
        """Get new credentials; see ``Transport.refresh``."""
        if not renewable(self._access):
            return False
        self._credentials = self._resolved(renew=True)
        self._tls = None
        self.close()
        return True

    def close(self) -> None:
        """Close every idle connection."""
        _close(self._idle, self._ahead)


class LeanResponse:
    """An answer whose body is still arriving; see ``Response``."""

    def __init__(
        self, access: Access, wire: Wire, answer: Answer, keep: Callable[[Wire], None]
    ) -> None:
        self._access = access
        self._wire: Wire | None = wire
        self._answer = answer
        self._keep = keep
        self.status = answer.status
        self.headers = answer.headers

    def read(self, size: int) -> bytes:
        """Return the next bytes of the body; see ``Response.read``."""
        try:
            return self._answer.read(size)
        except OSError as error:
            raise connection_failure(error, self._access) from error
        except NoHttpError as error:
            raise no_http(self._access) from error

    def close(self) -> None:
        """Release the connection, or close it; see ``Response.close``."""
        if self._wire is None:
            return
        if self._answer.complete and self._answer.reusable:
            self._keep(self._wire)
        else:
            self._wire.close()
        self._wire = None


def _close(idle: list[Wire], ahead: dict[_Request, Wire]) -> None:
    while idle:
        idle.pop().close()
    while ahead:
        ahead.popitem()[1].close()


def _keep_alive(plain: socket.socket) -> None:
    """Make the system detect a dead peer within two minutes, as client-go does."""
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _without_zone(netloc: str) -> str:
    """Return the value of the Host header, without a zone, which only this system knows."""
    before, zone, after = netloc.partition("%")
    return before + after[after.index("]") :] if zone and "]" in after else netloc


def _encoded(host: str) -> str | bytes:
    """Return ASCII as bytes: for text, Python first loads its tables of Unicode (5 ms)."""
    return host.encode() if host.isascii() else host


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout
