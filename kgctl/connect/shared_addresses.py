"""Addresses of this host that others in the network claim too."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.claims import claims_of
from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.claims import Claim
    from kgctl.mesh.node import Node
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


class Sharing:
    """Finds what ``shared_addresses`` finds, without another look at nodes that did not change."""

    def __init__(self) -> None:
        self._asked: object = None
        self._clear: dict[str, Node] = {}  # nodes that claim none of the addresses

    def look(self, state: State, name: str, addresses: Sequence[Cidr]) -> list[SharedAddress]:
        """Return what ``shared_addresses`` yields."""
        asked = name, tuple(addresses)
        clear = self._clear if asked == self._asked else {}
        nodes = [node for node in state.nodes if clear.get(node.name) is not node]
        found = list(shared_addresses(state, name, addresses, nodes))
        sharing = {claim.name for one in found for claim in one.others}
        self._asked = asked
        self._clear = {node.name: node for node in state.nodes if node.name not in sharing}
        return found


def shared_addresses(
    state: State, name: str, addresses: Sequence[Cidr], nodes: Sequence[Node] | None = None
) -> Iterator[SharedAddress]:
    """Yield each of the ``addresses`` of the Peer ``name`` that something else claims too.

    If Peers have the same allowed IP, Kilo gives it to the first by name. Of the nodes only
    ``nodes`` count, if they are given.
    """
    # a list is enough for a few addresses: an index of all claims takes ten times as long
    claims = list(claims_of(state, beside=name, nodes=nodes))
    valid = {peer.name for peer in state.peers if peer.is_ready}
    for address in addresses:
        others = tuple(
            sorted(
                (one for one in claims if one.network.intersects(address)),
                key=lambda one: (one.network.prefix, one.network.network_value),
            )
        )
        if not others:
            continue
        rivals = [
            one.peer for one in others if one.network == address.masked() and one.peer in valid
        ]
        yield SharedAddress(address, others, min(name, *filter(None, rivals)) if rivals else None)
