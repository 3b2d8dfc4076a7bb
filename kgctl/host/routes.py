"""kgctl's routes of one link, read and written through the kernel's routing socket.

Their protocol number marks them as kgctl's: kgctl recognises them after it was killed, and never
changes any other route.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from kgctl.errors import InterfaceGoneError
from kgctl.host.batches import AT_ONCE, BatchSocket
from kgctl.host.links import Refused, RouteChange, RouteTable
from kgctl.host.route_messages import (
    LINK,
    MAIN,
    UNIVERSE,
    KernelRoute,
    gateways,
    open_routes,
    read_route,
    request,
    route_messages,
)
from kgctl.mesh.routes import Route, order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kgctl.host.batches import Refusal
    from kgctl.host.links import NetLink
    from kgctl.host.netlink import Netlink
    from kgctl.mesh.cidr import Address, Cidr

PROTOCOL = 75
"""The origin of kgctl's routes (rtnetlink(7), rtm_protocol): no other program uses this number."""

TAKEN = "this machine has another route there already"
"""The reason for not setting a route that the machine already has, with any metric."""


def route_change(present: Iterable[Route], wanted: Iterable[Route]) -> RouteChange:
    """Return the smallest change that turns ``present`` into ``wanted``."""
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


def kernel_route(
    verb: str, route: Route, *, index: int, sources: Mapping[int, Address]
) -> KernelRoute:
    """Return a route of kgctl's on the link ``index``, to ``add``, ``replace`` or ``del``.

    ``sources`` are the addresses to send from, by IP version.
    """
    version = route.destination.version
    return KernelRoute(
        route.destination,
        index,
        route.gateway,
        # the kernel deletes no route with another source than the one that it is given
        None if verb == "del" else sources.get(version),
        protocol=PROTOCOL,
        scope=LINK if route.gateway is None and version == 4 else UNIVERSE,
        onlink=route.gateway is not None,
    )


class LinkRoutes:
    """kgctl's routes of one link, through the kernel's routing socket; a ``Routes``.

    ``addresses`` are those that this host sends from, if the link has others too.
    """

    def __init__(self, link: NetLink, addresses: Iterable[Cidr] = ()) -> None:
        self._link = link
        self._sources: dict[int, Address] = {}
        for cidr in addresses:
            self._sources.setdefault(cidr.version, cidr.address)
        self._netlink = open_routes()
        self._socket = BatchSocket("the routes of this machine")
        self._known: dict[bytes, Route] = {}

    def close(self) -> None:
        """Close the sockets."""
        self._netlink.close()
        self._socket.close()

    def read(self) -> RouteTable:
        """Return the routes; see ``Routes``."""
        return read_routes(self._netlink, self._link, self._known)

    def apply(
        self, change: RouteChange, stopped: Callable[[], bool] = lambda: False
    ) -> list[Refused]:
        """Apply a change; see ``Routes``."""
        refused: list[Refused] = []
        steps = (("add", change.add), ("replace", change.replace), ("del", change.remove))
        for verb, routes in steps:
            for start in range(0, len(routes), AT_ONCE):
                if stopped():
                    return refused
                batch = routes[start : start + AT_ONCE]
                index, sources = self._link.index, self._sources
                found = self._socket.change(
                    [
                        request(verb, kernel_route(verb, route, index=index, sources=sources))
                        for route in batch
                    ]
                )
                refused += (
                    Refused(batch[position], reason)
                    for position, refusal in found.items()
                    if (reason := self._reason(verb, refusal)) is not None
                )
        return refused

    def _reason(self, verb: str, refusal: Refusal) -> str | None:
        """Return the reason of a refusal in words; None if the route is gone as wanted."""
        if verb == "del" and refusal.code in (errno.ESRCH, errno.ENODEV):
            return None
        if refusal.code == errno.ENODEV:
            raise InterfaceGoneError(f"the interface {self._link.name} is gone")
        return TAKEN if refusal.code == errno.EEXIST else refusal.reason


def read_routes(
    netlink: Netlink, link: NetLink | None, known: dict[bytes, Route] | None = None
) -> RouteTable:
    """Return the main table, split by ``link``; None means that the link does not exist yet.

    ``netlink`` is a routing socket. Routes of the link that another program made are left out.
    ``known`` are kgctl's routes of the last reading for this link, by their messages, and is
    updated: a large network has thousands, and most of the time of a reading is to parse them.

    Raises:
        HostError: routes cannot be read.
    """
    before = known or {}
    own: dict[bytes, Route] = {}
    others: set[Cidr] = set()
    hops: set[Address] = set()
    for message in route_messages(netlink, MAIN):
        same = before.get(message)
        if same is not None:
            own[message] = same
            continue
        route = read_route(message)
        if route is None or route.table != MAIN:
            continue
        if link is None or route.interface != link.index:
            others.add(route.destination)
            hops.update(gateways(message))
        elif route.protocol == PROTOCOL:
            own[message] = Route(route.destination, route.gateway)
    if known is not None:
        known.clear()
        known.update(own)
    return RouteTable(set(own.values()), frozenset(others), frozenset(hops))
