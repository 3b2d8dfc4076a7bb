"""Overlapping and nested networks, found without comparing each pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kgctl.mesh.cidr import Cidr


class OverlapIndex:
    """A multiset of networks that tests whether a network intersects one of them.

    Two networks intersect if either contains the other's address (host bits count), as in Kilo's
    test. A query takes one look-up per prefix length in use, regardless of the number of networks.
    ``asked`` holds every network that will be queried: its prefix lengths determine the index.

    There is one table per address size. It stores a network of ``length`` bits as a number: a 1
    followed by those bits, so that networks of different lengths differ.
    """

    def __init__(self, asked: Iterable[Cidr]) -> None:
        lengths: dict[int, set[int]] = {32: set(), 128: set()}
        for cidr in asked:
            lengths[cidr.address.max_prefixlen].add(cidr.prefix)
        self._asked = {size: sorted(found) for size, found in lengths.items()}
        self._networks: dict[int, dict[int, int]] = {32: {}, 128: {}}
        self._network_lengths: dict[int, dict[int, int]] = {32: {}, 128: {}}
        self._addresses: dict[int, dict[int, int]] = {32: {}, 128: {}}

    def add(self, cidr: Cidr) -> None:
        """Add one ``cidr``."""
        self._count(cidr, 1)

    def remove(self, cidr: Cidr) -> None:
        """Remove one ``cidr`` that was added."""
        self._count(cidr, -1)

    def covers(self, cidr: Cidr) -> bool:
        """Return whether a network contains the address of ``cidr``."""
        size, value = cidr.address.max_prefixlen, int(cidr.address)
        networks = self._networks[size]
        for length, count in self._network_lengths[size].items():
            if count and networks.get(1 << length | value >> (size - length)):
                return True
        return False

    def intersects(self, cidr: Cidr) -> bool:
        """Return whether a network intersects ``cidr``, which must be one of ``asked``."""
        size, length = cidr.address.max_prefixlen, cidr.prefix
        inside = 1 << length | int(cidr.address) >> (size - length)
        return bool(self._addresses[size].get(inside)) or self.covers(cidr)

    def _count(self, cidr: Cidr, step: int) -> None:
        size, value, length = cidr.address.max_prefixlen, int(cidr.address), cidr.prefix
        networks, lengths = self._networks[size], self._network_lengths[size]
        number = 1 << length | value >> (size - length)
        networks[number] = networks.get(number, 0) + step
        lengths[length] = lengths.get(length, 0) + step
        addresses = self._addresses[size]
        for prefix in self._asked[size]:
            number = 1 << prefix | value >> (size - prefix)
            addresses[number] = addresses.get(number, 0) + step


T = TypeVar("T")


def nested(
    items: Iterable[T], network: Callable[[T], Cidr], tie: Callable[[T], object] = lambda _one: 0
) -> Iterator[tuple[T, list[T]]]:
    """Yield each item with the items whose ``network`` contains its own, the widest first.

    Two networks overlap only if one contains the other, so in sorted order the networks around an
    item form a stack, and the work is that of sorting. The stack is the same list each time. Among
    items with the same network, the one that ``tie`` sorts first is around the others.
    """

    def place(one: T) -> tuple[object, ...]:
        cidr = network(one)
        return cidr.version, cidr.network_value, cidr.prefix, tie(one)

    around: list[T] = []
    for inner in sorted(items, key=place):
        cidr = network(inner)
        while around and not network(around[-1]).contains(cidr.address):
            around.pop()
        yield inner, around
        around.append(inner)
