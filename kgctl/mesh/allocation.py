"""Allocation of free addresses for new peers, and doubts about peers that Kilo accepts."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from kgctl.errors import MeshError
from kgctl.mesh.cidr import Cidr, parse_cidr, single
from kgctl.mesh.claims import Use, claims_of
from kgctl.mesh.overlap import OverlapIndex
from kgctl.mesh.readiness import why_peer_not_ready
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.claims import Claim
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.peer import Peer
    from kgctl.mesh.state import State


DEFAULT_POOL = "10.5.0.0/24"
_LEARNED_PREFIXES = {4: 24, 6: 64}
_NAMED = 3  # holders of a pool that are listed; the rest is counted


class PoolExhaustedError(MeshError):
    """Every address of the ``pool`` is taken; ``holders`` are the claims to it, widest first."""

    def __init__(self, pool: Cidr, holders: Sequence[Claim]) -> None:
        super().__init__(
            f"no address of the pool {pool} is free: {_held_by(pool, holders)}; give a larger or "
            "another one",
            field="pool",
            value=pool,
        )
        self.pool = pool
        self.holders = tuple(holders)


def _held_by(pool: Cidr, holders: Sequence[Claim]) -> str:
    """Return the holders of a pool in words: the one that covers it, or the first few."""
    widest = holders[0] if holders else None
    if widest is not None and widest.network.prefix <= pool.prefix:
        doubt = f"; correct that of node {printable(widest.name)} if it is wrong"
        named = widest.name and widest.peer is None
        return f"it is in {widest.network}, {widest.owner}{doubt if named else ''}"
    words = [f"{one.network}, {one.owner}" for one in holders[:_NAMED]]
    more = f", and {len(holders) - _NAMED} more" if len(holders) > _NAMED else ""
    return f"it is taken by {'; '.join(words)}{more}"


class Claims:
    """Networks in use, sorted so that a query does not visit all of them."""

    def __init__(self, claims: Iterable[Claim]) -> None:
        self._networks: dict[Cidr, list[Claim]] = {}
        for claim in claims:
            self._networks.setdefault(claim.network.masked(), []).append(claim)
        self._sorted: dict[int, list[Cidr]] = {4: [], 6: []}
        for network in self._networks:
            self._sorted[network.version].append(network)
        for networks in self._sorted.values():
            networks.sort(key=lambda network: (network.network_value, network.prefix))
        self._starts = {
            version: [network.network_value for network in networks]
            for version, networks in self._sorted.items()
        }
        self._prefixes = {
            version: sorted({network.prefix for network in networks})
            for version, networks in self._sorted.items()
        }

    def overlapping(self, cidr: Cidr) -> Iterator[Claim]:
        """Yield every claim whose network shares an address with ``cidr``, the widest first."""
        version = cidr.version
        for prefix in self._prefixes[version]:
            if prefix < cidr.prefix:
                yield from self._networks.get(Cidr(cidr.address, prefix).masked(), ())
        first, starts = cidr.network_value, self._starts[version]
        for place in range(bisect_left(starts, first), len(starts)):
            network = self._sorted[version][place]
            if network.network_value >= first + (1 << cidr.host_bits):
                break
            if network.prefix >= cidr.prefix:
                yield from self._networks[network]

    def clash(self, cidr: Cidr) -> Claim | None:
        """Return a claim whose network shares an address with ``cidr``, or None."""
        return next(self.overlapping(cidr), None)

    def gaps(self, pool: Cidr) -> Iterator[tuple[int, int]]:
        """Yield the first and the last address of each range of usable free addresses."""
        free, last = _usable(pool)
        for network in self._sorted[pool.version]:
            start = network.network_value
            if start > last:
                break
            if start > free:
                yield free, start - 1
            free = max(free, start + (1 << network.host_bits))
        if free <= last:
            yield free, last


def claims_beside(
    state: State, service_cidrs: Iterable[Cidr] = (), *, beside: str | None = None
) -> list[Claim]:
    """Return the networks that a new peer, or ``beside``, must not overlap.

    These are all claims except the allowed location IPs that Kilo drops because they intersect an
    allowed IP of a peer: nothing is sent there.
    """
    found = list(claims_of(state, service_cidrs, beside=beside))
    dropped = OverlapIndex(one.network for one in found if one.use is Use.LOCATION_IPS)
    for peer in state.peers:
        for cidr in peer.allowed_ips if peer.is_ready and peer.name != beside else ():
            dropped.add(cidr)
    return [
        one
        for one in found
        if one.use is not Use.LOCATION_IPS or not dropped.intersects(one.network)
    ]


def learned_pools(state: State) -> list[Cidr]:
    """Return the networks of the peers' single addresses, the fullest first.

    A network is a /24, or a /64 for IPv6. On a tie IPv4 is first, then the lower network. The last
    is 10.5.0.0/24, the default for the first peer.
    """
    found = Counter(
        Cidr(cidr.address, _LEARNED_PREFIXES[cidr.version]).masked()
        for peer in state.peers
        for cidr in peer.allowed_ips
        if cidr.host_bits == 0
    )
    pools = sorted(found, key=lambda pool: (-found[pool], pool.version, pool.network_value))
    default = parse_cidr(DEFAULT_POOL)
    assert default is not None
    return [*pools, default]


def first_free(pool: Cidr, claims: Claims, *, skip: int = 0) -> Cidr:
    """Return the first address of ``pool`` that no claim covers, after ``skip`` free ones.

    The network address and the broadcast address of an IPv4 network are not used.

    Raises:
        PoolExhaustedError: the pool has no free address.
    """
    for start, end in claims.gaps(pool):
        if skip <= end - start:
            return single(_address(pool, start + skip))
        skip -= end - start + 1
    raise PoolExhaustedError(pool, list(claims.overlapping(pool)))


def count_free(pool: Cidr, claims: Claims) -> int:
    """Return the number of usable addresses of ``pool`` that no claim covers."""
    return sum(end - start + 1 for start, end in claims.gaps(pool))


def _usable(pool: Cidr) -> tuple[int, int]:
    first, last = pool.network_value, pool.network_value + (1 << pool.host_bits) - 1
    if pool.host_bits > 1:
        return first + 1, last - (1 if pool.version == 4 else 0)
    return first, last


def _address(pool: Cidr, value: int) -> Address:
    return type(pool.address)(value)


def doubts(
    state: State, service_cidrs: Iterable[Cidr] = (), *, now: float
) -> Iterator[tuple[str, str]]:
    """Yield each doubt about a valid peer, as the peer's name and a text.

    A peer is not ready at ``now`` (Unix seconds); an allowed IP overlaps a network in use; another
    machine has its public key, which identifies a machine in WireGuard.
    """
    claims = Claims(claims_of(state, service_cidrs))
    owners = _owners_of_keys(state)
    order = {peer.name: number for number, peer in enumerate(state.peers)}
    for number, peer in enumerate(state.peers):
        for reason in why_peer_not_ready(peer, now):
            yield peer.name, f"takes no part in the network: {reason}"
        for overlap in _overlaps(peer, claims, order, number):
            yield peer.name, overlap
        owner = owners.get(peer.public_key) if peer.public_key is not None else None
        if owner is not None and owner != ("peer", peer.name):
            yield peer.name, f"has the public key of {owner[0]} {printable(owner[1])}"


def _overlaps(peer: Peer, claims: Claims, order: Mapping[str, int], number: int) -> Iterator[str]:
    """Yield one overlap per allowed IP; of two peers only the later one by ``order`` has it."""
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
    """Return the owner of each public key: the first one, nodes before peers."""
    owners: dict[PublicKey, tuple[str, str]] = {}
    for node in state.nodes:
        if node.key is not None:
            owners.setdefault(node.key, ("node", node.name))
    for peer in state.peers:
        if peer.public_key is not None:
            owners.setdefault(peer.public_key, ("peer", peer.name))
    return owners
