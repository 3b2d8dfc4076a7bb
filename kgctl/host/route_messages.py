"""Routes in messages of the kernel's routing socket: rtnetlink(7)."""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, NamedTuple

from kgctl.host.batches import Request
from kgctl.host.netlink import Netlink, attributes, told
from kgctl.mesh.cidr import Address, Cidr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAIN = 254
"""The main routing table."""

UNIVERSE, LINK, NOWHERE = 0, 253, 255
"""Scopes of routes: through a gateway, on the link, and, for deletion, any."""

UNICAST = 1
"""The type of a route to a host or network (RTN_UNICAST)."""

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
"""The address families by IP version."""

_SIZES = {socket.AF_INET: 4, socket.AF_INET6: 16}
"""Bytes of an address."""

_ROUTE = struct.Struct("=BBBBBBBBL")  # rtmsg: family, both lengths, TOS, table, origin, scope, …
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_NUMBER = struct.Struct("=L")
_FAMILY = struct.Struct("=H")
_KINDS = {"add": 24, "replace": 24, "del": 25}  # RTM_NEWROUTE, RTM_DELROUTE
_FLAGS = {"add": 0x400 | 0x200, "replace": 0x400 | 0x100, "del": 0}  # CREATE with EXCL, REPLACE
_ONLINK = 4
_CLONED = 0x200  # a cached route, which older kernels list too
_DST, _OIF, _GATEWAY, _METRIC, _PREFSRC, _MULTIPATH, _TABLE, _VIA = 1, 4, 5, 6, 7, 9, 15, 18
_HOP = struct.Struct("=Hxxxxxx")  # rtnexthop: length, flags, hops, interface
_GET_ROUTE = 26
_NETLINK_ROUTE = 0
_IN_HEADER = 256  # tables from this number are in an attribute only
_READS = 3  # of routes that change while they are read; a later change brings an event anyway


class KernelRoute(NamedTuple):
    """A route as the kernel knows it.

    ``interface`` is its number, 0 if there are several or none; ``source`` the address to
    send from. ``onlink``: the gateway counts as on the link. ``metric`` 0 is IPv4's default.
    """

    destination: Cidr
    interface: int
    gateway: Address | None = None
    source: Address | None = None
    table: int = MAIN
    protocol: int = 0
    scope: int = UNIVERSE
    onlink: bool = False
    metric: int = 0
    kind: int = UNICAST


def request(verb: str, route: KernelRoute) -> Request:
    """Return the request to ``add``, ``replace`` or ``del`` a route."""
    destination = route.destination
    body = _ROUTE.pack(
        FAMILIES[destination.version],
        destination.prefix,
        0,
        0,
        route.table if route.table < _IN_HEADER else 0,
        route.protocol,
        route.scope,
        route.kind,
        _ONLINK if route.onlink else 0,
    )
    body += attribute(_TABLE, _NUMBER.pack(route.table))
    body += attribute(_DST, destination.address.packed)
    if route.interface:
        body += attribute(_OIF, _NUMBER.pack(route.interface))
    if route.source is not None:
        body += attribute(_PREFSRC, route.source.packed)
    if route.metric:
        body += attribute(_METRIC, _NUMBER.pack(route.metric))
    gateway = route.gateway
    if gateway is not None and gateway.version == destination.version:
        body += attribute(_GATEWAY, gateway.packed)
    elif gateway is not None:
        body += attribute(_VIA, _FAMILY.pack(FAMILIES[gateway.version]) + gateway.packed)
    return Request(_KINDS[verb], _FLAGS[verb], body)


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute, padded to four bytes."""
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + bytes(-size % 4)


def open_routes() -> Netlink:
    """Return a routing socket, for ``route_messages``; the caller closes it."""
    return Netlink(_NETLINK_ROUTE)


def route_messages(netlink: Netlink, table: int) -> Iterator[bytes]:
    """Yield the messages of both families' routes; older kernels list every table (before 4.20).

    Raises:
        HostError: routes cannot be read.
    """
    for family in FAMILIES.values():
        asked = _ROUTE.pack(family, 0, 0, 0, table if table < _IN_HEADER else 0, 0, 0, 0, 0)
        if table >= _IN_HEADER:
            asked += attribute(_TABLE, _NUMBER.pack(table))
        with told("read the routes of this machine"):
            messages = _dump(netlink, asked)
        # asked for a family that it lacks, rtnetlink falls back to all others
        yield from (message for message in messages if message[:1] == bytes([family]))


def _dump(netlink: Netlink, asked: bytes) -> list[bytes]:
    try:
        for _ in range(_READS):
            messages, whole = netlink.dump(_GET_ROUTE, asked)
            if whole:
                break
    except OSError as error:
        if error.errno != errno.ENOENT:  # the table, which the first route makes
            raise
        return []
    return messages


def read_route(message: bytes) -> KernelRoute | None:
    """Return the route of a message; None if it is malformed, cached, or not of IP."""
    if len(message) < _ROUTE.size:
        return None
    family, length, _, _, table, protocol, scope, kind, flags = _ROUTE.unpack_from(message)
    found = attributes(message[_ROUTE.size :])
    address = read_address(found.get(_DST) or bytes(_SIZES.get(family, 0)))
    if address is None or length > address.max_prefixlen or flags & _CLONED:
        return None
    return KernelRoute(
        Cidr(address, length),
        interface=_number(found, _OIF, 0),
        gateway=read_address(found.get(_GATEWAY, b"")) or read_address(found.get(_VIA, b"")[2:]),
        source=read_address(found.get(_PREFSRC, b"")),
        table=_number(found, _TABLE, table),
        protocol=protocol,
        scope=scope,
        onlink=bool(flags & _ONLINK),
        metric=_number(found, _METRIC, 0),
        kind=kind,
    )


def _number(found: Mapping[int, bytes], kind: int, default: int) -> int:
    raw = found.get(kind, b"")
    return _NUMBER.unpack(raw)[0] if len(raw) == _NUMBER.size else default


def gateways(message: bytes) -> Iterator[Address]:
    """Yield the next hops of a route: one, one of the other family, or one per path."""
    found = attributes(message[_ROUTE.size :])
    hops = [found]
    paths, at = found.get(_MULTIPATH, b""), 0
    while at + _HOP.size <= len(paths):
        (size,) = _HOP.unpack_from(paths, at)
        hops.append(attributes(paths[at + _HOP.size : at + size]))
        at += max(_HOP.size, size + 3 & ~3)
    for hop in hops:
        # RTA_VIA: the family, in two bytes, before the address
        for raw in (hop.get(_GATEWAY, b""), hop.get(_VIA, b"")[2:]):
            address = read_address(raw)
            if address is not None:
                yield address


def read_address(raw: bytes) -> Address | None:
    """Return the address of an attribute, or None if it has the size of none."""
    if len(raw) == _SIZES[socket.AF_INET]:
        return IPv4Address(raw)
    return IPv6Address(raw) if len(raw) == _SIZES[socket.AF_INET6] else None
