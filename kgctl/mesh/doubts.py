"""What is odd about peers that Kilo takes all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.mesh.allocation import Claims
from kgctl.mesh.claims import claims_of
from kgctl.mesh.readiness import why_peer_not_ready
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.state import State

_MAX_KEEPALIVE = 65535  # seconds, in WireGuard; Kilo takes any number


def doubts(state: State, service_cidrs: Iterable[Cidr] = ()) -> Iterator[tuple[str, str]]:
    """Yield the name of a valid peer and what is odd about it, in words, for each oddity.

    It takes no part in the network; an allowed IP overlaps a network in use; another machine has
    its public key, and WireGuard knows a machine by that; its keepalive is longer than any.
    """
    claims = Claims(claims_of(state, service_cidrs))
    owners = _owners_of_keys(state)
    order = {peer.name: number for number, peer in enumerate(state.peers)}
    for number, peer in enumerate(state.peers):
        for reason in why_peer_not_ready(peer):
            yield peer.name, f"takes no part in the network: {reason}"
        for overlap in _overlaps(peer, claims, order, number):
            yield peer.name, overlap
        owner = owners.get(peer.public_key) if peer.public_key is not None else None
        if owner is not None and owner != ("peer", peer.name):
            yield peer.name, f"has the public key of {owner[0]} {printable(owner[1])}"
        if peer.persistent_keepalive > _MAX_KEEPALIVE:
            yield peer.name, f"persistentKeepalive is more than WireGuard's {_MAX_KEEPALIVE} s"


def _overlaps(peer: Peer, claims: Claims, order: Mapping[str, int], number: int) -> Iterator[str]:
    """Yield an overlap of each allowed IP; of two peers only the later one by ``order`` has it."""
    for cidr in dict.fromkeys(peer.allowed_ips):
        for found in claims.overlapping(cidr):
            if found.peer is not None and order.get(found.peer, -1) >= number:
                continue
            if found.peer in order and found.network == cidr:
                yield f"does not get allowed IP {cidr}: peer {printable(str(found.peer))} has it"
            else:
                yield f"allowed IP {cidr} overlaps {found.network}, {found.owner}"
            break


def _owners_of_keys(state: State) -> dict[PublicKey, tuple[str, str]]:
    """Return whose each public key is; of several the first, nodes before peers."""
    owners: dict[PublicKey, tuple[str, str]] = {}
    for node in state.nodes:
        if node.key is not None:
            owners.setdefault(node.key, ("node", node.name))
    for peer in state.peers:
        if peer.public_key is not None:
            owners.setdefault(peer.public_key, ("peer", peer.name))
    return owners
