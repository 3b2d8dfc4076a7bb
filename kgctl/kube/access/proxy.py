"""The choice of a proxy for an API server, by kubectl's rules."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import UnreachableError
from kgctl.mesh.text import printable, without_logins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.access.kubeconfig import Access


class HttpProxy(NamedTuple):
    """A proxy that is reached by plain HTTP; ``login`` is the value of Proxy-Authorization."""

    url: str
    host: str
    port: int
    login: str | None

    def __repr__(self) -> str:
        """Return the URL without user name and password: this text may end up in a log."""
        return f"HttpProxy({shown_proxy(self.url)})"


def http_proxy(url: str) -> HttpProxy | None:
    """Parse ``http://[USER[:PASSWORD]@]HOST[:PORT]``; None for other kinds, and invalid URLs."""
    from urllib.parse import unquote, urlsplit

    try:
        parts = urlsplit(url)
        port = 80 if parts.port is None else parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    plain = host.isascii() and host.isprintable() and not any(char in host for char in " %\\")
    elsewhere = parts.path not in ("", "/") or parts.query or parts.fragment
    if parts.scheme != "http" or not host or not plain or not port or elsewhere:
        return None
    login, separator, _ = parts.netloc.rpartition("@")
    if not separator:
        return HttpProxy(url, host, port, None)
    from base64 import b64encode

    return HttpProxy(url, host, port, f"Basic {b64encode(unquote(login).encode()).decode()}")


def shown_proxy(url: str | None) -> str:
    """Return a proxy's URL without its user name and password."""
    scheme, separator, rest = (url or "").rpartition("://")
    return printable(f"{scheme}{separator}{rest.rpartition('@')[2]}")


def proxy_failure(server: str, proxy: str, why: str) -> UnreachableError:
    """Return the error for a server, as errors name it, that a proxy does not lead to."""
    return UnreachableError(
        f"cannot reach {server} through the proxy {shown_proxy(proxy)}: "
        f"{printable(without_logins(why))}; check proxy-url, HTTPS_PROXY and NO_PROXY"
    )


def proxy_for(access: Access, environment: Mapping[str, str] | None = None) -> str | None:
    """Return the URL of the proxy for requests to ``access``, or None.

    ``proxy-url`` of the kubeconfig goes first, then ``HTTPS_PROXY`` or ``HTTP_PROXY`` (by the
    server's scheme; also in lower case), unless ``NO_PROXY`` lists the host. As in Go, the
    environment variables do not apply to localhost and loopback addresses.
    """
    configured = access.cluster.get("proxy-url")
    if configured:
        return str(configured)
    environment = os.environ if environment is None else environment
    scheme = access.server.partition(":")[0]
    url = environment.get(f"{scheme.upper()}_PROXY") or environment.get(f"{scheme}_proxy")
    if not url or _bypassed(access.server, environment):
        return None
    return url if "://" in url else f"http://{url}"


def _bypassed(server: str, environment: Mapping[str, str]) -> bool:
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    parts = urlsplit(server)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    listed = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    return any(_matches(entry.strip().lower(), host, port) for entry in listed.split(","))


def _matches(entry: str, host: str, port: int) -> bool:
    """Return whether an entry of NO_PROXY (``*``, a CIDR, an address, a domain) covers a host."""
    from ipaddress import ip_address, ip_network

    if not entry:
        return False
    if entry == "*" or entry == f"{host}:{port}" or entry == f"[{host}]:{port}":
        return True
    try:
        network = ip_network(entry, strict=False)
    except ValueError:
        domain = entry.removeprefix("*").lstrip(".")
        return host.endswith(f".{domain}") or (host == domain and not entry.startswith((".", "*")))
    try:
        return ip_address(host) in network
    except ValueError:
        return False
