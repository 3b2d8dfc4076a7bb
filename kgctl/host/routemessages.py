"""Routes as messages of the kernel's routing socket, many in one go.

pyroute2 sends a message, waits for its answer, and takes a millisecond of processor for both: ten
seconds for what 5,000 peers need. What is sent here is one kind of message, and the kernel answers
each of them by its number. Formats: rtnetlink(7) and netlink(7).
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

from kgctl.host.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.routes import Route

AT_ONCE = 100
"""Routes in one go: the kernel keeps their answers in a buffer that has room for some 270."""

MAIN = 254
"""The routing table that everybody looks into."""

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

    ``number`` is that of the answer, ``source`` the address to send from.
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
    """Return an attribute; all values here have a length that needs no padding."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value


class RouteSocket:
    """A routing socket that changes routes of one link, many at once.

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
        """Send at most ``AT_ONCE`` routes; return the errno of each that the kernel refused.

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
    """Yield the number of each request that is answered in ``data``, and its errno; 0 is none.

    What cannot be read ends it: the kernel sends no such thing.
    """
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, number, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        if kind == _ANSWER and at + _HEADER.size + _ERROR.size <= len(data):
            yield number, abs(_ERROR.unpack_from(data, at + _HEADER.size)[0])
        at += length + 3 & ~3
