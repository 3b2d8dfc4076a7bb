"""A network without nodes: what its folder says about all of its machines."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from kgctl.mesh.dialability import is_dialable, is_dialable_from_elsewhere
from kgctl.mesh.peer import NAT_KEEPALIVE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.mesh.endpoint import Endpoint
    from kgctl.mesh.owners import Place


MARKED, AUTO = "marked", "auto"
MODES = (MARKED, AUTO)
"""The machines that relay: those with the annotation, or all that others can call."""


class Relaying(NamedTuple):
    """How a network relays: by one of ``MODES``, or through the node or peer ``only``.

    ``AUTO`` are all machines that others can call; in a network with nodes, all such leaders.
    ``pools`` are networks that machines send to a relay whole.
    """

    mode: str = MARKED
    pools: tuple[Cidr, ...] = ()
    only: Place | None = None


class _Machine(Protocol):
    @property
    def endpoint(self) -> Endpoint | None: ...

    @property
    def location(self) -> str: ...


Machine = TypeVar("Machine", bound=_Machine)


class Network(NamedTuple):
    """A network of peers alone: its name, and the defaults for its machines.

    New machines get an address from each of the ``pools``. ``persistent_keepalive``, in seconds, is
    that of machines that others cannot call. ``dns`` and ``search_domains`` are for their files.
    ``relays`` is one of ``MODES``.
    """

    name: str
    pools: tuple[Cidr, ...]
    persistent_keepalive: int = NAT_KEEPALIVE
    dns: tuple[Address, ...] = ()
    search_domains: tuple[str, ...] = ()
    relays: str = MARKED

    @property
    def relaying(self) -> Relaying:
        """How its machines that cannot call each other are relayed."""
        return Relaying(self.relays, self.pools)

    @property
    def interface(self) -> str:
        """The name of the interface on its machines: at most IFNAMSIZ of Linux, less the NUL."""
        return self.name[:15]


def direct_links(
    machines: Sequence[Machine], *, relayed: bool = False
) -> Iterator[tuple[Machine, Machine]]:
    """Yield each two machines of a network without nodes of which one can call the other.

    Whether a private endpoint can be called is unknown outside its location; where something relays
    (``relayed``), such machines use the relay.
    """
    can_call = is_dialable_from_elsewhere if relayed else is_dialable
    callable_ = [one for one in machines if can_call(one.endpoint)]
    others = [one for one in machines if not can_call(one.endpoint)]
    yield from combinations(callable_, 2)
    for one in callable_:
        yield from ((one, other) for other in others)
    for one, other in combinations(others, 2) if relayed else ():
        near = bool(one.location) and one.location == other.location
        if near and (is_dialable(one.endpoint) or is_dialable(other.endpoint)):
            yield one, other
