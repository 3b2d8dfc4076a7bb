"""Routes of a node's agent: which of a machine's are the agent's, and what has to change.

They look as those of Kilo 0.7's agent: protocol static, scope global, no metric, and a gateway that
counts as on the link. So an agent recognises what an earlier one left, of either program.
Everything here is pure, except that the caller's function names interfaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.host.differences import Difference, Part
from kgctl.host.route_messages import MAIN, UNICAST, UNIVERSE, KernelRoute
from kgctl.host.routes import TAKEN
from kgctl.mesh.agent_plan import STATIC
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from kgctl.mesh.cidr import Address, Cidr

_METRICS = {4: 0, 6: 1024}
"""The metrics of a route that was set without any, by IP version."""

_TWICE = "the network has another route there already"

Key = tuple[int, int]
"""What the kernel keeps a route under: its table, and the number of its destination."""


class HostRoute(NamedTuple):
    """A route of the interface ``device``, in the main table or in ``kgctl.mesh.agent_plan.TABLE``.

    ``dst`` has no host bits. ``src`` is of the version of ``dst``.
    """

    dst: Cidr
    device: str
    via: Address | None = None
    src: Address | None = None
    table: int = MAIN

    @property
    def key(self) -> Key:
        """The table and the destination, which a machine has one route for."""
        return self.table, self.dst.number

    def __str__(self) -> str:
        """The route in the words of ``ip route``."""
        gateway = "" if self.via is None else f" via {self.via}"
        source = "" if self.src is None else f" src {self.src}"
        table = "" if self.table == MAIN else f" table {self.table}"
        return f"{self.dst}{gateway} dev {printable(self.device)}{source}{table}"


class RefusedRoute(NamedTuple):
    """A route that was not set, and the reason in words."""

    route: HostRoute
    reason: str


class Present(NamedTuple):
    """The routes that a machine has.

    ``own`` are the agent's, and ``surplus`` more of them than it can want. ``others`` are the
    destinations of all others in the main table; ``alike`` those of them that are the same as one
    of the agent's, except that the gateway does not count as on the link.
    """

    own: dict[Key, HostRoute]
    surplus: list[KernelRoute]
    others: frozenset[Cidr]
    alike: frozenset[HostRoute]


def choose(wanted: Iterable[HostRoute]) -> tuple[dict[Key, HostRoute], list[RefusedRoute]]:
    """Return the first route for each destination, masked, and the others."""
    chosen: dict[Key, HostRoute] = {}
    refused = []
    for one in wanted:
        src = one.src if one.src is not None and one.src.version == one.dst.version else None
        route = HostRoute(one.dst.masked(), one.device, one.via, src, one.table)
        first = chosen.setdefault(route.key, route)
        if first is not route and first != route:
            refused.append(RefusedRoute(route, _TWICE))
    return chosen, refused


class Change:
    """The difference between the agent's routes that are there and those that are wanted.

    ``present`` are the agent's, ``read`` all that were read last. ``surplus`` are to be removed
    besides ``removed``. ``others`` need no route of the agent's: another program's is the same.
    """

    def __init__(
        self, present: dict[Key, HostRoute], wanted: dict[Key, HostRoute], read: Present
    ) -> None:
        self.added: list[HostRoute] = []
        self.replaced: list[HostRoute] = []
        self.refused: list[RefusedRoute] = []
        self.others: set[Key] = set()
        taken = {_key(one) for one in read.surplus if _is_plain(one)}
        for key, route in wanted.items():
            before = present.get(key)
            if before is route or before == route:
                continue
            if before is not None or key in taken:
                self.replaced.append(route)
            elif route.table != MAIN or route.dst not in read.others:
                self.added.append(route)
            elif route in read.alike:
                self.others.add(key)
            else:
                self.refused.append(RefusedRoute(route, TAKEN))
        self.removed = [route for key, route in present.items() if key not in wanted]
        # one in the place of a wanted route is replaced already, and removing it would hit that
        self.surplus = [
            one
            for one in read.surplus
            if not _is_plain(one) or _key(one) not in wanted or _key(one) in present
        ]


def differences(
    change: Change, read: Present, name_of: Callable[[int], str]
) -> Iterator[Difference]:
    """Yield a change of the routes that were ``read``, in words; ``name_of`` names interfaces."""
    there = {_key(one): str(_found(one, name_of)) for one in read.surplus}
    there |= {key: str(route) for key, route in read.own.items()}
    for route in change.added:
        yield Difference(Part.ROUTE, str(route), None)
    for route in change.replaced:
        yield Difference(Part.ROUTE, str(route), there.get(route.key))
    for one in change.refused:
        yield Difference(Part.ROUTE, str(one.route), None, one.reason)
    for route in change.removed:
        yield Difference(Part.ROUTE, None, str(route))
    for surplus in change.surplus:
        yield Difference(Part.ROUTE, None, str(_found(surplus, name_of)))


def _found(route: KernelRoute, name_of: Callable[[int], str]) -> HostRoute:
    device = name_of(route.interface)
    return HostRoute(route.destination, device, route.gateway, route.source, route.table)


def _key(route: KernelRoute) -> Key:
    return route.table, route.destination.number


def _is_plain(route: KernelRoute) -> bool:
    return route.metric == _METRICS[route.destination.version]


class Reading:
    """Sorts the routes of a machine."""

    def __init__(
        self,
        devices: frozenset[str],
        known: Collection[HostRoute],
        name_of: Callable[[int], str],
    ) -> None:
        self._devices = devices
        self._known = {(route.dst, route.device, route.via) for route in known}
        self._names = name_of
        self._own: dict[Key, HostRoute] = {}
        self._surplus: list[KernelRoute] = []
        self._others: set[Cidr] = set()
        self._alike: set[HostRoute] = set()

    def add(self, route: KernelRoute) -> None:
        """Take in a route of the main table or the agent's own."""
        found = _found(route, self._names)
        usual = route.protocol == STATIC and route.scope == UNIVERSE and route.kind == UNICAST
        usual = usual and _is_plain(route)
        marked = usual and route.onlink == (route.gateway is not None)
        own = marked and (route.table != MAIN or self._is_own(found))
        if own and self._own.setdefault(found.key, found) == found:
            return
        if own or route.table != MAIN:
            self._surplus.append(route)
        else:
            self._others.add(route.destination)
            if usual:
                self._alike.add(found)

    def _is_own(self, route: HostRoute) -> bool:
        return route.device in self._devices or (route.dst, route.device, route.via) in self._known

    def result(self) -> Present:
        """Return what was taken in."""
        return Present(self._own, self._surplus, frozenset(self._others), frozenset(self._alike))
