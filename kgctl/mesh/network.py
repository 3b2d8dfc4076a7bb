"""A network without nodes: what its folder says about all of its machines."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from kgctl.mesh.dialability import is_dialable
from kgctl.mesh.peer import NAT_KEEPALIVE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.mesh.endpoint import Endpoint


class _HasEndpoint(Protocol):
    @property
    def endpoint(self) -> Endpoint | None: ...


Machine = TypeVar("Machine", bound=_HasEndpoint)


class Network(NamedTuple):
    """A network of peers alone: its name, and the defaults for its machines.

    New machines get an address from each of the ``pools``. ``persistent_keepalive``, in seconds, is
    that of machines that others cannot call. ``dns`` and ``search_domains`` are for their files.
    """

    name: str
    pools: tuple[Cidr, ...]
    persistent_keepalive: int = NAT_KEEPALIVE
    dns: tuple[Address, ...] = ()
    search_domains: tuple[str, ...] = ()

    @property
    def interface(self) -> str:
        """The name of the interface on its machines: at most IFNAMSIZ of Linux, less the NUL."""
        return self.name[:15]


def direct_links(machines: Sequence[Machine]) -> Iterator[tuple[Machine, Machine]]:
    """Yield each two machines of a network without nodes of which one can call the other."""
    callable_ = [one for one in machines if is_dialable(one.endpoint)]
    others = [one for one in machines if not is_dialable(one.endpoint)]
    yield from combinations(callable_, 2)
    for one in callable_:
        yield from ((one, other) for other in others)
