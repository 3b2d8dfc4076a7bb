"""The choice of a proxy for an API server, by kubectl's rules."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.kube.access.kubeconfig import Access


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
