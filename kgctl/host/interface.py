"""What setting up a tunnel takes of a machine; the real thing, or a test's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kgctl.mesh.cidr import Address, Cidr
    from kgctl.mesh.routes import Route
    from kgctl.wireguard.device import DeviceChange, DeviceState


@dataclass(frozen=True, slots=True)
class RouteChange:
    """What to do to the routes of a link. ``replace`` have another gateway than before."""

    add: Sequence[Route] = ()
    replace: Sequence[Route] = ()
    remove: Sequence[Route] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return any((self.add, self.replace, self.remove))

    def __len__(self) -> int:
        """How many routes are touched."""
        return len(self.add) + len(self.replace) + len(self.remove)


class Refused(NamedTuple):
    """A route that the kernel did not take, and why, in words."""

    route: Route
    reason: str


class RouteTable(NamedTuple):
    """The routes of a machine: kgctl's of one link, and the networks that all others lead to.

    ``gateways`` are the next hops of those others.
    """

    own: set[Route]
    others: frozenset[Cidr]
    gateways: frozenset[Address] = frozenset()


class Device(Protocol):
    """A WireGuard device."""

    def read(self) -> DeviceState:
        """Return its state.

        Raises:
            kgctl.host.errors.GoneError: it is not there any more.
            kgctl.KgctlError: it cannot be read.
        """
        ...

    def apply(self, change: DeviceChange) -> None:
        """Carry out a change, and nothing more.

        Raises:
            kgctl.host.errors.GoneError: it is not there any more.
            kgctl.KgctlError: it was refused.
        """
        ...


class Routes(Protocol):
    """The routes of one link that are kgctl's, among those of the machine."""

    def read(self) -> RouteTable:
        """Return them all.

        Raises:
            kgctl.KgctlError: they cannot be read.
        """
        ...

    def apply(
        self, change: RouteChange, stopped: Callable[[], bool] = lambda: False
    ) -> list[Refused]:
        """Carry out a change; what the kernel refuses is left out, and returned.

        It ends early once ``stopped`` returns True, which is asked now and then.

        Raises:
            kgctl.host.errors.GoneError: the link is not there any more.
        """
        ...
