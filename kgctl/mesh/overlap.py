"""Finding networks that intersect, without comparing them pair by pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kgctl.mesh.cidr import Cidr

_Slot = tuple[int, int, int]  # IP version, prefix length, network as an integer >> host bits


class OverlapIndex:
    """A bag of networks that answers whether a network intersects one of them.

    Two networks intersect when either contains the other's address (host bits count), which is
    how Kilo tests it. A question costs one look-up for each prefix length in use, however many
    networks there are. ``asked`` holds every network that will be asked about: its prefix lengths
    decide what is indexed.
    """

    def __init__(self, asked: Iterable[Cidr]) -> None:
        lengths: dict[int, set[int]] = {4: set(), 6: set()}
        for cidr in asked:
            lengths[cidr.version].add(cidr.prefix)
        self._asked = {version: sorted(found) for version, found in lengths.items()}
        self._networks: dict[_Slot, int] = {}
        self._network_lengths: dict[tuple[int, int], int] = {}
        self._addresses: dict[_Slot, int] = {}

    def add(self, cidr: Cidr) -> None:
        """Put one more ``cidr`` into the bag."""
        self._count(cidr, 1)

    def remove(self, cidr: Cidr) -> None:
        """Take one ``cidr`` that was added out of the bag."""
        self._count(cidr, -1)

    def covers(self, cidr: Cidr) -> bool:
        """Tell whether a network of the bag contains the address of ``cidr``."""
        version, size, value = cidr.version, cidr.address.max_prefixlen, int(cidr.address)
        return any(
            self._networks.get((version, length, value >> (size - length)))
            for (found, length), count in self._network_lengths.items()
            if count and found == version
        )

    def intersects(self, cidr: Cidr) -> bool:
        """Tell whether a network of the bag intersects ``cidr``, one of those ``asked``."""
        inside = int(cidr.address) >> cidr.host_bits
        return bool(self._addresses.get((cidr.version, cidr.prefix, inside))) or self.covers(cidr)

    def _count(self, cidr: Cidr, step: int) -> None:
        version, size, value = cidr.version, cidr.address.max_prefixlen, int(cidr.address)
        network = (version, cidr.prefix, value >> (size - cidr.prefix))
        self._networks[network] = self._networks.get(network, 0) + step
        length = (version, cidr.prefix)
        self._network_lengths[length] = self._network_lengths.get(length, 0) + step
        for prefix in self._asked[version]:
            slot = (version, prefix, value >> (size - prefix))
            self._addresses[slot] = self._addresses.get(slot, 0) + step
