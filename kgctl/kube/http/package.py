"""The package transport: requests through the ``kubernetes`` package, for all other kubeconfigs.

The package supports proxies and basic authentication. It supplies the connections and the header of
a password; its generated models are not used.
"""

from __future__ import annotations

import socket
import warnings
from http.client import HTTPException, IncompleteRead
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode

from kgctl.errors import ClusterError, CredentialsError
from kgctl.kube.access.auth_provider import AuthProvider
from kgctl.kube.access.credentials import (
    QUIET_LIMIT,
    Credentials,
    impersonation,
    renewable,
    resolve_credentials,
)
from kgctl.kube.access.kubeconfig import server_url
from kgctl.kube.access.proxy import proxy_failure, proxy_for, shown_proxy
from kgctl.kube.access.tls import skips_verification, tls_context
from kgctl.kube.failures import (
    CONNECT_LIMIT,
    HEAD_LIMIT,
    LookupTimeoutError,
    connection_failure,
    lost,
    no_http,
    place,
)
from kgctl.kube.http.dial import DIALLER, Dialler
from kgctl.kube.http.watchdog import Watchdog, watched
from kgctl.mesh.text import printable, without_logins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.access.kubeconfig import Access


_PROXIES = frozenset({"http", "https", "socks5", "socks5h"})  # those of client-go


class PackageTransport:
    """A transport with the connection pool and the credentials of the package's ``ApiClient``."""

    def __init__(
        self,
        access: Access,
        interactive: bool = True,
        limit: float = QUIET_LIMIT,
        dialler: Dialler | None = None,
    ) -> None:
        self._access = access
        self._dialler = dialler or DIALLER
        self._asking = (interactive, limit)
        self._proxy = proxy_for(access)
        _refuse_split_login(access.server, f"the server's URL of {access.origin}")
        server_url(access)
        _refuse_split_login(self._proxy or "", f"the proxy's URL of {access.origin}")
        self._provider = AuthProvider(access) if access.user.get("auth-provider") else None
        self._impersonated = impersonation(access)
        self._client: Any = None
        self._connect()

    def _connect(self, *, renew: bool = False) -> None:
        """Get the credentials, and create a connection pool with them."""
        if self._provider is None:
            credentials = resolve_credentials(self._access, *self._asking, renew=renew)
        else:
            credentials = Credentials(self._provider.token())
        self._client = _client(self._access, credentials, self._proxy, self._dialler)

    def round_trip(self, timeout: float | None) -> float | None:
        """Return None: the package does not measure the time of connecting."""
        return None

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float | None,
    ) -> PackageResponse:
        """Send a request; see ``Transport.request``."""
        import urllib3
        from urllib3.exceptions import HTTPError

        limit = CONNECT_LIMIT if timeout is None else min(timeout, CONNECT_LIMIT)
        url = self._access.server + path
        watchdog = Watchdog(HEAD_LIMIT if timeout is None else timeout)
        try:
            with watchdog.awake():
                answer = self._client.rest_client.pool_manager.request(
                    method,
                    f"{url}?{urlencode(query)}" if query else url,
                    headers=self._headers(headers),
                    body=body,
                    timeout=urllib3.Timeout(connect=limit, read=timeout),
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                )
        except (HTTPError, OSError, HTTPException, ValueError) as error:
            raise _failure(error, self._access, self._proxy, expired=watchdog.expired) from error
        if timeout is None:
            watchdog.rest()
        return PackageResponse(self._access, answer, watchdog)

    def _headers(self, headers: Mapping[str, str]) -> Any:
        from urllib3 import HTTPHeaderDict

        sent = HTTPHeaderDict(headers)
        for setting in self._client.configuration.auth_settings().values():
            if setting["in"] == "header" and setting["value"]:
                sent[setting["key"]] = setting["value"]
        if self._provider is not None:  # it gets a new token when the last one expires
            sent["authorization"] = f"Bearer {self._provider.token()}"
        for name, value in self._impersonated:
            sent.add(name, value)
        return sent

    def ask(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], timeout: float | None
    ) -> None:
        """Do nothing: the pool cannot send a request ahead; see ``Transport.ask``."""

    def refresh(self) -> bool:
        """Get new credentials; see ``Transport.refresh``."""
        if not renewable(self._access):
            return False
        self.close()
        self._connect(renew=True)
        return True

    def close(self) -> None:
        """Close every idle connection."""
        self._client.rest_client.pool_manager.clear()


class PackageResponse:
    """An answer whose body is still arriving; see ``Response``."""

    def __init__(self, access: Access, answer: Any, watchdog: Watchdog) -> None:
        self._access = access
        self._answer = answer
        self._watchdog = watchdog
        self._complete = False
        self.status: int = answer.status
        self.headers = {name.lower(): str(value) for name, value in answer.headers.items()}

    def read(self, size: int) -> bytes:
        """Return the next bytes of the body; see ``Response.read``."""
        from urllib3.exceptions import HTTPError

        if self._complete:
            return b""
        try:
            data: bytes = self._answer.read1(size, decode_content=False)
            if self._watchdog.expired:
                raise TimeoutError("it took too long")
        except (HTTPError, OSError, HTTPException) as error:
            expired = self._watchdog.expired
            raise _failure(error, self._access, None, expired=expired) from error
        self._complete = not data
        return data

    def close(self) -> None:
        """Release the connection, or close it; see ``Response.close``."""
        self._watchdog.rest()
        if self._complete:
            self._answer.release_conn()
        else:
            self._answer.close()


def _client(access: Access, credentials: Credentials, proxy: str | None, dialler: Dialler) -> Any:
    """Return an ``ApiClient`` with the credentials, the proxy and the TLS settings of ``access``.

    The package's own TLS setup is not used: it leaves keys in temporary files, and since Python
    3.13 it requires extensions that the certificate authorities of many clusters lack.
    """
    from kubernetes.client import ApiClient, Configuration

    configuration = Configuration()
    _log_in(configuration, access, credentials)
    configuration.proxy, configuration.no_proxy = _usable(proxy, access), None
    if proxy and "@" in proxy:
        configuration.proxy_headers = _proxy_login(proxy)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a missing SOCKS package: the error repeats it
            client = ApiClient(configuration)
    except (ImportError, ValueError) as error:
        why = printable(without_logins(str(error)))
        raise ClusterError(
            f"the proxy {shown_proxy(proxy)} of {access.origin} cannot be used: {why}"
        ) from error
    if skips_verification(access):
        import urllib3

        # it would print the kubeconfig's own choice to stderr for each request
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    watched(client.rest_client.pool_manager, dialler)
    if access.server.startswith("https"):
        context = tls_context(access, credentials)
        client.rest_client.pool_manager.connection_pool_kw["ssl_context"] = context
    return client


def _log_in(configuration: Any, access: Access, credentials: Credentials) -> None:
    """Set server, user and TLS name by the package."""
    from kubernetes import config

    package: Any = config  # it has no types
    try:
        package.load_kube_config_from_dict(
            _one_context(access, credentials), client_configuration=configuration
        )
    except Exception as error:  # the package raises many types; its texts may contain a secret
        raise CredentialsError(
            f"cannot log in with the user of {access.origin}: {type(error).__name__}; use a "
            "kubeconfig with a token, a certificate or an exec plugin"
        ) from error
    configuration.host = access.server


def _one_context(access: Access, credentials: Credentials) -> dict[str, Any]:
    cluster: dict[str, Any] = {"server": access.server}
    if skips_verification(access):
        cluster["insecure-skip-tls-verify"] = True
    if access.cluster.get("tls-server-name"):
        cluster["tls-server-name"] = str(access.cluster["tls-server-name"])
    kept = ("username", "password")
    user = {key: str(access.user[key]) for key in kept if access.user.get(key)}
    if credentials.token:
        user["token"] = credentials.token
    return {
        "current-context": "only",
        "contexts": [{"name": "only", "context": {"cluster": "only", "user": "only"}}],
        "clusters": [{"name": "only", "cluster": cluster}],
        "users": [{"name": "only", "user": user}],
    }


def _proxy_login(proxy: str) -> Any:
    from urllib3 import make_headers

    login = proxy.partition("://")[2].rpartition("@")[0]
    return make_headers(proxy_basic_auth=unquote(login))


def _usable(proxy: str | None, access: Access) -> str | None:
    """Return the proxy's URL in urllib3's form.

    In Go, and so in kubectl, a SOCKS proxy looks up the server's name, since the name is often
    unknown outside the proxy's network. In urllib3 that is ``socks5h``.

    Raises:
        ClusterError: proxies of this kind are not supported.
    """
    if proxy is None:
        return None
    scheme, separator, rest = proxy.partition("://")
    scheme = scheme.lower()
    cannot = f"the proxy {shown_proxy(proxy)} of {access.origin} cannot be used: "
    if not separator or scheme not in _PROXIES:
        raise ClusterError(f"{cannot}its URL must begin with http://, https:// or socks5://")
    if scheme in ("http", "https"):
        return proxy
    from importlib.util import find_spec

    if find_spec("socks") is None:
        raise ClusterError(
            f"{cannot}SOCKS needs the package PySocks; install it with: pip install PySocks"
        )
    return f"socks5h://{rest}"


def _refuse_split_login(url: str, what: str) -> None:
    """Refuse a URL whose password has a ``/``, ``?`` or ``#``, which ends the host (RFC 3986, 3.2).

    The rest of the password would then count as a path, and the first part as a host name: both
    appear in errors and are sent.

    Raises:
        ClusterError: an ``@`` follows the host.
    """
    _, _, rest = url.partition("://")
    ends = min((rest.find(mark) for mark in "/?#\\" if mark in rest), default=len(rest))
    if "@" in rest[ends:]:
        raise ClusterError(
            f'{what} has an "@" after its host: in a user name or password write / as %2F, ? as '
            "%3F, # as %23, and in a path @ as %40"
        )


def _failure(error: Exception, access: Access, proxy: str | None, *, expired: bool) -> ClusterError:
    """Convert an error of the package by its cause, an error of the system or OpenSSL.

    ``expired`` is whether the request's deadline has passed, which broke the connection.
    """
    from urllib3.exceptions import ProxyError
    from urllib3.exceptions import TimeoutError as PoolTimeoutError

    cause = _cause(error)
    socks = type(cause).__module__ == "socks"
    # with a proxy, only the proxy's name is looked up here
    looked_up = isinstance(cause, (socket.gaierror, LookupTimeoutError))
    if proxy and (socks or looked_up or (isinstance(error, ProxyError) and not expired)):
        why = "its handshake took too long" if socks and expired else str(cause or error)
        return proxy_failure(place(access), proxy, why)
    if (expired and not looked_up) or (cause is None and isinstance(error, PoolTimeoutError)):
        cause = TimeoutError()
    if isinstance(cause, OSError):
        return connection_failure(cause, access)
    return lost(access) if cause is None or isinstance(cause, IncompleteRead) else no_http(access)


def _cause(error: BaseException | None) -> OSError | HTTPException | None:
    seen = 0
    while error is not None and seen < 10:
        inner = [error, *error.args, getattr(error, "original_error", None)]
        for each in inner:
            if isinstance(each, (OSError, HTTPException)):
                return each
        error = error.__cause__ or error.__context__
        seen += 1
    return None
