"""A remote API server on the Internet, with a name that a DNS server there resolves."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.network.namespace import ETC_NETNS
from tests.network.site import Site
from tests.network.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apiserver.server import ApiServer
    from tests.network.layout import SmallCluster

NAMESERVER = Path(__file__).with_name("nameserver.py")
API_NETWORK = "10.77.0.0/24"
API_ADDRESS, API_RESOLVER, API_NAME = "10.77.0.1", "10.77.0.53", "api.kilo.example"


@contextmanager
def far_site(cluster: SmallCluster, api_server: ApiServer, options: str = "") -> Iterator[Site]:
    """A while in which the laptop asks that DNS server, with these ``options`` of resolv.conf."""
    server, laptop = cluster["server"], cluster["laptop"]
    for address in (API_ADDRESS, API_RESOLVER):
        server.ip("address", "add", f"{address}/32", "dev", "lo")
    cluster.internet.ip("route", "add", API_NETWORK, "via", "198.19.60.60")
    resolv_conf = ETC_NETNS / laptop.name / "resolv.conf"
    before = resolv_conf.read_text()
    resolv_conf.write_text(f"nameserver {API_RESOLVER}\n{options}\n")
    cluster.lab.start(server, sys.executable, str(NAMESERVER), API_RESOLVER, API_ADDRESS)
    try:
        with Uplink(server, api_server.url, API_ADDRESS, API_NAME) as uplink:
            site = Site(cluster, api_server, uplink)
            config = yaml.safe_load(site.kubeconfig.read_text())
            config["clusters"][0]["cluster"]["tls-server-name"] = "127.0.0.1"
            site.kubeconfig.write_text(yaml.safe_dump(config))
            yield site
    finally:
        resolv_conf.write_text(before)
        cluster.internet.ip("route", "del", API_NETWORK, "via", "198.19.60.60")
        for address in (API_ADDRESS, API_RESOLVER):
            server.ip("address", "del", f"{address}/32", "dev", "lo")
