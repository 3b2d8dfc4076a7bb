"""The transport interface for requests to an API server, and the choice of its implementation.

``lean`` uses only the standard library, and supports nearly every kubeconfig. ``package`` uses the
``kubernetes`` package, which supports the rest and takes 0.2 s to import. Everything above the
transport (paging, decoding, retries, the meaning of a status) is the same for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kgctl.kube.access.credentials import QUIET_LIMIT
from kgctl.kube.fast import fast_lane

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.access.kubeconfig import Access

_LEAN_CLUSTER_KEYS = frozenset(
    {
        "server",
        "certificate-authority",
        "certificate-authority-data",
        "insecure-skip-tls-verify",
        "tls-server-name",
        "disable-compression",
        "extensions",
        "proxy-url",
    }
)
_LEAN_USER_KEYS = frozenset(
    {
        "token",
        "tokenFile",
        "client-certificate",
        "client-certificate-data",
        "client-key",
        "client-key-data",
        "exec",
        "auth-provider",
        "as",
        "as-uid",
        "as-groups",
        "as-user-extra",
        "extensions",
    }
)


class Response(Protocol):
    """An answer whose body is still arriving, compressed if it was sent so."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, their names in lower case."""
        ...

    def read(self, size: int) -> bytes:
        """Return the next 1 to ``size`` bytes of the body, as soon as any have arrived.

        Returns ``b""`` at the end of the body.

        Raises:
            kgctl.errors.ConnectionLostError: the body ended too early.
            kgctl.errors.RequestTimeoutError: the time of the request is up.
        """
        ...

    def close(self) -> None:
        """Release the connection, or close it if the body was not read to its end."""
        ...


class Transport(Protocol):
    """Sends requests to one API server, with one user's credentials.

    Requests may be made from several threads at once.
    """

    def round_trip(self, timeout: float | None) -> float | None:
        """Return the seconds of a round trip in the network; None if unknown.

        It connects if needed; the first request then uses this connection.

        Raises:
            kgctl.ClusterError: the server cannot be reached; the message says what to do.
        """
        ...

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float | None,
    ) -> Response:
        """Send a request and return the answer once its headers have arrived.

        ``timeout`` is in seconds, for the request with its answer's body; None is no limit.

        Raises:
            kgctl.ClusterError: the server cannot be reached; the message says what to do.
        """
        ...

    def ask(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], timeout: float | None
    ) -> None:
        """Send a GET now; a later ``request`` that is exactly the same gets its answer.

        A transport without this feature does nothing, and the later request is sent as usual.

        Raises:
            kgctl.ClusterError: the server cannot be reached; the message says what to do.
        """
        ...

    def refresh(self) -> bool:
        """Get new credentials after a 401; return False if there are no others."""
        ...

    def close(self) -> None:
        """Close every idle connection."""
        ...


def beyond_lean(access: Access) -> str | None:
    """Return why the lean transport does not support ``access``, or None if it does."""
    if not fast_lane():
        return "KGCTL_SLOW in the environment"
    for key, value in access.cluster.items():
        if key not in _LEAN_CLUSTER_KEYS and value not in (None, "", {}, []):
            return f"cluster setting {key}"
    for key, value in access.user.items():
        if key not in _LEAN_USER_KEYS and value not in (None, "", {}, []):
            return f"user setting {key}"
    if "@" in access.server:
        return "a user name in the server's URL"
    from kgctl.kube.access.proxy import http_proxy, proxy_for

    proxy = proxy_for(access)
    if proxy is None or (access.server.startswith("https://") and http_proxy(proxy)):
        return None
    return "a proxy that is not reached by plain HTTP, or a server that is"


def open_transport(
    access: Access, interactive: bool = True, limit: float = QUIET_LIMIT
) -> Transport:
    """Return a transport to the API server of ``access``; nothing is connected yet.

    Unless ``interactive``, an exec plugin may not prompt, and gets ``limit`` seconds.

    Raises:
        kgctl.ClusterError: the credentials cannot be obtained, or are not usable.
    """
    if beyond_lean(access) is None:
        from kgctl.kube.fast.lean import LeanTransport

        return LeanTransport(access, interactive, limit)
    from kgctl.kube.http.package import PackageTransport

    return PackageTransport(access, interactive, limit)
