"""Networks that are looked up by what they hold: what a machine needs itself, and the like."""

from __future__ import annotations

from bisect import bisect_left
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kgctl.mesh.cidr import Cidr


class Reason(StrEnum):
    """Why a claim is refused; ``words`` say it of the claim."""

    SPECIAL = "special"
    OWN = "own"
    GATEWAY = "gateway"
    RESOLVER = "resolver"
    API_SERVER = "api-server"
    ENDPOINT = "endpoint"
    DEFAULT = "default-route"
    WIDE = "wide"
    PUBLIC = "public"
    DENIED = "denied"
    OUTSIDE = "outside"

    @property
    def words(self) -> str:
        """What is wrong, with a place for what the claim would take."""
        return _WORDS[self]


_WORDS = {
    Reason.SPECIAL: "it holds {}, which no other machine gets",
    Reason.OWN: "it is in {}, which this machine has itself",
    Reason.GATEWAY: "it is {}",
    Reason.RESOLVER: "it is {}",
    Reason.API_SERVER: "it is {}",
    Reason.ENDPOINT: "it is {}, which has to be reached without the tunnel",
    Reason.DEFAULT: "that is all or most of the Internet",
    Reason.WIDE: "that is wider than /8",
    Reason.PUBLIC: "that holds public addresses",
    Reason.DENIED: "the limits deny it",
    Reason.OUTSIDE: "it is outside of the networks that the limits name",
}


class Guard(NamedTuple):
    """A network that no claim gets, why, and in words what it is.

    ``owner`` is the node or peer whose endpoint it is. It is ``cut`` out of wider networks, where
    nothing else keeps it safe from them.
    """

    network: Cidr
    reason: Reason
    words: str = ""
    owner: str = ""
    cut: bool = False


class Guards:
    """Networks to be asked which of them is around another one, or within it.

    Of two guards of one network the first counts.
    """

    def __init__(self, guards: Iterable[Guard]) -> None:
        self._by_network: dict[tuple[int, int, int], Guard] = {}
        for guard in guards:
            self._by_network.setdefault(_key(guard.network), guard)
        self._lengths = {
            version: sorted({key[2] for key in self._by_network if key[0] == version})
            for version in (4, 6)
        }
        self._order = sorted(self._by_network)

    def around(self, network: Cidr) -> Guard | None:
        """Return the widest that holds ``network``, or is the same; None where none does."""
        return next(self.all_around(network), None)

    def all_around(self, network: Cidr) -> Iterator[Guard]:
        """Yield those that hold ``network``, or are the same, the widest first."""
        version, value = network.version, network.network_value
        size = network.address.max_prefixlen
        for prefix in self._lengths[version]:
            if prefix > network.prefix:
                return
            bits = size - prefix
            found = self._by_network.get((version, value >> bits << bits, prefix))
            if found is not None:
                yield found

    def widest_within(self, network: Cidr) -> Iterator[Guard]:
        """Yield those that lie within ``network``, without those that lie within one of them."""
        version, value = network.version, network.network_value
        end = value + (1 << network.host_bits)
        place = bisect_left(self._order, (version, value, network.prefix))
        covered = value
        while place < len(self._order):
            key = self._order[place]
            if key[0] != version or key[1] >= end:
                return
            guard = self._by_network[key]
            if key[1] >= covered and key[2] >= network.prefix:
                covered = key[1] + (1 << guard.network.host_bits)
                yield guard
            place += 1

    def within_or_around(self, network: Cidr) -> Guard | None:
        """Return one that has an address in common with ``network``; None where none does."""
        return self.around(network) or next(self.widest_within(network), None)


def _key(network: Cidr) -> tuple[int, int, int]:
    return network.version, network.network_value, network.prefix
