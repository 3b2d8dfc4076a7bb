"""The addresses of this machine's links, and its default route: what an agent chooses from."""

from __future__ import annotations

import struct
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from kgctl.host.names import look_up
from kgctl.host.netlink import attributes, told
from kgctl.host.route_messages import (
    MAIN,
    UNICAST,
    open_routes,
    read_address,
    read_route,
    route_messages,
)
from kgctl.mesh.cidr import Address, Cidr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.host.netlink import Netlink
    from kgctl.host.route_messages import KernelRoute

_GET_LINK, _GET_ADDRESS = 18, 22
_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_IFLA_IFNAME, _IFLA_MTU = 3, 4
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_NUMBER = struct.Struct("=I")


class LinkState(NamedTuple):
    """A link: its number, its name, and its MTU in bytes."""

    number: int
    name: str
    mtu: int


class Interfaces(NamedTuple):
    """The links by index; each address with the index of its link; and the default routes.

    ``addresses`` are in the order of the links. ``default_link`` is the index of the link of the
    first default route in the kernel's list, or None. ``gateways`` are those of default routes.
    """

    links: dict[int, LinkState]
    addresses: tuple[tuple[int, Cidr], ...]
    default_link: int | None
    gateways: frozenset[Address]

    def link(self, name: str) -> LinkState | None:
        """Return the link of that name, or None."""
        return next((one for one in self.links.values() if one.name == name), None)


def read_interfaces() -> Interfaces:
    """Return the links, addresses and default routes of this machine.

    Raises:
        HostError: they cannot be read.
    """
    with closing(open_routes()) as netlink:
        with told("read the interfaces of this machine"):
            links = dict(_links(netlink.dump(_GET_LINK, _LINK.pack(0, 0, 0, 0, 0))[0]))
            addresses = sorted(
                _addresses(netlink.dump(_GET_ADDRESS, _ADDRESS.pack(0, 0, 0, 0, 0))[0]),
                key=lambda one: one[0],
            )
        defaults = list(_defaults(netlink))
    gateways = frozenset(one.gateway for one in defaults if one.gateway is not None)
    first = next((one.interface for one in defaults if one.interface), None)
    return Interfaces(links, tuple(addresses), first, gateways)


def addresses_of_name(name: str) -> frozenset[Address]:
    """Return the addresses that a name of this machine resolves to; none if it does not."""
    try:
        return frozenset(look_up(name))
    except (OSError, UnicodeError):
        return frozenset()


def _links(messages: list[bytes]) -> Iterator[tuple[int, LinkState]]:
    for one in messages:
        if len(one) < _LINK.size:
            continue
        _, _, index, _, _ = _LINK.unpack_from(one)
        found = attributes(one[_LINK.size :])
        name = found.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode("utf-8", "replace")
        mtu = found.get(_IFLA_MTU, b"")
        yield index, LinkState(index, name, _NUMBER.unpack(mtu)[0] if len(mtu) == 4 else 0)


def _addresses(messages: list[bytes]) -> Iterator[tuple[int, Cidr]]:
    for one in messages:
        if len(one) < _ADDRESS.size:
            continue
        _, prefix, _, _, index = _ADDRESS.unpack_from(one)
        found = attributes(one[_ADDRESS.size :])
        # IFA_ADDRESS of a point-to-point link is the other end's
        address = read_address(found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS) or b"")
        if address is not None and prefix <= address.max_prefixlen:
            yield index, Cidr(address, prefix)


def _defaults(netlink: Netlink) -> Iterator[KernelRoute]:
    """Yield the default routes of the main table, in the kernel's order."""
    for message in route_messages(netlink, MAIN):
        route = read_route(message)
        # older kernels list every table
        if route is None or route.table != MAIN or route.kind != UNICAST:
            continue
        if not route.destination.prefix:
            yield route
