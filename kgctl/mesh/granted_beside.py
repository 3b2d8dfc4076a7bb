"""What the policy of claims grants, for the files of many peers of one network."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kgctl.mesh.cidr import single
from kgctl.mesh.granted import Limited, dialled_at, limited
from kgctl.mesh.guards import Reason
from kgctl.mesh.owners import NOTHING, claims_of_holder
from kgctl.mesh.peer import Peer, is_own_address

if TYPE_CHECKING:
    from kgctl.mesh.owners import Present
    from kgctl.mesh.policy import Limits
    from kgctl.mesh.topology import Segment, Topology


class GrantedBeside:
    """``limited`` beside each peer of a topology: the result is the same, and takes less work.

    The claims are judged once for all peers. That differs beside a peer only if another machine
    claims its key, one of its networks or addresses, or the address of its endpoint; then the
    claims are judged again.
    """

    def __init__(
        self, topology: Topology, limits: Limits | None = None, present: Present = NOTHING
    ) -> None:
        self._topology = topology
        self._limits = limits
        self._present = present
        self.all = limited(topology, limits, present=present)
        """What is granted beside none of the peers."""
        self._places = {peer.name: at for at, peer in enumerate(self.all.topology.peers)}
        granted = self.all.topology
        self._parts = {
            peer.name: frozenset(network.number for network in peer.allowed_ips)
            for peer in granted.peers
        }
        owners: list[Segment | Peer] = [*topology.segments, *topology.peers]
        self._claims = Counter(
            number
            for owner in owners
            for number in {claim.network.number for claim in claims_of_holder(owner)}
            | (self._parts.get(owner.name, frozenset()) if isinstance(owner, Peer) else frozenset())
        )
        for segment in granted.segments:  # parts of claims
            self._claims.update(one.number for one in segment.allowed_location_ips)
        self._claims.update(  # and those that went to the owner of such a network
            one.claim.network.number for one in self.all.refusals if one.reason is Reason.TAKEN
        )
        self._keys = Counter(segment.key for segment in topology.segments)
        self._keys.update(peer.public_key for peer in topology.peers if peer.public_key)

    def beside(self, peer: Peer) -> Limited:
        """Return what ``limited(topology, ..., beside=peer.name)`` returns."""
        at = self._places.get(peer.name)
        if at is None or not self._is_apart(peer):
            return limited(self._topology, self._limits, beside=peer.name, present=self._present)
        peers = self.all.topology.peers
        if peers[at] is not peer:
            peers = (*peers[:at], peer, *peers[at + 1 :])
        by_peer = self.all.by_peer
        return self.all._replace(
            topology=self.all.topology._replace(peers=peers),
            by_segment={name: [*found] for name, found in self.all.by_segment.items()},
            by_peer={name: [*found] for name, found in by_peer.items() if name != peer.name},
            by_itself=[],
        )

    def is_apart(self, peer: Peer) -> bool:
        """Return whether ``beside`` takes little work: what others are granted is as in ``all``."""
        return peer.name in self._places and self._is_apart(peer)

    def _is_apart(self, peer: Peer) -> bool:
        own = {network.number for network in peer.allowed_ips} | self._parts[peer.name]
        near = own | {
            single(network.address).number
            for network in peer.allowed_ips
            if is_own_address(network)
        }
        near |= {guard.network.number for guard in dialled_at(peer)}
        return (
            peer.public_key is not None
            and self._keys[peer.public_key] == 1
            and all(self._claims[number] == (number in own) for number in near)
        )
