"""The host's own routes, gateways, addresses and DNS servers, which it needs itself.

Also the remote addresses of this process' TCP connections.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.host.netlink import told
from kgctl.mesh.cidr import Address, Cidr, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.host.links import RouteTable


RESOLVER_FILES = (
    Path("/etc/resolv.conf"),
    # the upstream servers of systemd-resolved: the first file may name only its own address
    Path("/run/systemd/resolve/resolv.conf"),
)
_MOST_BYTES = 1 << 20


class Surroundings(NamedTuple):
    """This machine without one link: ``networks`` are the destinations of its routes.

    ``gateways`` are the next hops of these routes, ``addresses`` the machine's own addresses, and
    ``resolvers`` its DNS servers, without loopback addresses.
    """

    networks: frozenset[Cidr] = frozenset()
    gateways: frozenset[Address] = frozenset()
    addresses: frozenset[Address] = frozenset()
    resolvers: frozenset[Address] = frozenset()


def surroundings(
    table: RouteTable,
    addresses: Iterable[Address] = (),
    resolver_files: Iterable[Path] = RESOLVER_FILES,
) -> Surroundings:
    """Return the surroundings of the link of ``table``."""
    return Surroundings(
        table.others,
        table.gateways,
        frozenset(one for one in addresses if not one.is_loopback),
        frozenset(read_resolvers(resolver_files)),
    )


def read_addresses(netlink: Any, index: int | None) -> list[Address]:
    """Return the addresses of every link except that of ``index``.

    Raises:
        HostError: the addresses cannot be read.
    """
    with told("read the addresses of this machine"):
        messages = [one for one in netlink.get_addr() if one["index"] != index]
    # IFA_ADDRESS of a point-to-point link is the other end's
    texts = (one.get_attr("IFA_LOCAL") or one.get_attr("IFA_ADDRESS") for one in messages)
    return [address for text in texts if text and (address := parse_address(text)) is not None]


def read_resolvers(files: Iterable[Path] = RESOLVER_FILES) -> Iterator[Address]:
    """Yield the DNS servers of resolv.conf(5) files, without loopback addresses.

    An unreadable file counts as empty. A server with a zone is skipped: it is on a local link.
    """
    for path in files:
        text = ""
        with suppress(OSError), path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", "replace")
        for line in text.splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver":
                address = parse_address(words[1])
                if address is not None and not address.is_loopback:
                    yield address


_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def remote_addresses() -> frozenset[Address]:
    """Return the remote addresses of this process' TCP connections.

    They stay true when the address of a host name changes.
    """
    found = map(_remote_address, list(Path("/proc/self/fd").iterdir()))
    return frozenset(one for one in found if one is not None)


def _remote_address(descriptor: Path) -> Address | None:
    """Return the remote address of a file descriptor, or None if it is not a TCP connection."""
    with suppress(OSError):  # another thread may close it meanwhile
        if not str(descriptor.readlink()).startswith("socket:"):
            return None
        with socket.socket(fileno=os.dup(int(descriptor.name))) as found:
            if found.family in _FAMILIES and found.type == socket.SOCK_STREAM:
                return parse_address(str(found.getpeername()[0]).partition("%")[0])
    return None
