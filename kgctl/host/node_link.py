"""The WireGuard link of an agent: found or created, and kept with its address and MTU.

Unlike the tunnel of ``kgctl connect``, it stays when the agent ends, so that its tunnels go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import HostError, InterfaceGoneError
from kgctl.host import userspace
from kgctl.host.differences import Difference, Part
from kgctl.host.links import Links
from kgctl.host.tunnel import SteadyDevice, open_device
from kgctl.wireguard.device import DeviceState

if TYPE_CHECKING:
    from kgctl.host.kernel import KernelDevice
    from kgctl.host.links import NetLink
    from kgctl.host.userspace import UserspaceDevice
    from kgctl.mesh.cidr import Cidr
    from kgctl.wireguard.device import DeviceChange


class _Dress(NamedTuple):
    """What has to change of a link: whether its MTU, and which addresses."""

    mtu: bool
    add: set[Cidr]
    remove: set[Cidr]


class NodeLink:
    """The WireGuard link ``name``. With ``create``, a missing one is made."""

    def __init__(self, name: str, *, create: bool) -> None:
        self.name = name
        self._create = create
        self._links = Links()
        self._link: NetLink | None = None
        self._program: userspace.Process | None = None  # the userspace WireGuard started last
        self._device: KernelDevice | UserspaceDevice | None = None
        self._steady: SteadyDevice | None = None

    @property
    def device(self) -> SteadyDevice:
        """The WireGuard device, once the link is open."""
        assert self._steady is not None
        return self._steady

    def open(self) -> bool:
        """Find the link, or make it; return whether it is another one than at the last call.

        Raises:
            HostError: there is none, and none may be made; or it is of another kind.
        """
        link = self._links.find(self.name)
        if link is None:
            link = self._made()
        same = self._link is not None and self._link.index == link.index
        self._link = link
        if same and self._device is not None:
            return False
        self._close_device()
        device = open_device(link, own=True)
        if device is None:
            raise HostError(
                f"{self.name} is not a WireGuard interface: name another one, or remove it",
                field="interface",
                value=self.name,
            )
        self._device, self._steady = device, SteadyDevice(device)
        return True

    def dress(self, address: Cidr | None, *, mtu: int) -> bool:
        """Set the MTU, in bytes, and the only address; return whether anything changed.

        The addresses stay if ``address`` is None: a node that does not lead keeps its link as it
        is, but down.

        Raises:
            InterfaceGoneError: the link is gone.
            HostError: the kernel refused a step.
        """
        link = self._present()
        change = self._compared(link, address, mtu)
        if change.mtu:
            self._links.configure(link, mtu=mtu)
        self._links.add_addresses(link, change.add)
        self._links.remove_addresses(link, change.remove)
        return any(change)

    def _compared(self, link: NetLink, address: Cidr | None, mtu: int) -> _Dress:
        present = set() if address is None else self._links.addresses(link)
        wanted = set() if address is None else {address}
        return _Dress(link.mtu != mtu, wanted - present, present - wanted)

    def set_up(self, up: bool) -> bool:
        """Set the link up, or down; return whether that was a change.

        Raises:
            InterfaceGoneError: the link is gone.
            HostError: the kernel refused it.
        """
        link = self._present()
        if link.up == up:
            return False
        self._links.configure(link, up=up)
        return True

    def _present(self) -> NetLink:
        link = self._links.find(self.name)
        if link is None or self._link is None or link.index != self._link.index:
            raise InterfaceGoneError(f"the interface {self.name} is gone")
        return link

    def delete(self) -> None:
        """Delete the link; the program behind a userspace one ends.

        Raises:
            HostError: the kernel refused it.
        """
        link = self._links.find(self.name)
        if link is not None:
            self._links.delete(link)
        if isinstance(self._device, userspace.UserspaceDevice):
            self._device.forget()

    def close(self) -> None:
        """Close the sockets; the link stays."""
        self._close_device()
        self._links.close()

    def _close_device(self) -> None:
        if self._device is not None:
            self._device.close()
        self._device = self._steady = None

    def _made(self) -> NetLink:
        if not self._create:
            raise HostError(
                f"there is no interface {self.name}, and none is to be created: start what makes "
                "it first"
            )
        self._end_program()
        if not self._links.create(self.name):
            userspace.start(self.name)
            self._program = userspace.UserspaceDevice(self.name).process()
        link = self._links.find(self.name)
        if link is None:
            raise InterfaceGoneError(f"the interface {self.name} disappeared during its set-up")
        return link

    def _end_program(self) -> None:
        """End the program of a link that is gone: while it hangs, no other one can start."""
        if self._program is not None:
            userspace.end(self._program)
            userspace.UserspaceDevice(self.name).forget()
            self._program = None


class InspectedLink(NodeLink):
    """The link of an agent as it is: nothing of it is made or changed.

    ``differences`` are what an agent would change of the link, besides its device.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, create=False)
        self.differences: dict[Part, Difference] = {}

    @property
    def device(self) -> SteadyDevice:
        """The WireGuard device, which takes no change; without a link, one without anything."""
        return _InspectedDevice(self._steady)

    @property
    def exists(self) -> bool:
        """Whether there is such a link."""
        return self._link is not None

    def open(self) -> bool:
        """Find the link; return whether it is another one than at the last call.

        Raises:
            HostError: it is of another kind.
        """
        self.differences = {}
        if self._links.find(self.name) is None:
            self.differences[Part.INTERFACE] = Difference(Part.INTERFACE, self.name, None)
            return True
        return super().open()

    def dress(self, address: Cidr | None, *, mtu: int) -> bool:
        """Note how MTU and addresses differ; see ``NodeLink``."""
        if self._link is None:
            return False
        link = self._present()
        change = self._compared(link, address, mtu)
        if change.mtu:
            self._note(Part.MTU, str(mtu), str(link.mtu))
        if change.add or change.remove:
            texts = [
                ", ".join(sorted(map(str, one))) or None for one in (change.add, change.remove)
            ]
            self._note(Part.ADDRESS, *texts)
        return False

    def set_up(self, up: bool) -> bool:
        """Note whether the link should be up, or down; see ``NodeLink``."""
        if self._link is not None and self._present().up != up:
            self._note(Part.STATE, *(("up", "down") if up else ("down", "up")))
        return False

    def _note(self, part: Part, wanted: str | None, found: str | None) -> None:
        self.differences[part] = Difference(part, wanted, found, self.name)


class _InspectedDevice(SteadyDevice):
    """A device that is only read; None has no key and no peers."""

    def __init__(self, device: SteadyDevice | None) -> None:
        self._inspected = device

    def read(self) -> DeviceState:
        return DeviceState() if self._inspected is None else self._inspected.read()

    def apply(self, change: DeviceChange) -> None: ...
