"""Addresses that have to be reached without the tunnel: it stands on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.host.connections import remote_addresses
from kgctl.mesh.cidr import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.host.names import Names
    from kgctl.mesh.cidr import Address
    from kgctl.wireguard.device import DeviceState

_KEPT = 16
"""Addresses of the API server that are remembered: a load balancer's name has many in turn."""


def dialled(state: DeviceState | None) -> frozenset[Address]:
    """Return the addresses to which a device sends."""
    peers = () if state is None else state.peers.values()
    endpoints = (peer.endpoint for peer in peers)
    return frozenset(one.address for one in endpoints if one is not None and one.address)


class Servers:
    """The addresses at which kgctl reaches the API server, or its proxy, by the name ``host``.

    Those of the connections that it really has come first: they are known before any name is
    looked up, and nobody who answers for a name has a say in them. The last ones are remembered.
    """

    def __init__(
        self,
        host: str,
        names: Names,
        connections: Callable[[], frozenset[Address]] = remote_addresses,
    ) -> None:
        self._host = host
        self._names = names
        self._connections = connections
        self._address = parse_address(host)
        self._known: dict[Address, None] = {}
        if self._address is None:
            names.keep_first(host)

    def addresses(self) -> frozenset[Address]:
        """Return them, as far as they are known. Loopback is no matter of routes."""
        for address in self._connections():
            self._known.pop(address, None)
            if not address.is_loopback:
                self._known[address] = None
        while len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        known = [self._address] if self._address else self._names.addresses(self._host)
        return frozenset(one for one in (*known, *self._known) if not one.is_loopback)

    def look_up_again(self) -> None:
        """Have the name looked up again, if it is one: it may have moved."""
        if self._address is None:
            self._names.refresh(self._host)

    def is_lost(self) -> bool:
        """Tell whether nobody knows what the name stands for, if it is one."""
        return self._address is None and bool(self._names.problem(self._host))
