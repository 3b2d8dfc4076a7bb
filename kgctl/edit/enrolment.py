"""Creating a Peer with an address of its own, even when others do the same at the same time.

An address is allocated from what is read, the Peer is created, and then all peers are read again,
consistently. Who finds an address claimed by another Peer takes another one, and looks again.
Of two writers the one that wrote last has the other's Peer in what it reads afterwards, so two
never keep the same address; that both may yield costs a number, not correctness.
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
    from kgctl.state.peers import PeerObjects

ATTEMPTS = 12
"""How often an address is allocated, or a change is made again, before it is given up."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds, times a random part of 1
_MOST_SKIPPED = 64  # free addresses passed over: writers that met once must not meet again


class InUseError(ClusterError):
    """An allowed IP or a public key is in use already; the message says by whom."""


class Addresses(NamedTuple):
    """What the addresses of a Peer are to be, and what they have to keep clear of.

    Without ``given`` ones, one address of each of the ``pools`` is allocated; without pools, one
    of those that the other peers are in. ``forced`` ones are not held against anything.
    """

    given: tuple[Cidr, ...] = ()
    pools: tuple[Cidr, ...] = ()
    service_cidrs: tuple[Cidr, ...] = ()
    forced: bool = False

    def clash(self, state: State, name: str, cidrs: Sequence[Cidr]) -> str | None:
        """Return what of ``cidrs`` overlaps what, in words, or None if they are the peer's."""
        if self.forced:
            return None
        claims = Claims(claims_beside(state, self.service_cidrs, beside=name))
        for cidr in cidrs:
            found = claims.clash(cidr)
            if found is not None:
                return f"allowed IP {cidr} overlaps {found.network}, {found.owner}"
        return None

    def check(self, state: State, name: str) -> None:
        """Make sure that what was given is free.

        Raises:
            InUseError: a given allowed IP overlaps a network in use.
        """
        found = self.clash(state, name, self.given)
        if found is not None:
            raise InUseError(f"{found}; give another one", field="forced")

    def propose(self, state: State, name: str, spread: int = 1) -> tuple[Cidr, ...]:
        """Return the addresses that the peer ``name`` is to have, as far as ``state`` tells.

        An allocated one is among the first ``spread`` that are free.

        Raises:
            InUseError: a given allowed IP overlaps a network in use.
            PoolExhaustedError: no address of a pool is free.
        """
        if self.given:
            self.check(state, name)
            return self.given
        taken = claims_beside(state, self.service_cidrs, beside=name)
        pools = self.pools or (_roomy(learned_pools(state), Claims(taken)),)
        found: list[Cidr] = []
        for pool in pools:
            found.append(_allocate(pool, Claims(taken), spread))
            taken.append(Claim(found[-1], Use.PEER, name))
        return tuple(found)


def _roomy(pools: Sequence[Cidr], claims: Claims) -> Cidr:
    """Return the first pool that has an address left, or the first one for the error to name."""
    return next((pool for pool in pools if count_free(pool, claims)), pools[0])


def _allocate(pool: Cidr, claims: Claims, spread: int) -> Cidr:
    room = min(spread, count_free(pool, claims))
    return first_free(pool, claims, skip=SystemRandom().randrange(room) if room > 1 else 0)


def check_key(state: State, key: PublicKey, name: str) -> None:
    """Make sure that nobody else has the public key: WireGuard would take the two for one.

    Raises:
        InUseError: a peer or a node has it.
    """
    owners = [("peer", peer.name, peer.public_key) for peer in state.peers if peer.name != name]
    owners += [("node", node.name, node.key) for node in state.nodes]
    for kind, owner, found in owners:
        if found == key:
            raise InUseError(
                f"the public key {key} is that of {kind} {printable(owner)}; each machine needs "
                "one of its own",
                field="forced",
                value=key,
            )


class Enrolment:
    """One Peer on its way into the cluster.

    Args:
        name: the Peer's name.
        manifest: makes the Peer object of allowed IPs.
        addresses: what the allowed IPs may be.
        store: where the Peer is written to.
        read: reads the cluster: its peers as they are stored at this moment.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        name: str,
        manifest: Callable[[Sequence[Cidr]], Object],
        addresses: Addresses,
        *,
        store: PeerObjects,
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
        """Create the Peer and return it as it is stored, once nobody else has its addresses.

        Raises:
            InUseError: a given allowed IP is in use, or no address could be kept.
            PoolExhaustedError: no address is free.
            kgctl.edit.peer_writes.UnfinishedError: it is not known whether the Peer exists now.
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
        """Look whether the addresses are nobody else's; if they are, take others and look again."""
        for attempt in range(ATTEMPTS):
            state = self._read()
            found = self._addresses.clash(state, self._name, own)
            if found is None:
                return stored
            if self._addresses.given:
                raise InUseError(f"{found}, which came at the same time; {self._name} was removed")
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
        """Give the Peer other addresses; what someone else changed of it meanwhile stays."""
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
        raise ConflictError(f"the peer {self._name} is changed all the time", 409)


def change(store: PeerObjects, name: str, edit: Callable[[Object], Object]) -> Object:
    """Replace the Peer by what ``edit`` makes of it, without losing another's change.

    One that was invalid is written twice, such that agents hear of it (``kgctl.edit.peer_writes``).

    Raises:
        NotFoundError: there is no such Peer.
        ConflictError: it is changed faster than it can be edited.
        kgctl.edit.peer_writes.UnfinishedError: it is not known whether it was changed.
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
    store: PeerObjects,
    read: Callable[[], State],
    name: str,
    edit: Callable[[Object], Object],
    addresses: Addresses,
) -> Object:
    """Change a Peer as ``edit`` does, which gives it other addresses, unless they are in use.

    Raises:
        InUseError: they are; if only since a moment ago, the Peer has its old addresses again.
        ClusterError: as for ``change``.
    """
    addresses.check(read(), name)
    before: list[Object] = []

    def remembered(peer: Object) -> Object:
        before[:] = [peer]
        return edit(peer)

    stored = change(store, name, remembered)
    found = addresses.clash(read(), name, addresses.given)
    if found is None:
        return stored
    old = {"allowedIPs": spec_of(before[0]).get("allowedIPs", [])}
    change(store, name, lambda peer: {**peer, "spec": {**spec_of(peer), **old}})
    raise InUseError(f"{found}, which came at the same time; the old allowed IPs are back")
