"""The interface by which a node's agent encapsulates packets to nodes of its own location.

Without a network plugin to be compatible with, it is ``tunl0``, of IP in IP: an existing link of
that name is taken whatever its kind, as Kilo's agent does. Flannel's and Cilium's are theirs.
"""

from __future__ import annotations

import errno
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from kgctl.errors import HostError, InterfaceGoneError, KgctlError
from kgctl.host.differences import Difference, Part
from kgctl.host.links import Links
from kgctl.host.netlink import errno_of, open_netlink, told
from kgctl.host.node_record import GivenAddress, MadeLink
from kgctl.mesh.agent_plan import Compatibility

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.host.links import NetLink
    from kgctl.host.node_record import NodeRecordFile
    from kgctl.mesh.cidr import Cidr

IPIP = "tunl0"
FLANNEL = "flannel.1"
CILIUM_TUNNEL, CILIUM_HOST = "cilium_tunl", "cilium_host"

_NO_IPIP = (errno.EOPNOTSUPP, errno.ENOENT, errno.ENODEV)


class NoTunnelError(HostError):
    """The interface does not exist, and cannot be created here; it may come later."""


class TunnelLink(NamedTuple):
    """The interface.

    A ``dressed`` one gets an MTU from the agent, and has no other address than the agent's. One of
    Cilium's gets the address besides its own, one of flannel's none.
    """

    link: NetLink
    dressed: bool
    addressed: bool = True


class EncapsulationLink:
    """The interface of one ``compatibility``; ``record`` remembers what was made."""

    def __init__(self, compatibility: Compatibility, record: NodeRecordFile) -> None:
        self._compatibility = compatibility
        self._record = record
        self._links = Links()

    def close(self) -> None:
        """Close the socket; the interface stays."""
        self._links.close()

    def open(self) -> TunnelLink:
        """Return the interface, which is up; create it if it is the agent's to create.

        Raises:
            NoTunnelError: flannel's interface is not there yet, or the kernel lacks IP in IP.
            HostError: the interface cannot be read or changed.
        """
        found = self.find() or TunnelLink(self._create(), dressed=True)
        if found.addressed and not found.link.up:
            self._links.configure(found.link, up=True)
        return found

    def find(self) -> TunnelLink | None:
        """Return the interface as it is; None if the agent has to create it.

        Raises:
            NoTunnelError: flannel's interface is not there yet.
            HostError: the interface cannot be read.
        """
        if self._compatibility is Compatibility.FLANNEL:
            found = self._links.find(FLANNEL)
            if found is None:
                raise NoTunnelError(
                    f"there is no interface {FLANNEL}: flannel creates it; start flannel with the "
                    "backend vxlan first"
                )
            return TunnelLink(found, dressed=False, addressed=False)
        theirs = None
        if self._compatibility is Compatibility.CILIUM:
            theirs = self._links.find(CILIUM_TUNNEL)
        link = theirs or self._links.find(IPIP)
        return None if link is None else TunnelLink(link, dressed=theirs is None)

    def differences(
        self, tunnel: TunnelLink | None, *, address: Cidr | None, mtu: int
    ) -> list[Difference]:
        """Return what ``open`` and ``dress`` would change of the interface that was found.

        Raises:
            HostError: the interface cannot be read.
        """
        if tunnel is None:
            return [Difference(Part.INTERFACE, IPIP, None)]
        if not tunnel.addressed:
            return []
        link, found = tunnel.link, []
        if tunnel.dressed and link.mtu != mtu:
            found.append(Difference(Part.MTU, str(mtu), str(link.mtu), link.name))
        if not link.up:
            found.append(Difference(Part.STATE, "up", "down", link.name))
        change = self._compared(link, address, alone=tunnel.dressed)
        if any(change):
            texts = [", ".join(sorted(map(str, one))) or None for one in change]
            found.append(Difference(Part.ADDRESS, texts[0], texts[1], link.name))
        return found

    def dress(self, tunnel: TunnelLink, *, address: Cidr | None, mtu: int) -> bool:
        """Give the interface an MTU, in bytes, and an address; set it up. See ``TunnelLink``.

        ``address`` None changes no address. Returns whether anything was changed.

        Raises:
            HostError: the interface cannot be read or changed.
        """
        if not tunnel.dressed and not tunnel.addressed:
            return False
        link = self._found(tunnel.link.name)
        changed = False
        if tunnel.dressed and link.mtu != mtu:
            self._links.configure(link, mtu=mtu)
            changed = True
        if not link.up:
            self._links.configure(link, up=True)
            changed = True
        return self._address(link, address, alone=tunnel.dressed) or changed

    def _address(self, link: NetLink, address: Cidr | None, *, alone: bool) -> bool:
        missing, surplus = self._compared(link, address, alone=alone)
        if address is None:
            return False
        record = self._record.read()
        earlier = {one.address for one in record.addresses if one.link == link.name}
        changed = bool(missing or surplus)
        # an interface that has no other address than the agent's has it from an earlier agent, of
        # Kilo perhaps, which leaves no record
        if changed or (alone and address not in earlier):
            given = [one for one in record.addresses if one.link != link.name]
            given.append(GivenAddress(link.name, address))
            self._record.write(replace(record, addresses=tuple(given)))
        self._links.add_addresses(link, missing)
        self._links.remove_addresses(link, surplus)
        return changed

    def _compared(
        self, link: NetLink, address: Cidr | None, *, alone: bool
    ) -> tuple[set[Cidr], set[Cidr]]:
        """Return the addresses to add, and those to remove."""
        if address is None:
            return set(), set()
        present = self._links.addresses(link)
        earlier = {one.address for one in self._record.read().addresses if one.link == link.name}
        surplus = (present if alone else present & earlier) - {address}
        return {address} - present, surplus

    def clean_up(self, failed: Callable[[str, KgctlError], None]) -> None:
        """Remove the address that an agent gave, and the link if an agent created it.

        What the record names counts, so also what a killed agent left. Linux never deletes the
        ``tunl0`` that comes with the module ipip: that is set down.
        """
        try:
            record = self._record.read()
            for given in record.addresses:
                link = self._links.find(given.link)
                if link is not None:
                    self._links.remove_addresses(link, [given.address])
            for made in record.links:
                if made.name == IPIP:
                    self._delete(made)
            links = tuple(one for one in record.links if one.name != IPIP)
            self._record.write(replace(record, addresses=(), links=links))
        except KgctlError as error:
            failed("remove the tunnel interface", error)

    def _delete(self, made: MadeLink) -> None:
        link = self._links.find(made.name)
        if link is None or made.number not in (0, link.index):
            return
        self._links.delete(link)
        left = self._links.find(made.name)
        if left is not None and left.index == link.index:
            self._links.configure(left, up=False)

    def _create(self) -> NetLink:
        self._note(MadeLink(IPIP))
        try:
            create_ipip()
        except KgctlError:
            self._note(None)
            raise
        link = self._found(IPIP)
        self._note(MadeLink(IPIP, link.index))
        return link

    def _found(self, name: str) -> NetLink:
        link = self._links.find(name)
        if link is None:
            raise InterfaceGoneError(f"the interface {name} is gone")
        return link

    def _note(self, made: MadeLink | None) -> None:
        record = self._record.read()
        others = [one for one in record.links if one.name != IPIP]
        self._record.write(replace(record, links=(*others, *(() if made is None else (made,)))))


def create_ipip() -> None:
    """Create the interface of IP in IP; loading its module may have created it already.

    Raises:
        NoTunnelError: the kernel has no IP in IP.
        HostError: the kernel refused it.
    """
    with closing(open_netlink()) as netlink, told(f"create the interface {IPIP}"):
        try:
            netlink.link("add", ifname=IPIP, kind="ipip")
        except Exception as error:
            code = errno_of(error)
            if code in _NO_IPIP:
                raise NoTunnelError(
                    f"cannot create the interface {IPIP}: this kernel has no IP in IP; load the "
                    "module ipip (modprobe ipip), or turn encapsulation off",
                    field="encapsulation",
                ) from error
            if code != errno.EEXIST:
                raise
