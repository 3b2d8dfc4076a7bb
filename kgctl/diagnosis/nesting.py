"""Which networks lie within which others, by sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.mesh.cidr import Cidr


class Used(NamedTuple):
    """A network, what it is used for, and which object it belongs to."""

    network: Cidr
    use: str
    kind: str
    name: str


def nested(networks: Iterable[Used]) -> Iterator[tuple[Used, Used]]:
    """Yield each network that lies within another one, or is the same, with the narrowest of those.

    Two networks overlap only where one holds the other, so after sorting, the networks around one
    are a stack: the work is that of sorting.
    """
    ordered = sorted(networks, key=_place)
    around: list[Used] = []
    for inner in ordered:
        while around and not _holds(around[-1].network, inner.network):
            around.pop()
        if around:
            yield around[-1], inner
        around.append(inner)


def _place(used: Used) -> tuple[int, int, int, str, str, str]:
    network = used.network
    return (
        network.version,
        network.network_value,
        network.prefix,
        used.use,
        used.kind,
        used.name,
    )


def _holds(outer: Cidr, inner: Cidr) -> bool:
    return outer.prefix <= inner.prefix and outer.contains(inner.address)
