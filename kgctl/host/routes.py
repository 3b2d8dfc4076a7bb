"""The routes of one link that are kgctl's, known by their protocol number.

So they are recognised after a kgctl that was killed, and no other route is ever touched.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

from kgctl.host.errors import GoneError
from kgctl.host.interface import Refused, RouteChange, RouteTable
from kgctl.host.netlink import open_netlink, told
from kgctl.host.routemessages import AT_ONCE, MAIN, RouteSocket
from kgctl.mesh.cidr import Address, Cidr, parse_address, parse_cidr
from kgctl.mesh.routes import Route, order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kgctl.host.links import NetLink

PROTOCOL = 75
"""kgctl's number as the origin of a route (rtnetlink(7), rtm_protocol): no other program's."""

TAKEN = "this machine has another route there already"
"""Why a route is left out that the machine has itself, whatever its metric."""

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_EVERYTHING = {socket.AF_INET: "0.0.0.0/0", socket.AF_INET6: "::/0"}


def route_change(present: Iterable[Route], wanted: Iterable[Route]) -> RouteChange:
    """Return the least that makes ``present`` into ``wanted``."""
    before = {route.destination: route for route in present}
    after = {route.destination: route for route in wanted}
    changed = [route for route in after.values() if before.get(route.destination, route) != route]
    return RouteChange(
        add=[route for route in after.values() if route.destination not in before],
        replace=changed,
        remove=sorted(
            (route for route in before.values() if route.destination not in after),
            key=lambda route: order(route.destination),
        ),
    )


class LinkRoutes:
    """kgctl's routes of one link, through the kernel's routing socket; a ``Routes``.

    ``addresses`` are those that this host sends from, where the link has others as well.
    """

    def __init__(self, link: NetLink, addresses: Iterable[Cidr] = ()) -> None:
        self._link = link
        sources: dict[int, Address] = {}
        for cidr in addresses:
            sources.setdefault(cidr.version, cidr.address)
        self._netlink = open_netlink()
        self._socket = RouteSocket(link.index, PROTOCOL, sources)

    def close(self) -> None:
        """Close the sockets."""
        self._netlink.close()
        self._socket.close()

    def read(self) -> RouteTable:
        """Return the routes; see ``Routes``."""
        return read_routes(self._netlink, self._link)

    def apply(
        self, change: RouteChange, stopped: Callable[[], bool] = lambda: False
    ) -> list[Refused]:
        """Carry out a change; see ``Routes``."""
        refused: list[Refused] = []
        steps = (("add", change.add), ("replace", change.replace), ("del", change.remove))
        for verb, routes in steps:
            for start in range(0, len(routes), AT_ONCE):
                if stopped():
                    return refused
                found = self._socket.change(verb, routes[start : start + AT_ONCE])
                refused += (
                    Refused(route, reason)
                    for route, code in found.items()
                    if (reason := self._reason(verb, code)) is not None
                )
        return refused

    def _reason(self, verb: str, code: int) -> str | None:
        """Return in words why the kernel refuses; None where that is as good as done."""
        if verb == "del" and code in (errno.ESRCH, errno.ENODEV):
            return None
        if code == errno.ENODEV:
            raise GoneError(f"the interface {self._link.name} is gone")
        return TAKEN if code == errno.EEXIST else os.strerror(code)


def read_routes(netlink: Any, link: NetLink | None) -> RouteTable:
    """Return the main table as ``link`` stands in it; None is a link that is not there yet.

    Raises:
        HostError: routes cannot be read.
    """
    own: set[Route] = set()
    others: set[Cidr] = set()
    gateways: set[Address] = set()
    for family in _FAMILIES.values():
        with told("read the routes of this machine"):
            messages = list(netlink.route("dump", family=family, table=MAIN))
        for message in messages:
            if _sort_in(message, None if link is None else link.index, own, others):
                gateways.update(_gateways(message))
    return RouteTable(own, frozenset(others), frozenset(gateways))


def _sort_in(message: Any, index: int | None, own: set[Route], others: set[Cidr]) -> bool:
    """Put a route where it belongs, and tell whether it is one of the machine's others.

    Those of the link that others have made are nobody's.
    """
    if message.get_attr("RTA_TABLE") != MAIN:  # older kernels list every table (before 4.20)
        return False
    address = message.get_attr("RTA_DST")
    text = f"{address}/{message['dst_len']}" if address else _EVERYTHING[message["family"]]
    destination, gateway = parse_cidr(text), message.get_attr("RTA_GATEWAY")
    if destination is None:
        return False
    if index is None or message.get_attr("RTA_OIF") != index:
        others.add(destination)
        return True
    if message["proto"] == PROTOCOL:
        own.add(Route(destination, parse_address(gateway) if gateway else None))
    return False


def _gateways(message: Any) -> Iterator[Address]:
    """Yield the next hops of a route: one, one of the other family, or one a path."""
    for hop in (message, *(message.get_attr("RTA_MULTIPATH") or ())):
        via = hop.get_attr("RTA_VIA")
        for text in (hop.get_attr("RTA_GATEWAY"), via.get("addr") if via else None):
            address = parse_address(text) if isinstance(text, str) else None
            if address is not None:
                yield address
