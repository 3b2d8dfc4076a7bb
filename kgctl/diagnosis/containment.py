"""Networks with their owners, indexed by containment and intersection."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh import overlap as nesting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.mesh.cidr import Cidr


class Used(NamedTuple):
    """A network, its use, and the object that it belongs to."""

    network: Cidr
    use: str
    kind: str
    name: str


def nested(networks: Iterable[Used]) -> Iterator[tuple[Used, Used]]:
    """Yield the narrowest network around each nested network, or equal to it, and that network.

    The work is that of sorting.
    """
    for inner, around in nesting.nested(networks, lambda used: used.network, lambda used: used[1:]):
        if around:
            yield around[-1], inner


class Lookup:
    """An index of networks by prefix length and by address, which finds intersections.

    Two networks intersect if either contains the other's address, as in Kilo's test. For equal
    networks, and equal addresses, it keeps those of two owners, so that a query that excludes one
    owner still finds the other.
    """

    def __init__(self, networks: Iterable[Used]) -> None:
        self._around: dict[tuple[int, int, int], list[Used]] = {}
        self._inside: dict[tuple[int, int], list[Used]] = {}
        for used in networks:
            network = used.network
            place = network.network_value >> network.host_bits
            _keep(self._around.setdefault((network.version, network.prefix, place), []), used)
            address = (network.version, int(network.address))
            _keep(self._inside.setdefault(address, []), used)
        self._lengths = sorted({key[:2] for key in self._around})
        self._addresses = sorted(self._inside)

    def around(self, cidr: Cidr, *, beside: str) -> Used | None:
        """Return another owner's network that contains the address of ``cidr``, or None."""
        size, value = cidr.address.max_prefixlen, int(cidr.address)
        for version, length in self._lengths:
            if version == cidr.version:
                found = self._around.get((version, length, value >> (size - length)), ())
                other = next((one for one in found if one.name != beside), None)
                if other is not None:
                    return other
        return None

    def touching(self, cidr: Cidr, *, beside: str) -> Used | None:
        """Return another owner's network that intersects ``cidr``, or None."""
        found = self.around(cidr, beside=beside)
        if found is not None:
            return found
        last = cidr.network_value + (1 << cidr.host_bits) - 1
        start = bisect_left(self._addresses, (cidr.version, cidr.network_value))
        for place in range(start, len(self._addresses)):
            address = self._addresses[place]
            if address > (cidr.version, last):
                return None
            for one in self._inside[address]:
                if one.name != beside:
                    return one
        return None


def _keep(kept: list[Used], used: Used) -> None:
    """Add ``used`` unless it has two owners, or this owner, already."""
    if len(kept) < 2 and all(one.name != used.name for one in kept):
        kept.append(used)
