"""A complete file for ``wg-quick up``, with which an outside machine joins the network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kgctl.wireguard.conf import Configuration, Interface
from kgctl.wireguard.configure import peer_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.topology import Topology
    from kgctl.wireguard.keys import PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickSettings:
    """What the network does not say about the machine that joins it. ``mtu`` is in bytes."""

    private_key: PrivateKey | None = None
    dns: tuple[Address, ...] = ()
    mtu: int | None = None


def quick_configuration(topology: Topology, peer: Peer, settings: QuickSettings) -> Configuration:
    """Return the file of ``peer``: its own addresses, every segment, and every other peer.

    Of the allowed IPs those are its addresses that can be one: a single address, or one with
    host bits; the rest are networks behind it.
    """
    interface = Interface(
        addresses=tuple(cidr for cidr in peer.allowed_ips if _is_address(cidr)),
        private_key=settings.private_key,
        dns=settings.dns,
        mtu=settings.mtu,
        comments=tuple(_comments(peer, settings)),
    )
    return replace(peer_configuration(topology, peer), interface=interface)


def _is_address(cidr: Cidr) -> bool:
    return cidr.host_bits == 0 or int(cidr.address) != cidr.network_value


def _comments(peer: Peer, settings: QuickSettings) -> Iterator[str]:
    yield f"the peer {peer.name}, for: wg-quick up FILE"
    if settings.private_key is None:
        yield "missing: the private key that belongs to the public key below; have it filled in"
        yield "with --private-key FILE, or put it here: PrivateKey = ..."
        yield f"its public key: {peer.public_key}"
    if not any(map(_is_address, peer.allowed_ips)):
        yield "missing: the peer has no allowed IP that is an address of its own"
