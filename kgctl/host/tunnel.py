"""The interface of a tunnel: kgctl creates it, takes it over or uses an existing one.

On closing, kgctl removes what it created and restores what it found. ``HandshakeAges`` keeps the
ages of handshakes true when this host's clock is changed.
"""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import HostError, InterfaceGoneError, KgctlError
from kgctl.host import userspace
from kgctl.host import userspace as processes
from kgctl.host.links import Links, NetLink, PortTakenError, RouteChange
from kgctl.host.netlink import errno_of
from kgctl.host.record import Record
from kgctl.host.routes import LinkRoutes
from kgctl.host.surroundings import surroundings
from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.key import NO_KEY
from kgctl.steady import steady
from kgctl.wireguard.conf import require_mtu
from kgctl.wireguard.device import DeviceChange, DeviceState, device_change
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


_SLACK = 1.0
"""Seconds by which the clocks may differ although nobody set one."""


class _Seen(NamedTuple):
    """The time of a handshake as the device reports it, and by a clock that nobody sets."""

    told: float
    steady: float


class HandshakeAges:
    """Tracks the handshakes of a device, which reports them in Unix seconds of this host's clock.

    Setting the clock would make them seem hours old, or in the future.
    """

    def __init__(self) -> None:
        self._seen: dict[PublicKey, _Seen] = {}
        self._looked = float("-inf")

    def corrected(self, state: DeviceState, steady: float, unix: float) -> DeviceState:
        """Return the state with the true age of each handshake before ``unix``.

        ``steady`` is the current time by a clock that nobody sets. A handshake that is new since
        the last call is not older than that call.
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
    """A device with true ages of handshakes; a ``Device``."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._ages = HandshakeAges()

    def read(self) -> DeviceState:
        """Return the state; see ``Device``."""
        return self._ages.corrected(self._device.read(), steady(), time.time())

    def apply(self, change: DeviceChange) -> None:
        """Apply a change; see ``Device``."""
        self._device.apply(change)


class Origin(StrEnum):
    """The origin of the interface, as a text for the log."""

    CREATED = "created WireGuard interface"
    STARTED = "started a userspace WireGuard for the interface"
    TAKEN_OVER = "took over the WireGuard interface that another kgctl left"
    FOUND = "using the existing WireGuard interface"


@dataclass(frozen=True, slots=True)
class _Before:
    """The former state of an interface that kgctl did not create."""

    link: NetLink
    addresses: frozenset[Cidr]
    device: DeviceState


def open_device(link: NetLink, *, own: bool = False) -> KernelDevice | UserspaceDevice | None:
    """Return the WireGuard device of a link; None if the link is of another kind.

    With ``own``, a program of a third user is refused.
    """
    if link.kind == "wireguard":
        from kgctl.host.kernel import KernelDevice

        return KernelDevice(link.name)
    device = userspace.UserspaceDevice(link.name, own=own)
    return device if device.listens() else None


class Tunnel:
    """One interface with its device and routes. Nothing happens before ``open``.

    ``touched`` means that ``open`` was called: until then there is nothing to clean up.
    ``origin`` is where the interface came from when it was last opened. ``file`` records what was
    created, so that the next kgctl can take it over after ``kill -9``.
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
        """The link, once the tunnel is open."""
        assert self._link is not None
        return self._link

    @property
    def device(self) -> SteadyDevice:
        """The WireGuard device, once the tunnel is open."""
        assert self._device is not None
        return self._steady

    @property
    def routes(self) -> LinkRoutes:
        """The routes, once the tunnel is open."""
        assert self._routes is not None
        return self._routes

    def leftover(self) -> DeviceState | None:
        """Return the device that a killed kgctl left, with its key, or None.

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

    def check(self, *, mtu: int) -> None:
        """Check that the name is free, or that of a WireGuard interface that may have this MTU.

        Raises:
            HostError: the interface is of another kind, or links cannot be read.
            MtuError: an interface that kgctl did not create has an address of IPv6, which it
                would lose.
        """
        link, record = self._links.find(self.name), self._file.read()
        if link is None:
            return
        _require_wireguard(link)
        if record is None or not _made(record, link):
            require_mtu(mtu, self._links.addresses(link))

    def open(self, *, mtu: int, addresses: tuple[Cidr, ...]) -> Origin:
        """Set up the interface with its MTU, in bytes, and its addresses, and bring it up.

        Raises:
            HostError: a step failed; ``close`` cleans up.
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
            raise InterfaceGoneError(f"the interface {self.name} disappeared during its set-up")
        self._attach(link, addresses)
        if origin is Origin.FOUND:
            self._remember(link)
        self.origin = origin
        self._note(made_link=origin is not Origin.FOUND, link_index=link.index)
        self._dress(link, mtu, addresses, None if origin is Origin.FOUND else record)
        return origin

    def is_ours(self) -> bool:
        """Return whether kgctl created the open interface, rather than found it."""
        return self.origin is not None and self.origin is not Origin.FOUND

    def discard(self) -> None:
        """Remove an interface that kgctl created, and end the program behind it.

        Raises:
            HostError: the interface cannot be removed.
        """
        record, link = self._file.read(), self._links.find(self.name)
        if link is not None and record is not None and _made(record, link):
            self._delete(link, record)

    def is_whole(self) -> bool:
        """Return whether the link is still the one that was opened, up, with MTU and addresses.

        Raises:
            HostError: links cannot be read.
        """
        link = self._links.find(self.name)
        if link is None or link.index != self.link.index or not link.up:
            return False
        mtu, addresses = self._dressed
        return link.mtu == mtu and addresses <= self._links.addresses(link)

    def surroundings(self, table: RouteTable) -> Surroundings:
        """Return the surroundings of the link; ``table`` are the routes.

        Raises:
            HostError: the addresses cannot be read.
        """
        return surroundings(table, self._links.addresses_elsewhere(self.link))

    def release(self) -> None:
        """Close the sockets of the device and routes; the interface stays."""
        for part in (self._device, self._routes):
            if part is not None:
                part.close()
        self._device = self._routes = None

    def dispose(self) -> None:
        """Close every socket; the tunnel is unusable afterwards."""
        self.release()
        self._links.close()

    def close(self, failed: Callable[[str, KgctlError], None]) -> bool:
        """Clean up what kgctl created, and nothing else; continue after a failed step.

        Returns:
            Whether there was anything to clean up: nothing of an interface of another kind.
        """
        record, link, found = self._file.read(), self._links.find(self.name), True
        if link is not None and record is not None and _made(record, link):
            self._attempt("delete the interface", lambda: self._delete(link, record), failed)
        elif link is not None and self._before is not None:
            self._restore(link, self._before, failed)
        elif link is None and record is not None:
            self._attempt("end its program", lambda: _end_program(record), failed)
        else:
            found = False
        self.release()
        return found

    def _create(self) -> Origin:
        record = self._file.read()
        if record is not None:
            _end_program(record)  # a hanging one would keep the UDP port
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
        """Set MTU and addresses; remove addresses that only an earlier kgctl wanted."""
        if link.mtu != mtu:
            self._links.configure(link, mtu=mtu)
        present = self._links.addresses(link)
        given = {parse_cidr(text) for text in (old.addresses if old else ())}
        record = self._file.read() or Record(interface=self.name)
        self._file.write(replace(record, addresses=tuple(map(str, addresses))))
        self._links.remove_addresses(link, (present & given) - set(addresses))
        self._links.add_addresses(link, (one for one in addresses if one not in present))
        if not link.up:
            self._bring_up(link)
        # of the link-local ones nothing can be seen later: ``Links.addresses`` leaves them out
        self._dressed = mtu, frozenset(one for one in addresses if not one.address.is_link_local)

    def _bring_up(self, link: NetLink) -> None:
        """Set the link up, which opens the UDP port of the device."""
        try:
            self._links.configure(link, up=True)
        except HostError as error:
            if errno_of(error.__cause__) != errno.EADDRINUSE:
                raise
            raise PortTakenError(link.name, self.device.read().listen_port) from error

    def _delete(self, link: NetLink, record: Record) -> None:
        """Remove the link, and end the program behind it.

        The program usually ends by itself.
        """
        device, program = self._device or open_device(link, own=True), None
        if isinstance(device, userspace.UserspaceDevice) and not record.program:
            program = device.process()  # earlier versions did not record it
        self._links.delete(link)
        if program is not None:
            processes.end(program)
        _end_program(record)
        if isinstance(device, userspace.UserspaceDevice):
            device.forget()

    def _restore(
        self, link: NetLink, before: _Before, failed: Callable[[str, KgctlError], None]
    ) -> None:
        """Restore the former state of an interface that kgctl found."""
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
        self._attempt("restore the UDP port", lambda: self._restore_port(before), failed)

    def _remove_routes(self) -> None:
        self.routes.apply(RouteChange(remove=list(self.routes.read().own)))

    def _restore_device(self, before: DeviceState) -> None:
        change = device_change(self.device.read(), before, given={}, now=0.0)
        if before.private_key is None:
            change = replace(change, private_key=PrivateKey(NO_KEY))
        if change:
            self.device.apply(change)

    def _restore_port(self, before: _Before) -> None:
        change = freed_port(self.device.read(), before.device, up=before.link.up)
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


def freed_port(present: DeviceState, before: DeviceState, *, up: bool) -> DeviceChange:
    """Return the change that gives a device no UDP port if it had none ``before``.

    That takes effect on a link that is down: in one that is ``up``, the kernel would choose a port.
    """
    had_none = not up and before.listen_port == 0 and present.listen_port != 0
    return DeviceChange(listen_port=0 if had_none else None)


def refuse_other_kinds(link: NetLink) -> None:
    """Check, as far as any user can, that a link is a WireGuard interface.

    Only its user and root see whether a program of WireGuard is behind a TUN device.

    Raises:
        HostError: it is of another kind.
    """
    if link.kind not in ("wireguard", "tun") and open_device(link) is None:
        raise _not_wireguard(link)


def _require_wireguard(link: NetLink) -> None:
    device = open_device(link, own=True)
    if device is None:
        raise _not_wireguard(link)
    device.close()


def _not_wireguard(link: NetLink) -> HostError:
    return HostError(
        f"the interface {link.name} exists and is not a WireGuard interface: give another name",
        field="interface",
        value=link.name,
    )


def _end_program(record: Record) -> None:
    """End the userspace WireGuard that kgctl started for a link, unless it has ended."""
    if record.program:
        processes.end(processes.Process(record.program, record.program_started))


def _made(record: Record, link: NetLink) -> bool:
    """Return whether kgctl created this link; index 0 means killed before the index was known."""
    return record.made_link and record.link_index in (0, link.index)
