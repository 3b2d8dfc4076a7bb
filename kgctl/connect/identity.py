"""Who this host is in the network: its key, its Peer, its addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kgctl.connect.membership import Application, Membership
from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.key import PublicKey
from kgctl.mesh.peer import is_own_address
from kgctl.wireguard.keys import PrivateKey, read_private_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.connect.interface import Options
    from kgctl.connect.membership import PeerStore
    from kgctl.host.record import Record
    from kgctl.mesh.peer import Peer
    from kgctl.wireguard.device import DeviceState

DEFAULT_ADDRESS = "10.10.10.10/32"
"""The allowed IP of a Peer that is created, as in the reference."""

Said = tuple[str, dict[str, object]]


@dataclass(frozen=True, slots=True)
class Identity:
    """This host's key, and the Peer that is there (``found``) or is to be created.

    ``generated`` says that the key is a new one, known to nobody yet. ``stale`` is a Peer of
    another name, and its key, that a kgctl that was killed has left.
    """

    private_key: PrivateKey
    application: Application
    membership: Membership
    found: Peer | None
    addresses: tuple[Cidr, ...]
    generated: bool = False
    stale: tuple[Membership, PublicKey] | None = None

    def enter(self) -> Iterator[Said]:
        """See to it that the Peer is there; yield what was done, to be logged.

        Raises:
            KgctlError: there is a Peer of another key, or it cannot be created.
        """
        if self.stale is not None:
            membership, public_key = self.stale
            if membership.leave(public_key):
                yield "deleted the peer of a kgctl that was killed", {"peer": membership.name}
        if self.membership.join(self.found, self.application):
            yield "created peer", {"peer": self.application.name}
        elif self.membership.ours:
            yield "took over the peer of a kgctl that was killed", {"peer": self.application.name}

    def enter_again(self) -> Iterator[Said]:
        """Create the Peer again; yield what was done, to be logged.

        Raises:
            KgctlError: it cannot be created.
        """
        if self.membership.join(self.membership.find(), self.application):
            yield "the peer was deleted, created it again", {"peer": self.application.name}

    def leave(self, store: PeerStore) -> bool:
        """Delete the Peer if it is ours; tell whether it was deleted.

        Raises:
            KgctlError: it cannot be deleted.
        """
        if not self.membership.ours:
            return False
        return self.membership.leave(self.application.public_key, store)


def establish(
    options: Options, store: PeerStore, record: Record | None, leftover: DeviceState | None
) -> Identity:
    """Find out who this host is to be. Nothing is changed yet.

    The private key is the file's; else that of the device that a killed kgctl has left; else a
    new one, which is never written to a disk.

    Raises:
        KgctlError: the key cannot be read, or the Peer is invalid.
    """
    known = record.peer_key if record is not None and record.peer == options.name else ""
    membership = Membership(store, options.name, known_key=known)
    found = membership.find()
    kept = _private_key(options, leftover)
    private_key = PrivateKey.generate() if kept is None else kept
    addresses = _addresses(options, found)
    application = Application(
        name=options.name,
        allowed_ips=tuple(cidr.masked() for cidr in addresses),
        public_key=private_key.public_key(),
        keepalive=options.keepalive,
    )
    stale = _stale(options, store, record)
    return Identity(
        private_key, application, membership, found, addresses, kept is None, stale=stale
    )


def _private_key(options: Options, leftover: DeviceState | None) -> PrivateKey | None:
    """Return the key that is there; None where there is none."""
    if options.private_key is not None:
        return read_private_key(options.private_key)
    return None if leftover is None else leftover.private_key


def _addresses(options: Options, found: Peer | None) -> tuple[Cidr, ...]:
    """Return the named address; else those of the Peer's allowed IPs that can be one."""
    if options.address is not None:
        return (options.address,)
    own = () if found is None else tuple(filter(is_own_address, found.allowed_ips))
    if own:
        return own
    default = parse_cidr(DEFAULT_ADDRESS)
    assert default is not None
    return (default,)


def _stale(
    options: Options, store: PeerStore, record: Record | None
) -> tuple[Membership, PublicKey] | None:
    """Return the Peer of another name that a kgctl that was killed has created, and its key."""
    if record is None or not record.peer or record.peer == options.name:
        return None
    key = PublicKey.parse(record.peer_key)
    if key is None:
        return None
    membership = Membership(store, record.peer)
    membership.ours = True
    return membership, key
