"""kgctl's routes of one link, read and written through the kernel's routing socket.

Their protocol number marks them as kgctl's: kgctl recognises them after it was killed, and never
changes any other route.

kgctl encodes the messages itself and sends many at once. pyroute2 sends one message, waits for its
answer, and takes 1 ms of processor time for both: 10 s for the routes of 5,000 peers. The kernel
answers each message by its number. Formats: rtnetlink(7) and netlink(7).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from kgctl.errors import HostError, InterfaceGoneError
from kgctl.host.links import Refused, RouteChange, RouteTable
from kgctl.host.netlink import open_netlink, told
from kgctl.mesh.cidr import Address, Cidr, parse_address, parse_cidr
from kgctl.mesh.routes import Route, order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kgctl.host.links import NetLink


AT_ONCE = 100
"""Routes per batch: the kernel's buffer for the answers holds some 270."""

MAIN = 254
"""The main routing table."""

_HEADER = struct.Struct("=LHHLL")  # nlmsghdr: length, type, flags, number, port
_ROUTE = struct.Struct("=BBBBBBBBL")  # rtmsg: family, both lengths, TOS, table, origin, scope, …
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_NUMBER = struct.Struct("=L")
_ERROR = struct.Struct("=l")
_TYPES = {"add": 24, "replace": 24, "del": 25}  # RTM_NEWROUTE, RTM_DELROUTE
_REQUEST = 0x1 | 0x4  # NLM_F_REQUEST, NLM_F_ACK
_FLAGS = {"add": 0x400 | 0x200, "replace": 0x400 | 0x100, "del": 0}  # CREATE with EXCL, REPLACE
_UNICAST, _ONLINK, _LINK, _UNIVERSE = 1, 4, 253, 0
_DST, _OIF, _GATEWAY, _PREFSRC, _TABLE = 1, 4, 5, 7, 15
_ANSWER = 2  # NLMSG_ERROR, which is also "no error"
_SOL_NETLINK, _CAP_ACK = 270, 10
_SECONDS = 10.0


def message(
    verb: str, route: Route, *, number: int, index: int, protocol: int, source: Address | None
) -> bytes:
    """Return the request to ``add``, ``replace`` or ``del`` a route of the link ``index``.

    ``number`` identifies the answer; ``source`` is the address to send from.
    """
    destination = route.destination
    direct = route.gateway is None and destination.version == 4
    body = _ROUTE.pack(
        socket.AF_INET if destination.version == 4 else socket.AF_INET6,
        destination.prefix,
        0,
        0,
        MAIN,
        protocol,
        _LINK if direct else _UNIVERSE,
        _UNICAST,
        0 if route.gateway is None else _ONLINK,
    )
    body += _attribute(_TABLE, _NUMBER.pack(MAIN))
    body += _attribute(_DST, destination.address.packed)
    body += _attribute(_OIF, _NUMBER.pack(index))
    if source is not None:
        body += _attribute(_PREFSRC, source.packed)
    if route.gateway is not None:
        body += _attribute(_GATEWAY, route.gateway.packed)
    flags = _REQUEST | _FLAGS[verb]
    return _HEADER.pack(_HEADER.size + len(body), _TYPES[verb], flags, number, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute; no value here needs padding."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value


class RouteSocket:
    """A routing socket that changes the routes of one link in batches.

    ``sources`` are the addresses to send from, by IP version.
    """

    def __init__(self, index: int, protocol: int, sources: Mapping[int, Address]) -> None:
        self._index = index
        self._protocol = protocol
        self._sources = sources
        self._number = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self._socket.settimeout(_SECONDS)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)  # an answer does not repeat the request

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def change(self, verb: str, routes: Sequence[Route]) -> dict[Route, int]:
        """Send at most ``AT_ONCE`` routes; return the errno of each that the kernel refuses.

        Raises:
            HostError: the kernel does not answer.
        """
        asked: dict[int, Route] = {}
        messages = []
        # the kernel deletes no route with another source than the one that it is given
        sources = {} if verb == "del" else self._sources
        for route in routes:
            self._number = self._number % 0xFFFF_FFFF + 1
            asked[self._number] = route
            messages.append(
                message(
                    verb,
                    route,
                    number=self._number,
                    index=self._index,
                    protocol=self._protocol,
                    source=sources.get(route.destination.version),
                )
            )
        refused: dict[Route, int] = {}
        try:
            self._socket.send(b"".join(messages))
            while asked:
                for number, code in answers(self._socket.recv(1 << 16)):
                    route_asked = asked.pop(number, None)
                    if route_asked is not None and code:
                        refused[route_asked] = code
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else "no answer"
            raise HostError(f"cannot change the routes of this machine: {why}") from error
        return refused


def answers(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the number of each request that ``data`` answers, and its errno; 0 is success.

    Malformed data, which the kernel never sends, ends the iteration.
    """
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, number, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        if kind == _ANSWER and at + _HEADER.size + _ERROR.size <= len(data):
            yield number, abs(_ERROR.unpack_from(data, at + _HEADER.size)[0])
        at += length + 3 & ~3


PROTOCOL = 75
"""The origin of kgctl's routes (rtnetlink(7), rtm_protocol): no other program uses this number."""

TAKEN = "this machine has another route there already"
"""The reason for not setting a route that the machine already has, with any metric."""

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_EVERYTHING = {socket.AF_INET: "0.0.0.0/0", socket.AF_INET6: "::/0"}


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


class LinkRoutes:
    """kgctl's routes of one link, through the kernel's routing socket; a ``Routes``.

    ``addresses`` are those that this host sends from, if the link has others too.
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
        """Apply a change; see ``Routes``."""
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
        """Return the reason of a refusal in words; None if the route is gone as wanted."""
        if verb == "del" and code in (errno.ESRCH, errno.ENODEV):
            return None
        if code == errno.ENODEV:
            raise InterfaceGoneError(f"the interface {self._link.name} is gone")
        return TAKEN if code == errno.EEXIST else os.strerror(code)


def read_routes(netlink: Any, link: NetLink | None) -> RouteTable:
    """Return the main table, split by ``link``; None means that the link does not exist yet.

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
    """Add a route to ``own`` or ``others``; return whether it was added to ``others``.

    Routes of the link that another program made belong to neither.
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
    """Yield the next hops of a route: one, one of the other family, or one per path."""
    for hop in (message, *(message.get_attr("RTA_MULTIPATH") or ())):
        via = hop.get_attr("RTA_VIA")
        for text in (hop.get_attr("RTA_GATEWAY"), via.get("addr") if via else None):
            address = parse_address(text) if isinstance(text, str) else None
            if address is not None:
                yield address
