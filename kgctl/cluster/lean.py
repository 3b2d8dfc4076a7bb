"""Requests to an API server with the standard library alone, for the plain kubeconfigs."""

from __future__ import annotations

import http.client
import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from kgctl.cluster.credentials import renewable, resolve_credentials
from kgctl.cluster.errors import KubeconfigError
from kgctl.cluster.failures import CONNECT_LIMIT, lost, request_failure

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from kgctl.cluster.kubeconfig import Access

_RECORD = 16384  # what TLS hands over at once, at most


class LeanTransport:
    """A transport on ``http.client``: one connection a request, kept for the next one."""

    def __init__(self, access: Access, interactive: bool = True) -> None:
        self._idle: list[http.client.HTTPConnection] = []
        self._access = access
        self._interactive = interactive
        self._credentials = resolve_credentials(access, interactive)
        self._server = urlsplit(access.server)
        self._host = self._server.hostname or ""
        try:
            self._port = self._server.port or (443 if self._server.scheme == "https" else 80)
        except ValueError as error:
            raise KubeconfigError(f"the server of {access.origin} has no valid port") from error
        self._tls: ssl.SSLContext | None = None
        self._round_trip: float | None = None

    def round_trip(self, timeout: float | None) -> float | None:
        """Return the time that connecting took, in seconds; see ``Transport.round_trip``."""
        if self._round_trip is None:
            try:
                self._keep(self._connect(_deadline(timeout)))
            except OSError as error:
                raise request_failure(error, self._access) from error
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
        target = self._server.path + path + ("?" + urlencode(query) if query else "")
        try:
            if method == "GET" and self._idle:
                try:
                    return self._send(self._idle.pop(), method, target, headers, body, deadline)
                except TimeoutError:
                    raise
                except OSError:
                    pass  # the server ended an idle connection, as it may; a GET can be sent anew
            return self._send(self._connect(deadline), method, target, headers, body, deadline)
        except (OSError, http.client.HTTPException) as error:
            raise request_failure(error, self._access) from error

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        deadline: float | None,
    ) -> LeanResponse:
        wire = connection.sock
        try:
            wire.settimeout(_remaining(deadline))
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if self._credentials.token:
                connection.putheader("Authorization", f"Bearer {self._credentials.token}")
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        if answer.will_close:
            return LeanResponse(self._access, answer, wire, deadline, connection.close)
        return LeanResponse(
            self._access, answer, wire, deadline, connection.close, lambda: self._keep(connection)
        )

    def _connect(self, deadline: float | None) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self._host, self._port)
        wire = self._wire(deadline)
        try:
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sock = self._secured(wire) if self._server.scheme == "https" else wire
        except BaseException:
            wire.close()
            raise
        return connection

    def _wire(self, deadline: float | None) -> socket.socket:
        """Connect to the first address of the server that takes a connection."""
        failure: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(
            _encoded(self._host), self._port, type=socket.SOCK_STREAM
        ):
            wire = socket.socket(family, kind, protocol)
            try:
                wire.settimeout(_remaining(deadline, CONNECT_LIMIT))
                start = time.perf_counter()
                wire.connect(address)
                self._round_trip = time.perf_counter() - start
            except OSError as error:
                wire.close()
                failure = error
            else:
                return wire
        raise failure or OSError("its name has no address")

    def _secured(self, wire: socket.socket) -> socket.socket:
        if self._tls is None:
            from kgctl.cluster.tls import tls_context

            self._tls = tls_context(self._access, self._credentials)
        name = str(self._access.cluster.get("tls-server-name") or self._host)
        return self._tls.wrap_socket(wire, server_hostname=_encoded(name))

    def refresh(self) -> bool:
        """Get new credentials; see ``Transport.refresh``."""
        if not renewable(self._access):
            return False
        self._credentials = resolve_credentials(self._access, self._interactive)
        self._tls = None
        self.close()
        return True

    def close(self) -> None:
        """End every idle connection."""
        while self._idle:
            self._idle.pop().close()

    def __del__(self) -> None:
        # whoever reads once and goes need not say so
        self.close()

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        self._idle.append(connection)


class LeanResponse:
    """An answer on its way; see ``Response``."""

    def __init__(
        self,
        access: Access,
        answer: http.client.HTTPResponse,
        wire: socket.socket,
        deadline: float | None,
        end: Callable[[], None],
        keep: Callable[[], None] | None = None,
    ) -> None:
        self._access = access
        self._answer = answer
        self._wire = wire
        self._deadline = deadline
        self._end = end
        self._keep = keep
        self._complete = False
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}

    def read(self, size: int) -> bytes:
        """Return the next bytes of the body; see ``Response.read``."""
        if self._complete:
            return b""
        try:
            if self._deadline is not None:
                self._wire.settimeout(_remaining(self._deadline))
            data = self._answer.read1(min(size, _RECORD))
        except (OSError, http.client.HTTPException) as error:
            raise request_failure(error, self._access) from error
        if not data:
            if self._answer.length:
                raise lost(self._access)
            self._complete = True
        return data

    def close(self) -> None:
        """Give the connection back, or end it; see ``Response.close``."""
        self._answer.close()
        if self._complete and self._keep:
            self._keep()
            self._keep = None
        elif not self._complete:
            self._end()


def _encoded(host: str) -> str | bytes:
    """Return ASCII as bytes: for a text Python loads its tables of all of Unicode first (5 ms)."""
    return host.encode() if host.isascii() else host


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _remaining(deadline: float | None, limit: float | None = None) -> float | None:
    """Return the seconds left for a step that may take ``limit`` by itself; None is no limit.

    Raises:
        TimeoutError: there are none left.
    """
    if deadline is None:
        return limit
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left if limit is None else min(left, limit)
