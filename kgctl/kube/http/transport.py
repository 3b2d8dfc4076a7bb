"""How requests reach an API server: an interface, and the choice between its two sides.

``lean`` speaks HTTP with the standard library and covers what nearly every kubeconfig holds;
``package`` is the ``kubernetes`` package, which covers the rest and costs 0.2 s to import.
Everything above (paging, decoding, retries, the meaning of a status) is the same for both.
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
        "extensions",
    }
)


class Response(Protocol):
    """An answer whose body is still on its way; it is as sent: compressed, if it was."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, their names in lower case."""
        ...

    def read(self, size: int) -> bytes:
        """Return the next 1 to ``size`` bytes of the body, as soon as any are there.

        Returns ``b""`` at the end of the body.

        Raises:
            kgctl.errors.ConnectionLostError: the body ended too early.
            kgctl.errors.RequestTimeoutError: the time of the request is up.
        """
        ...

    def close(self) -> None:
        """Give the connection back, or end it when the body was not read to its end."""
        ...


class Transport(Protocol):
    """Something that takes requests to one API server, with one user's credentials.

    Requests may be made from several threads at once.
    """

    def round_trip(self, timeout: float | None) -> float | None:
        """Return how long the network takes there and back, in seconds; None if it cannot tell.

        Connects, if that has not been done: the first request then finds the connection open.

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
        """Send a request and return the answer when its headers are in.

        ``timeout`` is for the whole of it, in seconds, the body included; None is no limit.

        Raises:
            kgctl.ClusterError: the server cannot be reached; the message says what to do.
        """
        ...

    def ask(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], timeout: float | None
    ) -> None:
        """Send a GET now; a ``request`` that is the same to the letter then takes its answer.

        A transport that cannot do this does nothing, and the request is sent when it is made.

        Raises:
            kgctl.ClusterError: the server cannot be reached; the message says what to do.
        """
        ...

    def refresh(self) -> bool:
        """Get new credentials, after a 401; False when there is no way to get others."""
        ...

    def close(self) -> None:
        """End every idle connection."""
        ...


def beyond_lean(access: Access) -> str | None:
    """Return why ``access`` is not for the lean transport, or None."""
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
    from kgctl.kube.access.proxy import proxy_for

    return "a proxy" if proxy_for(access) else None


def open_transport(
    access: Access, interactive: bool = True, limit: float = QUIET_LIMIT
) -> Transport:
    """Return a transport to the API server of ``access``; nothing is connected yet.

    Unless ``interactive``, an exec plugin may not ask anything, and gets ``limit`` seconds.

    Raises:
        kgctl.ClusterError: the credentials cannot be had, or are not usable.
    """
    if beyond_lean(access) is None:
        from kgctl.kube.fast.lean import LeanTransport

        return LeanTransport(access, interactive, limit)
    from kgctl.kube.http.package import PackageTransport

    return PackageTransport(access, interactive, limit)
