"""The interface of a tunnel: made, taken over or found; and left as it was found.

How old handshakes are, whatever somebody does to this host's clock.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import HostError, InterfaceGoneError, KgctlError
from kgctl.host import userspace
from kgctl.host import userspace as processes
from kgctl.host.links import Links, NetLink, RouteChange
from kgctl.host.record import Record
from kgctl.host.routes import LinkRoutes
from kgctl.host.surroundings import surroundings
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.key import NO_KEY
from kgctl.steady import steady
from kgctl.wireguard.device import DeviceState, device_change
from kgctl.wireguard.keys import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.host.kernel import KernelDevice
    from kgctl.host.links import Device, RouteTable
    from kgctl.host.record import RecordFile
    from kgctl.host.surroundings import Surroundings
    from kgctl.host.userspace import UserspaceDevice
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey
    from kgctl.wireguard.device import DeviceChange


_SLACK = 1.0
"""Seconds by which clocks differ that nobody has set."""


class _Seen(NamedTuple):
    """A handshake as the device tells it, and when it was by a clock that nobody sets."""

    told: float
    steady: float


class HandshakeAges:
    """Follows the handshakes of a device, which it tells in Unix seconds of this host's clock.

    A clock that is put right makes them seem hours old, or of the future.
    """

    def __init__(self) -> None:
        self._seen: dict[PublicKey, _Seen] = {}
        self._looked = float("-inf")

    def corrected(self, state: DeviceState, steady: float, unix: float) -> DeviceState:
        """Return the state with each handshake as long before ``unix`` as it really was.

        ``steady`` is now by a clock that nobody sets. A handshake that is new since the last look
        is not older than that.
        """
        before, self._seen = self._seen, {}
        most = steady - self._looked
        self._looked = steady
        peers = {}
        for key, peer in state.peers.items():
            if peer.last_handshake:
                seen = before.get(key)
                if seen is None or seen.told != peer.last_handshake:
                    age = min(max(0.0, unix - peer.last_handshake), most)
                    seen = _Seen(peer.last_handshake, steady - age)
                self._seen[key] = seen
                shift = unix - (steady - seen.steady)
                if abs(shift - peer.last_handshake) > _SLACK:
                    peers[key] = replace(peer, last_handshake=shift)
        return replace(state, peers={**state.peers, **peers}) if peers else state


class SteadyDevice:
    """A device whose handshakes are as old as they really are; a ``Device``."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._ages = HandshakeAges()

    def read(self) -> DeviceState:
        """Return its state; see ``Device``."""
        return self._ages.corrected(self._device.read(), steady(), time.time())

    def apply(self, change: DeviceChange) -> None:
        """Carry out a change; see ``Device``."""
        self._device.apply(change)


class Origin(StrEnum):
    """Where the interface comes from."""

    CREATED = "created WireGuard interface"
    STARTED = "started a userspace WireGuard for the interface"
    TAKEN_OVER = "took over the WireGuard interface that another kgctl left"
    FOUND = "use the WireGuard interface that is there"


@dataclass(frozen=True, slots=True)
class _Before:
    """What an interface was like that kgctl did not make."""

    link: NetLink
    addresses: frozenset[Cidr]
    device: DeviceState


def open_device(link: NetLink, *, own: bool = False) -> KernelDevice | UserspaceDevice | None:
    """Return the WireGuard device of a link; None where the link is of another kind.

    With ``own``, nothing is read from a program of a third user, or written to it.
    """
    if link.kind == "wireguard":
        from kgctl.host.kernel import KernelDevice

        return KernelDevice(link.name)
    device = userspace.UserspaceDevice(link.name, own=own)
    return device if device.listens() else None


class Tunnel:
    """One interface with its device and routes. Nothing is done before ``open``.

    ``touched`` tells whether ``open`` was called: until then there is nothing to take back.
    ``origin`` says where the interface came from, the last time that it was opened.
    ``file`` keeps what was made, so that it can be taken over after ``kill -9``.
    """

    def __init__(self, name: str, file: RecordFile) -> None:
        self.name = name
        self._file = file
        self._links = Links()
        self._before: _Before | None = None
        self._link: NetLink | None = None
        self._device: KernelDevice | UserspaceDevice | None = None
        self._steady: SteadyDevice
        self._routes: LinkRoutes | None = None
        self._dressed: tuple[int, frozenset[Cidr]] = (0, frozenset())
        self.touched = False
        self.origin: Origin | None = None

    @property
    def link(self) -> NetLink:
        """The link, once it is open."""
        assert self._link is not None
        return self._link

    @property
    def device(self) -> SteadyDevice:
        """The WireGuard device, once it is open."""
        assert self._device is not None
        return self._steady

    @property
    def routes(self) -> LinkRoutes:
        """The routes, once it is open."""
        assert self._routes is not None
        return self._routes

    def leftover(self) -> DeviceState | None:
        """Return the device that a kgctl that was killed has left, with its key; or None.

        Raises:
            HostError: the links of this machine cannot be read.
        """
        record, link = self._file.read(), self._links.find(self.name)
        if link is None or record is None or not _made(record, link):
            return None
        device = open_device(link, own=True)
        if device is None:
            return None
        try:
            return device.read()
        finally:
            device.close()

    def open(self, *, mtu: int, addresses: tuple[Cidr, ...]) -> Origin:
        """Have the interface, with its MTU in bytes and its addresses, and up.

        Raises:
            HostError: it cannot be made; what was made of it is taken back by ``close``.
        """
        link, record = self._links.find(self.name), self._file.read()
        if link is not None:
            _require_wireguard(link)
        self.touched = True
        if link is None:
            origin = self._create()
        elif record is not None and _made(record, link):
            origin = Origin.TAKEN_OVER
        else:
            origin = Origin.FOUND
        link = self._links.find(self.name)
        if link is None:
            raise InterfaceGoneError(f"the interface {self.name} went away while it was set up")
        self._attach(link, addresses)
        if origin is Origin.FOUND:
            self._remember(link)
        self.origin = origin
        self._note(made_link=origin is not Origin.FOUND, link_index=link.index)
        self._dress(link, mtu, addresses, None if origin is Origin.FOUND else record)
        return origin

    def is_ours(self) -> bool:
        """Tell whether kgctl made the interface that is open: else it is only used."""
        return self.origin is not None and self.origin is not Origin.FOUND

    def discard(self) -> None:
        """Remove an interface that kgctl made, and end the program behind it.

        Raises:
            HostError: it cannot be removed.
        """
        record, link = self._file.read(), self._links.find(self.name)
        if link is not None and record is not None and _made(record, link):
            self._delete(link, record)

    def is_whole(self) -> bool:
        """Tell whether the link still is the one that was opened, up, with its MTU and addresses.

        Raises:
            HostError: links cannot be read.
        """
        link = self._links.find(self.name)
        if link is None or link.index != self.link.index or not link.up:
            return False
        mtu, addresses = self._dressed
        return link.mtu == mtu and addresses <= self._links.addresses(link)

    def surroundings(self, table: RouteTable) -> Surroundings:
        """Return what this machine has besides the link, of which ``table`` are the routes.

        Raises:
            HostError: it cannot be read.
        """
        return surroundings(table, self._links.addresses_elsewhere(self.link))

    def release(self) -> None:
        """Close sockets; what was set up stays."""
        for part in (self._device, self._routes):
            if part is not None:
                part.close()
        self._device = self._routes = None

    def dispose(self) -> None:
        """Close every socket; nothing can be done with it any more."""
        self.release()
        self._links.close()

    def close(self, failed: Callable[[str, KgctlError], None]) -> None:
        """Take back everything that was made, and nothing else; go on past what fails."""
        record, link = self._file.read(), self._links.find(self.name)
        if link is not None and record is not None and _made(record, link):
            self._attempt("delete the interface", lambda: self._delete(link, record), failed)
        elif link is not None and self._before is not None:
            self._restore(link, self._before, failed)
        elif link is None and record is not None:
            self._attempt("end its program", lambda: _end_program(record), failed)
        self.release()

    def _create(self) -> Origin:
        record = self._file.read()
        if record is not None:
            _end_program(record)  # one that hangs would keep the UDP port
            self._file.write(replace(record, program=0, program_started=0))
        self._note(made_link=True, link_index=0)
        if self._links.create(self.name):
            return Origin.CREATED
        userspace.start(self.name)
        self._note_program()
        return Origin.STARTED

    def _note_program(self) -> None:
        program = userspace.UserspaceDevice(self.name).process()
        record = self._file.read()
        if program is not None and record is not None:
            self._file.write(replace(record, program=program.pid, program_started=program.started))

    def _attach(self, link: NetLink, addresses: tuple[Cidr, ...]) -> None:
        self.release()
        device = open_device(link, own=True)
        if device is None:
            raise _not_wireguard(link)
        self._link, self._device, self._steady = link, device, SteadyDevice(device)
        self._routes = LinkRoutes(link, addresses)

    def _remember(self, link: NetLink) -> None:
        if self._before is None:
            addresses = frozenset(self._links.addresses(link))
            self._before = _Before(link, addresses, self.device.read())

    def _note(self, *, made_link: bool, link_index: int) -> None:
        record = self._file.read() or Record(interface=self.name)
        self._file.write(replace(record, made_link=made_link, link_index=link_index))

    def _dress(
        self, link: NetLink, mtu: int, addresses: tuple[Cidr, ...], old: Record | None
    ) -> None:
        """Set MTU and addresses; addresses that an earlier kgctl gave it and we do not, go."""
        if link.mtu != mtu:
            self._links.configure(link, mtu=mtu)
        present = self._links.addresses(link)
        given = {parse_cidr(text) for text in (old.addresses if old else ())}
        record = self._file.read() or Record(interface=self.name)
        self._file.write(replace(record, addresses=tuple(map(str, addresses))))
        self._links.remove_addresses(link, (present & given) - set(addresses))
        self._links.add_addresses(link, (one for one in addresses if one not in present))
        if not link.up:
            self._links.configure(link, up=True)
        self._dressed = mtu, frozenset(addresses)

    def _delete(self, link: NetLink, record: Record) -> None:
        """Remove the link, and see to it that the program behind it ends.

        It does so by itself where all is well.
        """
        device, program = self._device or open_device(link, own=True), None
        if isinstance(device, userspace.UserspaceDevice) and not record.program:
            program = device.process()  # of a record by an earlier version
        self._links.delete(link)
        if program is not None:
            processes.end(program)
        _end_program(record)
        if isinstance(device, userspace.UserspaceDevice):
            device.forget()

    def _restore(
        self, link: NetLink, before: _Before, failed: Callable[[str, KgctlError], None]
    ) -> None:
        """Give back an interface that was there before us, as it was."""
        self._attempt("remove the routes", self._remove_routes, failed)
        self._attempt("restore the device", lambda: self._restore_device(before.device), failed)
        self._attempt(
            "remove the addresses",
            lambda: self._links.remove_addresses(
                link, self._links.addresses(link) - before.addresses
            ),
            failed,
        )
        self._attempt(
            "restore the link",
            lambda: self._links.configure(
                link, mtu=before.link.mtu, up=None if before.link.up else False
            ),
            failed,
        )

    def _remove_routes(self) -> None:
        self.routes.apply(RouteChange(remove=list(self.routes.read().own)))

    def _restore_device(self, before: DeviceState) -> None:
        change = device_change(self.device.read(), before, given={}, now=0.0)
        if before.private_key is None:
            change = replace(change, private_key=PrivateKey(NO_KEY))
        if change:
            self.device.apply(change)

    @staticmethod
    def _attempt(
        what: str, step: Callable[[], None], failed: Callable[[str, KgctlError], None]
    ) -> None:
        try:
            step()
        except KgctlError as error:
            failed(what, error)


def _require_wireguard(link: NetLink) -> None:
    device = open_device(link, own=True)
    if device is None:
        raise _not_wireguard(link)
    device.close()


def _not_wireguard(link: NetLink) -> HostError:
    return HostError(
        f"there is an interface {link.name} already, and it is no WireGuard: give another name",
        field="interface",
        value=link.name,
    )


def _end_program(record: Record) -> None:
    """End the userspace WireGuard that was started for a link, unless it has ended."""
    if record.program:
        processes.end(processes.Process(record.program, record.program_started))


def _made(record: Record, link: NetLink) -> bool:
    """Tell whether kgctl made this very link: an index of 0 was killed before it knew."""
    return record.made_link and record.link_index in (0, link.index)
