"""Creating a Peer with an address of its own, even when others do the same at the same time.

An address is allocated from what is read, the Peer is created, and then all peers are read again,
consistently. Who finds its address claimed by another Peer takes another one, and looks again.
Of two writers the one that wrote last has the other's Peer in what it reads afterwards, so two
never keep the same address; that both may yield costs a number, not correctness.
"""

from __future__ import annotations

import time
from random import SystemRandom
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.cluster.errors import ClusterError, ConflictError
from kgctl.mesh.allocation import claims_of, clash, first_free, learned_pool
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kgctl.cluster.peers import PeerObjects
    from kgctl.mesh.allocation import Claim
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.state import State

Object = dict[str, Any]

_ATTEMPTS = 12
_PAUSE = 0.1  # seconds, times a random part of 1: writers that met once must not march in step
_SPREAD = 64  # free addresses passed over at most


class AddressTakenError(ClusterError):
    """An allowed IP is in use already; the message says by what."""


class Enrolment(NamedTuple):
    """How a Peer gets onto the network: who it is, and what its addresses may be.

    ``manifest`` makes the Peer object of allowed IPs. Without ``allowed_ips`` one address of
    ``pool`` is allocated, by default of the pool that the other peers are in.
    """

    name: str
    manifest: Callable[[Sequence[Cidr]], Object]
    allowed_ips: tuple[Cidr, ...] = ()
    pool: Cidr | None = None
    service_cidrs: tuple[Cidr, ...] = ()
    forced: bool = False

    def propose(self, state: State, skip: int = 0) -> Object:
        """Return the object to create, as far as ``state`` tells.

        Raises:
            AddressTakenError: a given allowed IP is in use.
            PoolExhaustedError: no address of the pool is free.
        """
        claims = self.claims(state)
        if not self.allowed_ips:
            return self.manifest([first_free(self.pool or learned_pool(state), claims, skip=skip)])
        if not self.forced:
            check_free(self.allowed_ips, claims)
        return self.manifest(self.allowed_ips)

    def claims(self, state: State) -> list[Claim]:
        """Return what the Peer has to keep clear of."""
        return claims_beside(state, self.name, self.service_cidrs)


def claims_beside(state: State, name: str, service_cidrs: Iterable[Cidr]) -> list[Claim]:
    """Return what the peer ``name`` has to keep clear of: everything but itself."""
    others = tuple(peer for peer in state.peers if peer.name != name)
    return list(claims_of(state._replace(peers=others), service_cidrs))


def check_free(allowed_ips: Sequence[Cidr], claims: Sequence[Claim]) -> None:
    """Make sure that no allowed IP overlaps a network in use.

    Raises:
        AddressTakenError: one does.
    """
    for cidr in allowed_ips:
        found = clash(cidr, claims)
        if found is not None:
            raise AddressTakenError(
                f"allowed IP {cidr} overlaps {found.network}, {found.owner}; "
                "give another one, or --force"
            )


def enrol(
    store: PeerObjects,
    read: Callable[[], State],
    enrolment: Enrolment,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Object:
    """Create the Peer and return it as it is stored, once nobody else has its address.

    Raises:
        AddressTakenError: a given allowed IP is in use, or no address could be kept.
        ClusterError: the Peer cannot be created; nothing is left of it.
    """
    stored = store.create(enrolment.propose(read()))
    if enrolment.allowed_ips:
        return stored
    random = SystemRandom()
    for attempt in range(_ATTEMPTS):
        state = read()
        if clash(_own_address(state, enrolment.name), enrolment.claims(state)) is None:
            return stored
        sleep(_PAUSE * random.random())
        spread = min(2 ** (attempt + 1), _SPREAD)
        proposal = enrolment.propose(state, skip=random.randrange(spread))
        stored = store.replace({**stored, "spec": proposal["spec"]})
    store.delete(enrolment.name, uid=stored["metadata"].get("uid"))
    raise AddressTakenError(
        f"others took each address that was allocated for {printable(enrolment.name)}; try again"
    )


def _own_address(state: State, name: str) -> Cidr:
    peer = state.peer(name)
    if peer is None or not peer.allowed_ips:
        raise ConflictError(f"the peer {printable(name)} was changed while it was created", 409)
    return peer.allowed_ips[0]


def change(store: PeerObjects, name: str, edit: Callable[[Object], Object]) -> Object:
    """Replace the Peer by what ``edit`` makes of it, without losing another's change.

    Raises:
        NotFoundError: there is no such Peer.
        ConflictError: it is changed faster than it can be edited.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return store.replace(edit(store.get(name)))
        except ConflictError:
            continue
    return store.replace(edit(store.get(name)))
