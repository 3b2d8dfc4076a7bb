"""Addresses that have to be reached without the tunnel: it stands on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.cidr import parse_address

if TYPE_CHECKING:
    from kgctl.host.names import Names
    from kgctl.mesh.cidr import Address
    from kgctl.wireguard.device import DeviceState


def dialled(state: DeviceState | None) -> frozenset[Address]:
    """Return the addresses to which a device sends."""
    peers = () if state is None else state.peers.values()
    endpoints = (peer.endpoint for peer in peers)
    return frozenset(one.address for one in endpoints if one is not None and one.address)


def cluster_addresses(host: str, names: Names) -> frozenset[Address]:
    """Return the addresses of ``host``, to which kgctl's own requests go.

    None while a name is being looked up. Loopback is no matter of routes.
    """
    address = parse_address(host)
    found = names.addresses(host) if address is None else [address]
    return frozenset(one for one in found if not one.is_loopback)


def look_up_again(host: str, names: Names) -> None:
    """Have the name of ``host`` looked up again, if it is one: it may have moved."""
    if parse_address(host) is None:
        names.refresh(host)
