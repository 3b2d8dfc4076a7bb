"""Addresses of this host that others in the network claim too."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.allocation import Claims
from kgctl.mesh.claims import claims_of
from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.claims import Claim
    from kgctl.mesh.state import State

_SHOWN = 3  # listed owners of one address


class SharedAddress(NamedTuple):
    """An address of this host, its other claims, and the Peer to which nodes send its packets.

    ``receiver`` is None if it depends on the sender.
    """

    address: Cidr
    others: tuple[Claim, ...]
    receiver: str | None

    @property
    def field(self) -> str:
        """The setting to change, as in ``KgctlError.field``."""
        return "address"

    def __str__(self) -> str:
        """Return one sentence about the address."""
        owners = some([f"{one.network} ({one.owner})" for one in self.others], _SHOWN)
        text = f"the address {self.address} of this host is in use elsewhere: {owners}"
        if self.receiver is not None:
            text += f"; nodes send its packets to peer {printable(self.receiver)} only"
        return f"{text}; give every host an address of its own"


def shared_addresses(state: State, name: str, addresses: Sequence[Cidr]) -> Iterator[SharedAddress]:
    """Yield each of the ``addresses`` of the Peer ``name`` that something else claims too.

    If Peers have the same allowed IP, Kilo gives it to the first by name.
    """
    claims = Claims(claims_of(state, beside=name))
    valid = {peer.name for peer in state.peers if peer.is_ready}
    for address in addresses:
        others = tuple(claims.overlapping(address))
        if not others:
            continue
        rivals = [
            one.peer for one in others if one.network == address.masked() and one.peer in valid
        ]
        yield SharedAddress(address, others, min(name, *filter(None, rivals)) if rivals else None)
