"""Guards, networks that no claim gets, and an index of them by containment."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, NamedTuple

from kgctl.mesh.cidr import Cidr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Reason(StrEnum):
    """The reason why a claim is refused."""

    SPECIAL = "special"
    OWN = "own"
    GATEWAY = "gateway"
    RESOLVER = "resolver"
    API_SERVER = "api-server"
    ENDPOINT = "endpoint"
    DEFAULT = "default-route"
    WIDE = "wide"
    PUBLIC = "public"
    MANY = "many"
    DENIED = "denied"
    OUTSIDE = "outside"
    IN_USE = "in-use"
    UNCONFIRMED = "unconfirmed"
    KEY = "key"
    TAKEN = "taken"

    @property
    def words(self) -> str:
        """The reason as a clause about the claim, with ``{}`` for the words of a guard."""
        return _WORDS[self]


_WORDS = {
    Reason.SPECIAL: "it holds {}, which no other machine gets",
    Reason.OWN: "it is in {}, which this machine has itself",
    Reason.GATEWAY: "it is {}",
    Reason.RESOLVER: "it is {}",
    Reason.API_SERVER: "it is {}",
    Reason.ENDPOINT: "it is {}, which must bypass the tunnel",
    Reason.DEFAULT: "that is all or most of the Internet",
    Reason.WIDE: "that is wider than /8",
    Reason.PUBLIC: "that holds public addresses",
    Reason.MANY: "that is more than 1,000 networks of one machine",
    Reason.DENIED: "the limits deny it",
    Reason.OUTSIDE: "it is outside of the networks that the limits name",
    Reason.IN_USE: "it overlaps {}",
    Reason.UNCONFIRMED: "it is new, and nobody confirmed it",
    Reason.KEY: "{}, and keeps it",
    Reason.TAKEN: "{} has it, and keeps it",
}


class Guard(NamedTuple):
    """A network that no claim gets, the reason, and its description.

    ``owner`` is the node or peer whose endpoint it is. With ``cut`` it is cut out of wider
    networks, because nothing else protects it from them.
    """

    network: Cidr
    reason: Reason
    words: str = ""
    owner: str = ""
    cut: bool = False


_EVERYTHING = {4: Cidr(IPv4Address(0), 0), 6: Cidr(IPv6Address(0), 0)}


class _Widest(NamedTuple):
    """Guards that lie in no other guard, in order, with the start and the end of each."""

    starts: list[int]
    ends: list[int]
    guards: list[Guard]


class Guards:
    """An index of guards that finds those around a network, or within it.

    If two guards have the same network, the first one counts.
    """

    def __init__(self, guards: Iterable[Guard]) -> None:
        self._tables: dict[int, dict[int, dict[int, Guard]]] = {4: {}, 6: {}}
        for guard in guards:
            network = guard.network
            table = self._tables[network.version].setdefault(network.prefix, {})
            table.setdefault(int(network.address) >> network.host_bits, guard)
        for version, tables in self._tables.items():
            self._tables[version] = dict(sorted(tables.items()))
        self._order = {
            version: sorted(
                (guard.network.network_value, prefix, number)
                for prefix, table in tables.items()
                for number, guard in table.items()
            )
            for version, tables in self._tables.items()
        }
        self._widest = {version: self._without_nested(version) for version in self._tables}

    def _without_nested(self, version: int) -> _Widest:
        """Return the guards of an IP version that lie in no other guard: they are disjoint."""
        guards = list(self.widest_within(_EVERYTHING[version]))
        spans = [one.network.span for one in guards]
        return _Widest([first for first, _ in spans], [end for _, end in spans], guards)

    def around(self, network: Cidr) -> Guard | None:
        """Return the widest guard that contains ``network`` or equals it, or None."""
        widest = self._widest[network.address.version]
        if not widest.starts:
            return None
        first, end = network.span
        place = bisect_right(widest.starts, first) - 1
        return widest.guards[place] if place >= 0 and widest.ends[place] >= end else None

    def touches(self, network: Cidr) -> bool:
        """Return whether a guard shares an address with ``network``."""
        widest = self._widest[network.address.version]
        first, end = network.span
        place = bisect_right(widest.starts, first)
        if place and widest.ends[place - 1] > first:
            return True
        return place < len(widest.starts) and widest.starts[place] < end

    def all_around(self, network: Cidr) -> Iterator[Guard]:
        """Yield the guards that contain ``network`` or equal it, the widest first."""
        address = network.address
        size, value = address.max_prefixlen, int(address)
        for prefix, table in self._tables[address.version].items():
            if prefix > network.prefix:
                return
            found = table.get(value >> (size - prefix))
            if found is not None:
                yield found

    def widest_within(self, network: Cidr) -> Iterator[Guard]:
        """Yield the guards within ``network``, except those within another one of these."""
        version = network.address.version
        order = self._order[version]
        if not order:
            return
        covered, end = network.span
        for place in range(bisect_left(order, (covered, network.prefix)), len(order)):
            value, prefix, number = order[place]
            if value >= end:
                return
            if value >= covered:
                guard = self._tables[version][prefix][number]
                covered = value + (1 << guard.network.host_bits)
                yield guard
