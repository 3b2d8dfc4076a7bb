"""Creation of Peers with unique addresses, and changes of Peers, safe with concurrent writers.

An address is allocated from the cluster's state, the Peer is created, and then all peers are read
again, consistently. A writer that finds its address claimed by another Peer takes another one, and
checks again. Of two writers, the last one always sees the other's Peer, so two Peers never keep the
same address. Both may yield; that costs an address, not correctness.
"""

from __future__ import annotations

import time
from functools import partial
from random import SystemRandom
from typing import TYPE_CHECKING, NamedTuple

from kgctl.edit import peer_writes as hearing
from kgctl.edit.peer_writes import spec_of, sure, withdraw
from kgctl.errors import ClusterError, ConflictError
from kgctl.mesh.allocation import Claims, claims_beside, count_free, first_free, learned_pools
from kgctl.mesh.claims import Claim, Use
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kgctl.kube.stored import Object
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.state import State
    from kgctl.state.interface import PeerStore

ATTEMPTS = 12
"""The number of times that an address is allocated, or a change is tried, before giving up."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds, times a random part of 1
_MOST_SKIPPED = 64  # free addresses passed over: writers that met once must not meet again


class InUseError(ClusterError):
    """An allowed IP or a public key is already in use; the message names the owner."""


class Addresses(NamedTuple):
    """The addresses of a Peer to be, and the networks that they must not overlap.

    Without ``given`` addresses, one is allocated from each of the ``pools``; without pools, one
    from each pool of a network without nodes, or one from the networks that the other peers are in.
    ``behind`` are networks behind the machine, which it gets besides. ``forced`` addresses are not
    checked.
    """

    given: tuple[Cidr, ...] = ()
    pools: tuple[Cidr, ...] = ()
    service_cidrs: tuple[Cidr, ...] = ()
    forced: bool = False
    behind: tuple[Cidr, ...] = ()

    @property
    def fixed(self) -> tuple[Cidr, ...]:
        """What the user named, and no other address can replace."""
        return self.given + self.behind

    def clash(self, state: State, name: str, cidrs: Sequence[Cidr]) -> str | None:
        """Return in words which of ``cidrs`` overlaps which network, or None if all are free."""
        if self.forced:
            return None
        claims = Claims(claims_beside(state, self.service_cidrs, beside=name))
        for cidr in cidrs:
            found = claims.clash(cidr)
            if found is not None:
                return f"allowed IP {cidr} overlaps {found.network}, {found.owner}"
        return None

    def check(self, state: State, name: str) -> None:
        """Check that the given addresses are free.

        Raises:
            InUseError: a given allowed IP overlaps a network in use.
        """
        found = self.clash(state, name, self.fixed)
        if found is not None:
            raise InUseError(f"{found}; give another one", field="forced")

    def propose(self, state: State, name: str, spread: int = 1) -> tuple[Cidr, ...]:
        """Return addresses for the peer ``name`` that are free in ``state``.

        An allocated address is one of the first ``spread`` free ones.

        Raises:
            InUseError: a given allowed IP overlaps a network in use.
            PoolExhaustedError: no address of a pool is free.
        """
        self.check(state, name)
        if self.given:
            return self.fixed
        taken = claims_beside(state, self.service_cidrs, beside=name)
        taken += (Claim(network, Use.PEER, name) for network in self.behind)
        pools = self.pools or _pools(state, Claims(taken))
        found: list[Cidr] = []
        for pool in pools:
            found.append(_allocate(pool, Claims(taken), spread))
            taken.append(Claim(found[-1], Use.PEER, name))
        return (*found, *self.behind)


def _pools(state: State, claims: Claims) -> tuple[Cidr, ...]:
    """Return the networks to allocate an address from each, unless the user names them."""
    if state.network is not None:
        return state.network.pools
    return (_roomy(learned_pools(state), claims),)


def _roomy(pools: Sequence[Cidr], claims: Claims) -> Cidr:
    """Return the first pool that has an address left, or the first one for the error to name."""
    return next((pool for pool in pools if count_free(pool, claims)), pools[0])


def _allocate(pool: Cidr, claims: Claims, spread: int) -> Cidr:
    room = min(spread, count_free(pool, claims))
    return first_free(pool, claims, skip=SystemRandom().randrange(room) if room > 1 else 0)


def check_key(state: State, key: PublicKey, name: str) -> None:
    """Check that nobody else has the public key: WireGuard would treat the two as one.

    Raises:
        InUseError: a peer or a node has it.
    """
    owners = [("peer", peer.name, peer.public_key) for peer in state.peers if peer.name != name]
    owners += [("node", node.name, node.key) for node in state.nodes]
    for kind, owner, found in owners:
        if found == key:
            raise InUseError(
                f"the public key {key} belongs to {kind} {printable(owner)}; each machine needs "
                "its own",
                field="forced",
                value=key,
            )


class Enrolment:
    """The creation of one Peer.

    Args:
        name: the Peer's name.
        manifest: makes the Peer object from allowed IPs.
        addresses: the constraints for the allowed IPs.
        store: the store that the Peer is written to.
        read: reads the cluster, with its peers as they are stored at this moment.
        sleep: waits a number of seconds.
    """

    def __init__(
        self,
        name: str,
        manifest: Callable[[Sequence[Cidr]], Object],
        addresses: Addresses,
        *,
        store: PeerStore,
        read: Callable[[], State],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._name = name
        self._manifest = manifest
        self._addresses = addresses
        self._store = store
        self._read = read
        self._sleep = sleep

    def run(self, state: State) -> Object:
        """Create the Peer and return it as stored, once nobody else has its addresses.

        Raises:
            InUseError: a given allowed IP is in use, or every allocated address was taken.
            PoolExhaustedError: no address is free.
            kgctl.edit.peer_writes.UnfinishedError: it is unknown whether the Peer exists now.
            ClusterError: the Peer cannot be created; nothing is left of it.
        """
        own = self._addresses.propose(state, self._name)
        wanted = self._manifest(own)
        stored = sure(partial(self._store.create, wanted), self._store, wanted)
        try:
            return self._settle(stored, own)
        except BaseException as error:
            withdraw(self._store, stored, error)
            raise

    def _settle(self, stored: Object, own: tuple[Cidr, ...]) -> Object:
        """Check the addresses until nobody else has them; on a clash, take others."""
        for attempt in range(ATTEMPTS):
            state = self._read()
            found = self._addresses.clash(state, self._name, own)
            if found is None:
                return stored
            named = self._addresses.clash(state, self._name, self._addresses.fixed)
            if named is not None:
                raise InUseError(f"{named}, added at the same time; {self._name} was removed")
            self._pause(attempt)
            own = self._addresses.propose(
                self._read(), self._name, min(4 << attempt, _MOST_SKIPPED)
            )
            stored = self._move(stored, own)
        raise InUseError(
            f"others took each address that was allocated for {self._name}; it was removed: "
            "try again, or give a larger pool",
            field="pool",
        )

    def _pause(self, attempt: int) -> None:
        longest = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
        self._sleep(longest * SystemRandom().random())

    def _move(self, stored: Object, own: tuple[Cidr, ...]) -> Object:
        """Give the Peer other addresses, and keep concurrent changes by others."""
        spec = {"allowedIPs": self._manifest(own)["spec"]["allowedIPs"]}
        uid = stored["metadata"].get("uid")
        for _ in range(ATTEMPTS):
            wanted = {**stored, "spec": {**spec_of(stored), **spec}}
            try:
                return sure(partial(self._store.replace, wanted), self._store, wanted)
            except ConflictError:
                stored = self._store.get(self._name)
                if stored["metadata"].get("uid") != uid:
                    raise
        raise ConflictError(f"the peer {self._name} keeps changing", 409)


def change(store: PeerStore, name: str, edit: Callable[[Object], Object]) -> Object:
    """Replace the Peer by the result of ``edit``, without losing changes by others.

    An invalid Peer is written twice, so that agents notice (see ``kgctl.edit.peer_writes``).

    Raises:
        NotFoundError: there is no such Peer.
        ConflictError: others change it faster than it can be edited.
        kgctl.edit.peer_writes.UnfinishedError: it is unknown whether it was changed.
    """
    for attempt in range(ATTEMPTS):
        present = store.get(name)
        wanted = edit(present)
        try:
            return hearing.replace(store, present, wanted)
        except ConflictError:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def move(
    store: PeerStore,
    read: Callable[[], State],
    name: str,
    edit: Callable[[Object], Object],
    addresses: Addresses,
) -> Object:
    """Change a Peer by ``edit``, which gives it the given ``addresses``, if these are free.

    Raises:
        InUseError: they are in use; if they were taken meanwhile, the old ones are restored.
        ClusterError: as for ``change``.
    """
    addresses.check(read(), name)
    before: list[Object] = []

    def remembered(peer: Object) -> Object:
        before[:] = [peer]
        return edit(peer)

    stored = change(store, name, remembered)
    found = addresses.clash(read(), name, addresses.fixed)
    if found is None:
        return stored
    old = {"allowedIPs": spec_of(before[0]).get("allowedIPs", [])}
    change(store, name, lambda peer: {**peer, "spec": {**spec_of(peer), **old}})
    raise InUseError(f"{found}, added at the same time; the old allowed IPs are back")
