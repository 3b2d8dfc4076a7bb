"""Whether anybody else in the network has an address of this host."""

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

_SHOWN = 3  # owners of one address that are named


class SharedAddress(NamedTuple):
    """An address of this host, who else has it, and the Peer that nodes send its packets to.

    ``receiver`` is None where that depends on who asks.
    """

    address: Cidr
    others: tuple[Claim, ...]
    receiver: str | None

    @property
    def field(self) -> str:
        """The setting that would help, as ``KgctlError.field`` names it."""
        return "address"

    def __str__(self) -> str:
        """Return it in one sentence."""
        owners = some([f"{one.network} ({one.owner})" for one in self.others], _SHOWN)
        text = f"the address {self.address} of this host is in use elsewhere: {owners}"
        if self.receiver is not None:
            text += f"; nodes send its packets to peer {printable(self.receiver)} only"
        return f"{text}; give every host an address of its own"


def shared_addresses(state: State, name: str, addresses: Sequence[Cidr]) -> Iterator[SharedAddress]:
    """Yield each of the ``addresses`` of the Peer ``name`` that something else claims.

    Of Peers with the same allowed IP, Kilo gives it to the first by name.
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
