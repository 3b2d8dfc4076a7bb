"""The routes of a node's agent, in the kernel; see ``kgctl.host.host_routes``."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, NamedTuple

from kgctl.host.batches import BatchSocket
from kgctl.host.host_routes import (
    Change,
    HostRoute,
    Key,
    Present,
    Reading,
    RefusedRoute,
    choose,
    differences,
)
from kgctl.host.route_messages import (
    MAIN,
    NOWHERE,
    UNIVERSE,
    KernelRoute,
    open_routes,
    read_route,
    request,
    route_messages,
)
from kgctl.host.routes import TAKEN
from kgctl.mesh.agent_plan import STATIC, TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from kgctl.host.differences import Difference


_GONE = (errno.ESRCH, errno.ENODEV)


class Applied(NamedTuple):
    """The numbers of routes that were changed, and the routes that are not set."""

    added: int = 0
    replaced: int = 0
    removed: int = 0
    refused: tuple[RefusedRoute, ...] = ()


class NodeRoutes:
    """The routes of an agent, through the kernel's routing socket.

    ``devices`` are the interfaces whose routes of protocol static are the agent's: WireGuard's and
    the encapsulation's. On other interfaces, only routes that a caller knows are.
    """

    def __init__(self, devices: Collection[str]) -> None:
        self._devices = frozenset(devices)
        self._netlink = open_routes()
        self._socket = BatchSocket("the routes of this machine")
        self._last: dict[Key, HostRoute] | None = None
        self._read = Present({}, [], frozenset(), frozenset())

    @property
    def port(self) -> int:
        """The netlink port that notifications of these changes carry."""
        return self._socket.port

    def close(self) -> None:
        """Close the sockets."""
        self._netlink.close()
        self._socket.close()

    def read(self, known: Collection[HostRoute] = ()) -> Present:
        """Return the routes of this machine.

        ``known`` are routes on other interfaces that an agent set.

        Raises:
            HostError: routes cannot be read.
        """
        reading = Reading(self._devices, known, _names())
        for table in (MAIN, TABLE):
            for message in route_messages(self._netlink, table):
                route = read_route(message)
                # older kernels list every table
                if route is not None and route.table == table:
                    reading.add(route)
        return reading.result()

    def differences(
        self, wanted: Iterable[HostRoute], known: Collection[HostRoute] = ()
    ) -> list[Difference]:
        """Return what a whole round would change, and what it could not; see ``apply``.

        Raises:
            HostError: routes cannot be read.
        """
        chosen, _ = choose(wanted)
        read = self._read_for(chosen, known)
        return list(differences(Change(read.own, chosen, read), read, _names()))

    def _read_for(self, chosen: dict[Key, HostRoute], known: Collection[HostRoute]) -> Present:
        """Return the machine's routes: what is wanted, and there in each detail, is the agent's."""
        return self.read([*known, *chosen.values()])

    def apply(
        self,
        wanted: Iterable[HostRoute],
        known: Collection[HostRoute] = (),
        *,
        whole: bool = True,
    ) -> Applied:
        """Set the ``wanted`` routes, then remove the agent's others.

        ``known`` are routes on other interfaces that an agent set, now or earlier. Only a ``whole``
        round, and the first, reads the kernel's routes; others trust what was set last. Of two
        routes with one destination, the first counts. A route that is refused stops no other.

        Raises:
            HostError: routes cannot be read, or the kernel does not answer.
        """
        present, read = self._last, self._read
        chosen, refused = choose(wanted)
        if whole or present is None:
            read = self._read_for(chosen, known)
            present, self._read = read.own, read._replace(surplus=[])
        self._last = None  # until this round is through
        change = Change(present, chosen, read)
        refused += change.refused
        failed = self._set(change.added, "add") + self._set(change.replaced, "replace")
        gone = self._remove(change.removed, change.surplus)
        missing = {one.route.key for one in failed} | {one.route.key for one in refused}
        missing |= change.others
        self._last = {key: route for key, route in chosen.items() if key not in missing}
        for one in gone.refused:
            self._last[one.route.key] = one.route
        added = {route.key for route in change.added} - missing
        return Applied(
            len(added),
            len({route.key for route in change.replaced} - missing),
            gone.removed,
            (*refused, *failed, *gone.refused),
        )

    @property
    def is_certain(self) -> bool:
        """Whether the last round went through; else the next one reads the kernel's routes."""
        return self._last is not None

    def applied(self) -> list[HostRoute]:
        """Return the agent's routes that the last round left; none if it failed."""
        return list((self._last or {}).values())

    def _set(self, routes: Iterable[HostRoute], verb: str) -> list[RefusedRoute]:
        index_of, refused, sent, requests = _indexes(), [], [], []
        for route in routes:
            index = index_of(route.device)
            if index == 0:
                refused.append(RefusedRoute(route, f"there is no interface {route.device}"))
                continue
            sent.append(route)
            requests.append(request(verb, _kernel_route(route, index)))
        for position, refusal in self._socket.change(requests).items():
            # another program may have set one since the routes were read
            reason = TAKEN if refusal.code == errno.EEXIST else refusal.reason
            refused.append(RefusedRoute(sent[position], reason))
        return refused

    def _remove(self, routes: Iterable[HostRoute], surplus: Iterable[KernelRoute]) -> Applied:
        """Remove routes; those of an interface that is gone went with it."""
        index_of, targets, requests = _indexes(), [], []
        for route in routes:
            index = index_of(route.device)
            if index:
                targets.append(route)
                requests.append(request("del", _removed(_kernel_route(route, index))))
        for found in surplus:
            name = _names()(found.interface)
            targets.append(HostRoute(found.destination, name, found.gateway, None, found.table))
            requests.append(request("del", _removed(found)))
        answers = self._socket.change(requests)
        refused = tuple(
            RefusedRoute(targets[position], f"cannot remove it: {refusal.reason}")
            for position, refusal in answers.items()
            if refusal.code not in _GONE
        )
        return Applied(removed=len(requests) - len(answers), refused=refused)


def _kernel_route(route: HostRoute, index: int) -> KernelRoute:
    return KernelRoute(
        route.dst,
        index,
        route.via,
        route.src,
        route.table,
        STATIC,
        UNIVERSE,
        onlink=route.via is not None,
    )


def _removed(route: KernelRoute) -> KernelRoute:
    """Return what deletes a route, whatever its source and scope."""
    return route._replace(source=None, scope=NOWHERE)


def _names() -> Callable[[int], str]:
    """Return a function that returns the name of an interface, empty if it is gone."""
    found: dict[int, str] = {0: ""}

    def name(index: int) -> str:
        if index not in found:
            try:
                found[index] = socket.if_indextoname(index)
            except OSError:
                found[index] = ""
        return found[index]

    return name


def _indexes() -> Callable[[str], int]:
    """Return a function that returns the number of an interface, 0 if there is none."""
    found: dict[str, int] = {"": 0}

    def index(name: str) -> int:
        if name not in found:
            try:
                found[name] = socket.if_nametoindex(name)
            except OSError:
                found[name] = 0
        return found[name]

    return index
