"""Links of this host and their addresses, and the interfaces to its devices and routes.

``Device`` and ``Routes`` are protocols: tests have implementations of their own.
"""

from __future__ import annotations

import errno
import socket
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kgctl.errors import HostError, InterfaceGoneError
from kgctl.host.netlink import errno_of, open_netlink, told
from kgctl.host.surroundings import read_addresses
from kgctl.mesh.cidr import Cidr, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.routes import Route
    from kgctl.wireguard.device import DeviceChange, DeviceState


_UP = 1  # IFF_UP
_WITHOUT_IPV6 = (errno.EACCES, errno.EOPNOTSUPP, errno.EAFNOSUPPORT)
_NO_DAD = 0x02  # IFA_F_NODAD: an address of a tunnel has no duplicates on the link


class PortTakenError(HostError):
    """The UDP ``port`` of an interface is in use already."""

    def __init__(self, interface: str, port: int) -> None:
        super().__init__(
            f"the interface {interface} cannot listen at UDP port {port}: another interface or "
            "program of this machine does; give another port",
            field="port",
            value=port,
        )


@dataclass(frozen=True, slots=True)
class NetLink:
    """A link. ``kind`` is ``wireguard``, ``tun``, … or empty; ``mtu`` is in bytes."""

    index: int
    name: str
    kind: str
    mtu: int
    up: bool


class Links:
    """Reads and changes links through the kernel's routing socket."""

    def __init__(self) -> None:
        self._netlink = open_netlink()

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()

    def find(self, name: str) -> NetLink | None:
        """Return the link of that name, or None.

        Raises:
            HostError: links cannot be read.
        """
        # A new socket each time: pyroute2 does not expect the acknowledgement after the answer,
        # and keeps it as long as the socket (2 KiB per call).
        try:
            with closing(open_netlink()) as netlink, told(f"look up the interface {name}"):
                found = list(netlink.link("get", ifname=name))
        except InterfaceGoneError:
            return None
        return _link(found[0]) if found else None

    def all(self) -> list[NetLink]:
        """Return every link.

        Raises:
            HostError: links cannot be read.
        """
        with told("list the interfaces"):
            return [_link(message) for message in self._netlink.get_links()]

    def create(self, name: str) -> bool:
        """Create a WireGuard link in the kernel; return False if the kernel has no WireGuard.

        Raises:
            HostError: the link cannot be created.
        """
        with told(f"create the interface {name}"):
            try:
                self._netlink.link("add", ifname=name, kind="wireguard")
            except Exception as error:
                if errno_of(error) in (errno.EOPNOTSUPP, errno.ENOENT, errno.EAFNOSUPPORT):
                    return False
                raise
        return True

    def configure(self, link: NetLink, *, mtu: int | None = None, up: bool | None = None) -> None:
        """Set the MTU, in bytes, or the state of a link.

        Raises:
            HostError: the kernel refused the change.
        """
        if mtu is not None:
            with told(f"set the MTU of {link.name} to {mtu}"):
                self._netlink.link("set", index=link.index, mtu=mtu)
        if up is not None:
            with told(f"set the interface {link.name} {'up' if up else 'down'}"):
                self._netlink.link("set", index=link.index, state="up" if up else "down")

    def delete(self, link: NetLink) -> None:
        """Delete a link with its addresses and routes; do nothing if it is gone already.

        Raises:
            HostError: the kernel refused the change.
        """
        with suppress(InterfaceGoneError), told(f"delete the interface {link.name}"):
            self._netlink.link("del", index=link.index)

    def addresses(self, link: NetLink) -> set[Cidr]:
        """Return the addresses of a link with their prefixes, without link-local ones.

        Raises:
            HostError: the addresses cannot be read.
        """
        with told(f"read the addresses of {link.name}"):
            found = list(self._netlink.get_addr(index=link.index))
        return {cidr for message in found if (cidr := _address(message)) is not None}

    def addresses_elsewhere(self, link: NetLink) -> list[Address]:
        """Return the addresses of all links except this one.

        Raises:
            HostError: the addresses cannot be read.
        """
        return read_addresses(self._netlink, link.index)

    def add_addresses(self, link: NetLink, addresses: Iterable[Cidr]) -> None:
        """Add addresses to a link, unless it has them already.

        Raises:
            HostError: the kernel refused one.
        """
        for cidr in addresses:
            with told(f"add the address {cidr} to {link.name}"):
                try:
                    self._address("add", link, cidr, errno.EEXIST)
                except Exception as error:
                    if cidr.version == 6 and errno_of(error) in _WITHOUT_IPV6:
                        raise HostError(
                            f"cannot add the address {cidr} to {link.name}: IPv6 is disabled "
                            "(sysctl net.ipv6.conf.all.disable_ipv6)"
                        ) from error
                    raise

    def remove_addresses(self, link: NetLink, addresses: Iterable[Cidr]) -> None:
        """Remove addresses from a link; ignore those that are gone already.

        Raises:
            HostError: the kernel refused one.
        """
        for cidr in addresses:
            with suppress(InterfaceGoneError), told(f"remove the address {cidr} from {link.name}"):
                self._address("del", link, cidr, errno.EADDRNOTAVAIL)

    def _address(self, verb: str, link: NetLink, cidr: Cidr, harmless: int) -> None:
        settings: dict[str, Any] = {"index": link.index, "address": str(cidr.address)}
        settings["prefixlen"] = cidr.prefix
        if cidr.version == 6:
            settings["family"] = socket.AF_INET6
            if verb == "add":
                settings["flags"] = _NO_DAD
        try:
            self._netlink.addr(verb, **settings)
        except Exception as error:
            if errno_of(error) != harmless:
                raise


def _link(message: Any) -> NetLink:
    info = message.get_attr("IFLA_LINKINFO")
    return NetLink(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME") or "",
        kind=(info.get_attr("IFLA_INFO_KIND") if info else None) or "",
        mtu=message.get_attr("IFLA_MTU") or 0,
        up=bool(message["flags"] & _UP),
    )


def _address(message: Any) -> Cidr | None:
    text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    address = parse_address(text) if text else None
    if address is None or address.is_link_local:
        return None
    return Cidr(address, message["prefixlen"])


@dataclass(frozen=True, slots=True)
class RouteChange:
    """Changes to the routes of a link. Those of ``replace`` get another gateway."""

    add: Sequence[Route] = ()
    replace: Sequence[Route] = ()
    remove: Sequence[Route] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to change."""
        return any((self.add, self.replace, self.remove))

    def __len__(self) -> int:
        """The number of routes to change."""
        return len(self.add) + len(self.replace) + len(self.remove)

    def without(self, routes: Collection[Route]) -> RouteChange:
        """Return the change without these routes, such as those that were refused."""
        if not routes:
            return self
        left = (
            [route for route in part if route not in routes]
            for part in (self.add, self.replace, self.remove)
        )
        return RouteChange(*left)


class Refused(NamedTuple):
    """A route that was not set, and the reason in words."""

    route: Route
    reason: str


class RouteTable(NamedTuple):
    """The routes of a machine: kgctl's own of one link, and the destinations of all others.

    ``gateways`` are the next hops of the others.
    """

    own: Collection[Route]
    others: frozenset[Cidr]
    gateways: frozenset[Address] = frozenset()


class Device(Protocol):
    """A WireGuard device."""

    def read(self) -> DeviceState:
        """Return the state.

        Raises:
            kgctl.errors.InterfaceGoneError: the device is gone.
            kgctl.KgctlError: the device cannot be read.
        """
        ...

    def apply(self, change: DeviceChange) -> None:
        """Apply a change, and nothing more.

        Raises:
            kgctl.errors.InterfaceGoneError: the device is gone.
            kgctl.KgctlError: the change was refused.
        """
        ...


class Routes(Protocol):
    """kgctl's routes of one link, and the routes of the machine."""

    def read(self) -> RouteTable:
        """Return all routes.

        Raises:
            kgctl.KgctlError: the routes cannot be read.
        """
        ...

    def apply(
        self, change: RouteChange, stopped: Callable[[], bool] = lambda: False
    ) -> list[Refused]:
        """Apply a change; return the routes that the kernel refused.

        Stops early once ``stopped``, which is called between batches, returns True.

        Raises:
            kgctl.errors.InterfaceGoneError: the link is gone.
        """
        ...
