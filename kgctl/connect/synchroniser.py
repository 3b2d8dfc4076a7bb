"""Making this host what the network asks of it, by the least that has to change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kgctl.host.routes import route_change
from kgctl.mesh.endpoint import Endpoint
from kgctl.wireguard.device import DeviceState, applied, device_change, wanted_peers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kgctl.connect.network import Wanted
    from kgctl.host.interface import Device, Refused, RouteChange, Routes
    from kgctl.host.names import Names
    from kgctl.mesh.key import PublicKey
    from kgctl.mesh.routes import Route
    from kgctl.wireguard.conf import PeerSection
    from kgctl.wireguard.device import DeviceChange
    from kgctl.wireguard.keys import PrivateKey

OVERDUE = 135.0
"""Seconds since the last handshake after which an endpoint's name is resolved again: a session
is renewed after 120 s, and a handshake is tried for 5 s at a time (as wg's reresolve-dns.sh)."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a round has changed, and what the kernel refused."""

    device: DeviceChange
    routes: RouteChange
    refused: Sequence[Refused] = ()

    def __bool__(self) -> bool:
        """Whether anything was changed."""
        return bool(self.device) or bool(self.routes)


class Synchroniser:
    """Applies what is wanted to a device and its routes; counts what it writes.

    ``given`` are the endpoints that an earlier kgctl had set on the device.
    """

    def __init__(
        self,
        private_key: PrivateKey,
        listen_port: int,
        names: Names,
        given: Mapping[PublicKey, Endpoint] | None = None,
    ) -> None:
        self._private_key = private_key
        self._own_key = private_key.public_key()
        self._listen_port = listen_port
        self._names = names
        self.given: dict[PublicKey, Endpoint] = dict(given or {})
        self._applied: tuple[DeviceState, tuple[Route, ...]] | None = None
        self._refused: dict[Route, Refused] = {}
        self._routes: set[Route] | None = None
        self.state: DeviceState | None = None
        self.device_writes = 0
        self.route_writes = 0

    def forget(self) -> None:
        """Take nothing for set up any more: the interface is another one."""
        self._applied = self._routes = None
        self._refused.clear()

    def apply(
        self, wanted: Wanted, device: Device, routes: Routes, *, now: float, whole: bool
    ) -> Change | None:
        """Make ``device`` and ``routes`` what is wanted at ``now``, in Unix seconds.

        Returns None where nothing else is wanted than the last time, and the round is not a
        ``whole`` one: then nothing is even read.

        Raises:
            kgctl.KgctlError: the device refused.
        """
        state = self.target(wanted)
        if not whole and self._applied == (state, wanted.routes):
            return None
        self._applied = None
        change = self._set_device(device, state, now)
        changed_routes, refused = self._set_routes(routes, wanted.routes, whole)
        if whole:
            self._resolve_again(wanted.peers, now)
        self._applied = (state, wanted.routes)
        return Change(change, changed_routes, refused)

    def target(self, wanted: Wanted) -> DeviceState:
        """Return what the device is to be, with names resolved as far as they are."""
        return DeviceState(
            private_key=self._private_key,
            listen_port=self._listen_port,
            peers=wanted_peers(wanted.peers, self._endpoints(wanted.peers), self._own_key),
        )

    def _endpoints(self, sections: Sequence[PeerSection]) -> dict[PublicKey, Endpoint]:
        found = {}
        for section in sections:
            endpoint = section.endpoint
            if endpoint is not None and isinstance(endpoint.host, str):
                address = self._names.address(endpoint.host)
                endpoint = None if address is None else Endpoint(address, endpoint.port)
            if endpoint is not None:
                found[section.public_key] = endpoint
        return found

    def _set_device(self, device: Device, wanted: DeviceState, now: float) -> DeviceChange:
        present = device.read()
        change = device_change(present, wanted, given=self.given, now=now)
        if change:
            device.apply(change)
            self.device_writes += 1
            present = applied(present, change)
        self.given = {
            key: peer.endpoint for key, peer in wanted.peers.items() if peer.endpoint is not None
        }
        self.state = present
        return change

    def _set_routes(
        self, routes: Routes, wanted: Sequence[Route], whole: bool
    ) -> tuple[RouteChange, list[Refused]]:
        """Return what was changed, and what is refused now and was not the last time.

        Between whole rounds the kernel is not asked what it has: 500 routes take 0.1 s to read.
        """
        present = self._routes
        if whole or present is None:
            present = routes.read()
        self._routes = None
        change = route_change(present, wanted)
        refused = routes.apply(change) if change else []
        self._routes = set(wanted) - {one.route for one in refused}
        self.route_writes += len(change) - len(refused)
        news = [one for one in refused if self._refused.get(one.route) != one]
        self._refused = {one.route: one for one in refused}
        return change, news

    def _resolve_again(self, sections: Sequence[PeerSection], now: float) -> None:
        """Have names looked up anew where a handshake is overdue: the host may have moved."""
        assert self.state is not None
        for section in sections:
            endpoint, peer = section.endpoint, self.state.peers.get(section.public_key)
            if endpoint is None or not isinstance(endpoint.host, str) or peer is None:
                continue
            if now - peer.last_handshake > OVERDUE:
                self._names.refresh(endpoint.host)
