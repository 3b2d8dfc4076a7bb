"""Applies the wanted state to this host's device and routes, with the fewest changes."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from kgctl.connect.endpoint_choice import Dialler
from kgctl.connect.network import DEFAULT_PORT
from kgctl.connect.outside import dialled
from kgctl.host.links import Refused
from kgctl.host.routes import TAKEN, route_change
from kgctl.mesh.endpoint import Endpoint
from kgctl.mesh.routes import Passages
from kgctl.steady import steady
from kgctl.wireguard.device import (
    DeviceChange,
    DeviceState,
    applied,
    device_change,
    wanted_peers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from kgctl.connect.network import Wanted
    from kgctl.host.links import Device, RouteChange, Routes, RouteTable
    from kgctl.host.names import Names
    from kgctl.mesh.cidr import Address
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.routes import Exclusion, Passage, Route
    from kgctl.mesh.sightings import Sightings
    from kgctl.wireguard.conf import PeerSection
    from kgctl.wireguard.device import DevicePeer, Made, PeerChange
    from kgctl.wireguard.keys import PrivateKey

OVERDUE = 135.0
"""Seconds since the last handshake after which an endpoint's name is resolved again: a session
is renewed after 120 s, and each handshake attempt takes 5 s (as in wg's reresolve-dns.sh)."""


@dataclass(frozen=True, slots=True)
class Change:
    """The changes of a round, the newly refused routes, and the addresses excluded from routes.

    ``routes`` are those that the kernel accepted. ``excluded`` is None if it is unchanged.
    """

    device: DeviceChange
    routes: RouteChange
    refused: Sequence[Refused] = ()
    excluded: tuple[Exclusion, ...] | None = None

    def __bool__(self) -> bool:
        """Whether the round changed anything."""
        return bool(self.device) or bool(self.routes)


class PlannedRoutes(NamedTuple):
    """The changes to routes; ``taken`` are those that the machine already has.

    ``present`` are kgctl's routes after the change.
    """

    change: RouteChange
    passage: Passage
    taken: tuple[Refused, ...]
    present: Sequence[Route]


def plan_routes(table: RouteTable, wanted: Passages, outside: Iterable[Address]) -> PlannedRoutes:
    """Return the changes that turn kgctl's routes of ``table`` into ``wanted``, where allowed.

    No route covers an address of ``outside``, and none replaces a route of the machine. A route
    that is the same object in ``table`` was allowed before, and needs no comparison.
    """
    found = wanted.around(outside, table.others)
    before, after = set(map(id, table.own)), set(map(id, found.routes))
    kept = [route for route in found.routes if id(route) in before]
    fresh = [route for route in found.routes if id(route) not in before]
    allowed = [route for route in fresh if route.destination not in table.others]
    taken = (route for route in fresh if route.destination in table.others)
    return PlannedRoutes(
        route_change((route for route in table.own if id(route) not in after), allowed),
        found,
        tuple(Refused(route, TAKEN) for route in taken),
        [*kept, *allowed],
    )


class Synchroniser:
    """Applies the wanted state to a device and its routes; counts its writes.

    ``listen_port`` None means the port to which the network sends, or the default. ``given`` are
    the endpoints that an earlier kgctl set on the device. ``outside`` returns the addresses,
    besides those of endpoints, that must bypass the tunnel. Once ``stopped`` returns True no
    further route is set, since clean-up follows. Long calculations run in a ``breakable`` context,
    which a signal may interrupt. ``clock`` returns the seconds of a clock that nobody sets.
    ``dialled`` is the endpoint at which each peer is dialled.
    """

    def __init__(
        self,
        private_key: PrivateKey,
        listen_port: int | None,
        names: Names,
        given: Mapping[PublicKey, Endpoint] | None = None,
        *,
        outside: Callable[[], Iterable[Address]] = tuple,
        stopped: Callable[[], bool] = lambda: False,
        breakable: Callable[[], AbstractContextManager[None]] = nullcontext,
        clock: Callable[[], float] = steady,
    ) -> None:
        self._private_key = private_key
        self._own_key = private_key.public_key()
        self._listen_port = listen_port
        self._names = names
        self._outside = outside
        self._stopped = stopped
        self.breakable = breakable
        self.given: dict[PublicKey, Endpoint] = dict(given or {})
        self._applied: tuple[DeviceState, tuple[Route, ...], frozenset[Address]] | None = None
        self._wanted: Wanted | None = None  # that of the last target
        self._refused: dict[Route, Refused] = {}
        self._excluded: tuple[Exclusion, ...] = ()
        self._routes: RouteTable | None = None
        self._surveyed: RouteTable | None = None
        self.state: DeviceState | None = None
        self._read_at = 0.0
        self._made: Made = {}
        self._passages: tuple[Sequence[Route], Passages] = (), Passages(())
        self._renewed: dict[PublicKey, float] = {}
        self._clock = clock
        self._dialler = Dialler(given)
        self.dialled: dict[PublicKey, Endpoint] = {}
        self.device_writes = 0
        self.route_writes = 0

    def forget(self) -> None:
        """Forget what was applied: the interface is a new one."""
        self._applied = self._routes = self._surveyed = None
        self._refused.clear()

    def take_key(self, private_key: PrivateKey) -> None:
        """Use another private key from now on."""
        self._private_key = private_key
        self._own_key = private_key.public_key()
        self._wanted = None

    def survey(self, routes: Routes) -> RouteTable:
        """Read the routes of the machine, and keep them for the next round.

        Raises:
            kgctl.KgctlError: the routes cannot be read.
        """
        self._surveyed = routes.read()
        return self._surveyed

    def renew(self, device: Device, state: DeviceState, peers: tuple[PeerChange, ...]) -> None:
        """Renew the sessions with these peers; ``state`` is that of the device.

        Raises:
            kgctl.KgctlError: the device refused the change.
        """
        for one in peers:
            self._renewed[one.public_key] = state.peers[one.public_key].last_handshake
        device.apply(DeviceChange(renew=peers))
        self.device_writes += 1

    def apply(
        self, wanted: Wanted, device: Device, routes: Routes, *, now: float, whole: bool
    ) -> Change | None:
        """Apply the wanted state to ``device`` and ``routes`` at ``now``, in Unix seconds.

        Returns None if the wanted state is unchanged and the round is not a ``whole`` one. Such a
        round reads nothing, unless the last one failed.

        Raises:
            kgctl.KgctlError: the device refused the change.
        """
        present = self._look(wanted, device, now) if whole else None
        outside = frozenset(self._outside())
        if not whole and self._is_applied(wanted, outside):
            self._surveyed = None
            return None
        state = self.target(wanted)
        goal = (state, wanted.routes, outside)
        before, self._applied = self._applied, None
        if not whole and before == goal:
            self._applied, self._surveyed = before, None
            return None
        settled: Mapping[PublicKey, DevicePeer] = {}
        if present is None and before is not None:
            present, settled = self.state, before[0].peers
        if present is None:
            present = self._read(device, now)
        device_changed = self._set_device(device, present, state, settled)
        away = (*outside, *dialled(state), *dialled(self.state))
        change = self._set_routes(routes, wanted.routes, away, whole=whole)
        if whole:
            self._resolve_again(wanted.peers, now)
        self._applied = goal
        return replace(change, device=device_changed)

    def _is_applied(self, wanted: Wanted, outside: frozenset[Address]) -> bool:
        """Return whether the target is the last one, without a look at each peer.

        After heartbeats the wanted state is the same object. An endpoint that is a name may have
        another address meanwhile, and a choice of an endpoint may go on.
        """
        return (
            self._applied is not None
            and self._applied[2] == outside
            and self._wanted is wanted
            and self._dialler.is_settled
            and not any(isinstance(one.host, str) for one in self.dialled.values())
        )

    def target(self, wanted: Wanted) -> DeviceState:
        """Return the wanted state of the device, with the names that are resolved so far."""
        self._wanted = wanted
        return DeviceState(
            private_key=self._private_key,
            listen_port=self._listen_port or wanted.listen_port or DEFAULT_PORT,
            peers=wanted_peers(wanted.peers, self._endpoints(wanted), self._own_key, self._made),
        )

    def _look(self, wanted: Wanted, device: Device, now: float) -> DeviceState:
        present = self._read(device, now)
        self._dialler.look(present, _known(wanted), self._clock(), now)
        return present

    def _read(self, device: Device, now: float) -> DeviceState:
        self._read_at = now
        return self._with_handshakes(device.read())

    def _endpoints(self, wanted: Wanted) -> dict[PublicKey, Endpoint]:
        self.dialled = self._dialler.choose(_known(wanted), self._clock())
        hosts = (endpoint.host for endpoint in self.dialled.values())
        self._names.retain({host for host in hosts if isinstance(host, str)})
        found = {}
        for key, endpoint in self.dialled.items():
            if not isinstance(endpoint.host, str):
                found[key] = endpoint
            elif (address := self._names.address(endpoint.host)) is not None:
                found[key] = Endpoint(address, endpoint.port)
        return found

    def _set_device(
        self,
        device: Device,
        present: DeviceState,
        wanted: DeviceState,
        settled: Mapping[PublicKey, DevicePeer],
    ) -> DeviceChange:
        """Change the device, which was ``present`` when it was read, or after the last change.

        Between whole rounds the device is not read: that takes longer than all else of a large
        network. It may have changed since: peers roam and shake hands. So sessions are judged as of
        the reading. A peer whose session has ended was moved after that reading; one whose session
        lived then stays where it is, unless the wanted endpoint itself changes.
        """
        with self.breakable():
            change = device_change(
                present, wanted, given=self.given, now=self._read_at, settled=settled
            )
        if change:
            device.apply(change)
            self.device_writes += 1
            present = applied(present, change)
        self.given = {
            key: peer.endpoint for key, peer in wanted.peers.items() if peer.endpoint is not None
        }
        self.state = present
        return change

    def _with_handshakes(self, state: DeviceState) -> DeviceState:
        """Return the state with the last handshakes of sessions that are being renewed.

        Without them the peers would seem to have no session, and return to their first endpoint.
        """
        waiting = {
            key: replace(state.peers[key], last_handshake=before)
            for key, before in self._renewed.items()
            if key in state.peers and not state.peers[key].last_handshake
        }
        self._renewed = {key: peer.last_handshake for key, peer in waiting.items()}
        return replace(state, peers={**state.peers, **waiting}) if waiting else state

    def _set_routes(
        self,
        routes: Routes,
        wanted: Sequence[Route],
        outside: Iterable[Address],
        *,
        whole: bool,
    ) -> Change:
        """Return the changes of routes, and what is new about the routes that were not set.

        Between whole rounds the kernel's routes are not read: 500 routes take 0.1 s.
        """
        table = self._surveyed or (None if whole else self._routes)
        if table is None:
            table = routes.read()
        self._routes = self._surveyed = None
        with self.breakable():
            if self._passages[0] is not wanted:
                self._passages = wanted, Passages(wanted)
            planned = plan_routes(table, self._passages[1], outside)
        rejected = routes.apply(planned.change, self._stopped) if planned.change else []
        written = planned.change.without({one.route for one in rejected})
        refused = [*planned.taken, *rejected]
        unset = {one.route for one in rejected}
        present = [one for one in planned.present if one not in unset] if unset else planned.present
        self._routes = table._replace(own=present)
        self.route_writes += len(written)
        news = [one for one in refused if self._refused.get(one.route) != one]
        self._refused = {one.route: one for one in refused}
        same = self._excluded == planned.passage.excluded
        self._excluded = planned.passage.excluded
        return Change(DeviceChange(), written, news, None if same else self._excluded)

    def _resolve_again(self, sections: Sequence[PeerSection], now: float) -> None:
        """Resolve names again if a handshake is overdue: the host may have moved."""
        assert self.state is not None
        for section in sections:
            endpoint = self.dialled.get(section.public_key)
            peer = self.state.peers.get(section.public_key)
            if endpoint is None or not isinstance(endpoint.host, str) or peer is None:
                continue
            if now - peer.last_handshake > OVERDUE:
                self._names.refresh(endpoint.host)


def _known(wanted: Wanted) -> dict[PublicKey, Sightings]:
    return {section.public_key: wanted.sightings_of(section) for section in wanted.peers}
