"""WireGuard devices of the kernel, through its generic netlink family."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from kgctl.errors import HostError
from kgctl.host.links import PortTakenError
from kgctl.host.netlink import GenericSocket, told
from kgctl.wireguard.netlink_messages import (
    FAMILY,
    GET_DEVICE,
    SET_DEVICE,
    VERSION,
    DeviceReader,
    get_device,
    set_device,
)

if TYPE_CHECKING:
    from kgctl.wireguard.device import DeviceChange, DeviceState

_READS = 5  # of a device that changes while it is read; the last answer counts, changed or not


class KernelDevice:
    """The kernel's WireGuard device of a link; a ``Device``.

    ``netlink`` is the socket to use; None opens a new one.
    """

    def __init__(self, name: str, netlink: GenericSocket | None = None) -> None:
        self._name = name
        if netlink is None:
            with told("connect to the kernel's WireGuard"):
                netlink = GenericSocket(FAMILY, VERSION)
        self._netlink = netlink
        self._reader = DeviceReader(_name_of)

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()

    def read(self) -> DeviceState:
        """Return the state; see ``Device``.

        Like ``wg``, it reads again if the device changed meanwhile.
        """
        request = get_device(self._name)
        with told(f"read the WireGuard device {self._name}"):
            for _ in range(_READS):
                messages, whole = self._netlink.dump(GET_DEVICE, request)
                if whole:
                    break
        return self._reader.read(messages)

    def apply(self, change: DeviceChange) -> None:
        """Apply a change, many peers in a message; see ``Device``."""
        with told(f"configure the WireGuard device {self._name}"):
            for number, attributes in enumerate(set_device(self._name, change, _index_of)):
                try:
                    self._netlink.request(SET_DEVICE, attributes)
                except OSError as error:
                    port = None if number else change.listen_port
                    if port is not None and error.errno == errno.EADDRINUSE:
                        raise PortTakenError(self._name, port) from error
                    raise


def _index_of(zone: str) -> int:
    """Return the number of an interface.

    Raises:
        HostError: this machine has no such interface.
    """
    if zone.isdigit():
        return int(zone)
    try:
        return socket.if_nametoindex(zone)
    except OSError as error:
        raise HostError(
            f"cannot set a link-local endpoint: this machine has no interface {zone}"
        ) from error


def _name_of(index: int) -> str:
    """Return the name of an interface, or its number if it is gone."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)
