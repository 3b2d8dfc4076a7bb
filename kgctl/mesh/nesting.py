"""Which networks lie within which others, by sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kgctl.mesh.cidr import Cidr

T = TypeVar("T")


def nested(
    items: Iterable[T], network: Callable[[T], Cidr], tie: Callable[[T], object] = lambda _one: 0
) -> Iterator[tuple[T, list[T]]]:
    """Yield each item with those whose ``network`` holds its own, the widest first.

    Two networks overlap only where one holds the other, so after sorting, the networks around one
    are a stack: the work is that of sorting. The stack is the same list each time. Of items with
    the same network the one that ``tie`` sorts first is around the others.
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
