"""Finding an address for a new peer that nothing in the network uses yet."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import Cidr, parse_cidr, single
from kgctl.mesh.errors import MeshError
from kgctl.mesh.state import kilo_subnet
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kgctl.mesh.cidr import Address
    from kgctl.mesh.state import State

DEFAULT_POOL = "10.5.0.0/24"
_LEARNED_PREFIX = 24


class PoolExhaustedError(MeshError):
    """Every address of the pool is taken."""


class Claim(NamedTuple):
    """A network that is in use, and by what, in words."""

    network: Cidr
    owner: str


def claims_of(state: State, service_cidrs: Iterable[Cidr] = ()) -> Iterator[Claim]:
    """Yield all networks that a new peer has to keep clear of, ready or not.

    Nodes' pod subnets, internal IPs and allowed location IPs, the WireGuard network, the other
    peers' allowed IPs, and the service networks.
    """
    for node in state.nodes:
        name = printable(node.name)
        if node.subnet is not None:
            yield Claim(node.subnet, f"the pod subnet of node {name}")
        if node.internal_ip is not None:
            yield Claim(single(node.internal_ip.address), f"the internal IP of node {name}")
        for cidr in node.allowed_location_ips:
            yield Claim(cidr, f"an allowed location IP of node {name}")
    yield Claim(kilo_subnet(state.nodes), "the WireGuard network")
    for peer in state.peers:
        for cidr in peer.allowed_ips:
            yield Claim(cidr, f"an allowed IP of peer {printable(peer.name)}")
    for cidr in service_cidrs:
        yield Claim(cidr, "a service network")


def clash(cidr: Cidr, claims: Iterable[Claim]) -> Claim | None:
    """Return a claim whose network overlaps ``cidr``, or None."""
    network = cidr.masked()
    for claim in claims:
        other = claim.network.masked()
        if network.contains(other.address) or other.contains(network.address):
            return claim
    return None


def learned_pool(state: State) -> Cidr:
    """Return the /24 in which most of the peers' single IPv4 addresses lie, else 10.5.0.0/24.

    Of two that hold as many, the lower one.
    """
    pools = Counter(
        Cidr(cidr.address, _LEARNED_PREFIX).masked()
        for peer in state.peers
        for cidr in peer.allowed_ips
        if cidr.version == 4 and cidr.host_bits == 0
    )
    if not pools:
        default = parse_cidr(DEFAULT_POOL)
        assert default is not None
        return default
    return min(pools, key=lambda pool: (-pools[pool], int(pool.address)))


def first_free(pool: Cidr, claims: Sequence[Claim], *, skip: int = 0) -> Cidr:
    """Return the first address of ``pool`` that no claim covers, passing over ``skip`` free ones.

    The network's own address is not used, nor the last of an IPv4 network, its broadcast address.

    Raises:
        PoolExhaustedError: there is none.
    """
    first, last = _usable(pool)
    for start, end in _gaps(first, last, pool, claims):
        if skip <= end - start:
            return single(_address(pool, start + skip))
        skip -= end - start + 1
    raise PoolExhaustedError(
        f"no address of the pool {pool} is free; give a larger or another one with --pool"
    )


def _usable(pool: Cidr) -> tuple[int, int]:
    first, last = pool.network_value, pool.network_value + (1 << pool.host_bits) - 1
    if pool.host_bits > 1:
        return first + 1, last - (1 if pool.version == 4 else 0)
    return first, last


def _gaps(first: int, last: int, pool: Cidr, claims: Iterable[Claim]) -> Iterator[tuple[int, int]]:
    """Yield the first and last address of each stretch that no claim covers, in order."""
    taken = sorted(
        (claim.network.network_value, 1 << claim.network.host_bits)
        for claim in claims
        if claim.network.version == pool.version
    )
    free = first
    for start, size in taken:
        if start > last:
            break
        if start > free:
            yield free, start - 1
        free = max(free, start + size)
    if free <= last:
        yield free, last


def _address(pool: Cidr, value: int) -> Address:
    return type(pool.address)(value)
