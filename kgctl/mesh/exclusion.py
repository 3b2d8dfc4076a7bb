"""Taking single addresses out of networks that are claimed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from kgctl.mesh.cidr import Address, Cidr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")


def exclude(
    claims: dict[Cidr, T],
    address: Address,
    *,
    wider_than: int = 0,
    prefixes: set[int] | None = None,
) -> list[tuple[Cidr, T]]:
    """Replace each claim that contains ``address`` by what is around it; return those replaced.

    The most specific goes first, and a part that is claimed already stays with whom it belongs
    to, so that of two networks one within the other the smaller still wins. Claims are networks
    without host bits. Those whose prefix is ``wider_than`` or shorter stay as they are: 0 spares
    a default route, which has no prefix. ``prefixes`` are those that claims may have, where that
    is known: few, so it is faster. Those of what is around the address are added to them.
    """
    replaced = []
    size, value = address.max_prefixlen, int(address)
    known = range(size + 1) if prefixes is None else prefixes
    for prefix in sorted((one for one in known if wider_than < one <= size), reverse=True):
        network = Cidr(type(address)(value >> (size - prefix) << (size - prefix)), prefix)
        if network in claims:
            claim = claims.pop(network)
            for part in around(network, address):
                claims.setdefault(part, claim)
                if prefixes is not None:
                    prefixes.add(part.prefix)
            replaced.append((network, claim))
    return replaced


def around(network: Cidr, address: Address) -> Iterator[Cidr]:
    """Yield the networks that cover all of ``network`` but ``address``: one a bit of the host."""
    size, value = address.max_prefixlen, int(address)
    for prefix in range(network.prefix + 1, size + 1):
        bits = size - prefix
        sibling = (value >> bits ^ 1) << bits
        yield Cidr(type(address)(sibling), prefix)


def without(network: Cidr, holes: Iterable[Cidr]) -> list[Cidr]:
    """Return the networks that cover all of ``network`` but the ``holes``, in order.

    Holes lie within it. Each adds at most two networks for a bit of what it is narrower.
    """
    parts: list[Cidr] = []
    start, end = network.network_value, network.network_value + (1 << network.host_bits)
    for hole in sorted(holes, key=lambda one: one.network_value):
        parts += _covering(network, start, hole.network_value)
        start = max(start, hole.network_value + (1 << hole.host_bits))
    return [*parts, *_covering(network, start, end)]


def _covering(network: Cidr, start: int, end: int) -> Iterator[Cidr]:
    """Yield the fewest networks of that family that are the addresses from start to the end."""
    kind, size = type(network.address), network.address.max_prefixlen
    while start < end:
        bits = (end - start).bit_length() - 1
        if start:
            bits = min(bits, (start & -start).bit_length() - 1)
        yield Cidr(kind(start), size - bits)
        start += 1 << bits


def halves(network: Cidr) -> tuple[Cidr, Cidr]:
    """Return both halves of a network of more than one address."""
    upper = network.network_value | 1 << (network.host_bits - 1)
    prefix = network.prefix + 1
    return Cidr(network.masked().address, prefix), Cidr(type(network.address)(upper), prefix)
