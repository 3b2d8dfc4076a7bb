"""Links of this machine and their addresses.

What setting up a tunnel takes of a machine; the real thing, or a test's.
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
    from collections.abc import Callable, Iterable, Sequence

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.routes import Route
    from kgctl.wireguard.device import DeviceChange, DeviceState


_UP = 1  # IFF_UP
_WITHOUT_IPV6 = (errno.EACCES, errno.EOPNOTSUPP, errno.EAFNOSUPPORT)
_NO_DAD = 0x02  # IFA_F_NODAD: nobody else can have an address of a tunnel's


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
        # Each on a socket of its own: the acknowledgement that follows an answer is one message
        # too many for pyroute2, which keeps it as long as the socket (2 KiB at each look).
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
        """Create a WireGuard link in the kernel; False where the kernel has no WireGuard.

        Raises:
            HostError: it cannot be created.
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
            HostError: it was refused.
        """
        if mtu is not None:
            with told(f"set the MTU of {link.name} to {mtu}"):
                self._netlink.link("set", index=link.index, mtu=mtu)
        if up is not None:
            with told(f"set the interface {link.name} {'up' if up else 'down'}"):
                self._netlink.link("set", index=link.index, state="up" if up else "down")

    def delete(self, link: NetLink) -> None:
        """Delete a link, and with it its addresses and routes; it may be gone already.

        Raises:
            HostError: it was refused.
        """
        with suppress(InterfaceGoneError), told(f"delete the interface {link.name}"):
            self._netlink.link("del", index=link.index)

    def addresses(self, link: NetLink) -> set[Cidr]:
        """Return the addresses of a link with their prefixes, link-local ones left out.

        Raises:
            HostError: they cannot be read.
        """
        with told(f"read the addresses of {link.name}"):
            found = list(self._netlink.get_addr(index=link.index))
        return {cidr for message in found if (cidr := _address(message)) is not None}

    def addresses_elsewhere(self, link: NetLink) -> list[Address]:
        """Return the addresses of all links but this one.

        Raises:
            HostError: they cannot be read.
        """
        return read_addresses(self._netlink, link.index)

    def add_addresses(self, link: NetLink, addresses: Iterable[Cidr]) -> None:
        """Give a link addresses; it may have them already.

        Raises:
            HostError: one was refused.
        """
        for cidr in addresses:
            with told(f"give {link.name} the address {cidr}"):
                try:
                    self._address("add", link, cidr, errno.EEXIST)
                except Exception as error:
                    if cidr.version == 6 and errno_of(error) in _WITHOUT_IPV6:
                        raise HostError(
                            f"cannot give {link.name} the address {cidr}: IPv6 is switched off "
                            "(sysctl net.ipv6.conf.all.disable_ipv6)"
                        ) from error
                    raise

    def remove_addresses(self, link: NetLink, addresses: Iterable[Cidr]) -> None:
        """Take addresses from a link; they may be gone already.

        Raises:
            HostError: one was refused.
        """
        for cidr in addresses:
            with suppress(InterfaceGoneError), told(f"take the address {cidr} from {link.name}"):
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
    """What to do to the routes of a link. ``replace`` have another gateway than before."""

    add: Sequence[Route] = ()
    replace: Sequence[Route] = ()
    remove: Sequence[Route] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return any((self.add, self.replace, self.remove))

    def __len__(self) -> int:
        """How many routes are touched."""
        return len(self.add) + len(self.replace) + len(self.remove)


class Refused(NamedTuple):
    """A route that the kernel did not take, and why, in words."""

    route: Route
    reason: str


class RouteTable(NamedTuple):
    """The routes of a machine: kgctl's of one link, and the networks that all others lead to.

    ``gateways`` are the next hops of those others.
    """

    own: set[Route]
    others: frozenset[Cidr]
    gateways: frozenset[Address] = frozenset()


class Device(Protocol):
    """A WireGuard device."""

    def read(self) -> DeviceState:
        """Return its state.

        Raises:
            kgctl.errors.InterfaceGoneError: it is not there any more.
            kgctl.KgctlError: it cannot be read.
        """
        ...

    def apply(self, change: DeviceChange) -> None:
        """Carry out a change, and nothing more.

        Raises:
            kgctl.errors.InterfaceGoneError: it is not there any more.
            kgctl.KgctlError: it was refused.
        """
        ...


class Routes(Protocol):
    """The routes of one link that are kgctl's, among those of the machine."""

    def read(self) -> RouteTable:
        """Return them all.

        Raises:
            kgctl.KgctlError: they cannot be read.
        """
        ...

    def apply(
        self, change: RouteChange, stopped: Callable[[], bool] = lambda: False
    ) -> list[Refused]:
        """Carry out a change; what the kernel refuses is left out, and returned.

        It ends early once ``stopped`` returns True, which is asked now and then.

        Raises:
            kgctl.errors.InterfaceGoneError: the link is not there any more.
        """
        ...
