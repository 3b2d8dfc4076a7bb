"""The identity of this host in the network: its key, its addresses and its Peer object.

The Peer is found or created; kgctl deletes a Peer that it created when the session ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from kgctl.errors import KgctlError, NotFoundError
from kgctl.kilo import API_VERSION
from kgctl.mesh.cidr import Cidr, parse_cidr
from kgctl.mesh.key import PublicKey
from kgctl.mesh.peer import InvalidPeer, Peer, is_own_address
from kgctl.mesh.text import printable
from kgctl.state.peer_objects import peer_of
from kgctl.wireguard.conf import require_mtu
from kgctl.wireguard.keys import PrivateKey, read_private_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kgctl.connect.interface import Options
    from kgctl.host.record import Record
    from kgctl.wireguard.device import DeviceState


class MembershipError(KgctlError):
    """The Peer of this name belongs to somebody else."""


class PeerStore(Protocol):
    """Access to Peer objects; see ``kgctl.state.peers.PeerObjects``."""

    def get(self, name: str) -> dict[str, Any]:
        """Return the object, or raise ``NotFoundError``."""
        ...

    def create(self, peer: Mapping[str, Any]) -> dict[str, Any]:
        """Create the object, and return it as stored."""
        ...

    def patch(self, name: str, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Apply a merge patch to the object, and return it as stored."""
        ...

    def delete(self, name: str, *, uid: str | None = None) -> None:
        """Delete the object, if it has that uid."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The values to create a Peer from. ``keepalive`` is in seconds."""

    name: str
    allowed_ips: tuple[Cidr, ...]
    public_key: PublicKey
    keepalive: int

    def manifest(self) -> dict[str, Any]:
        """Return the Peer object to create."""
        return {
            "apiVersion": API_VERSION,
            "kind": "Peer",
            "metadata": {"name": self.name},
            "spec": {
                "allowedIPs": [str(cidr) for cidr in self.allowed_ips],
                "persistentKeepalive": self.keepalive,
                "publicKey": str(self.public_key),
            },
        }


class Membership:
    """This host's Peer object. ``ours``: kgctl created it, now or before it was killed."""

    def __init__(self, store: PeerStore, name: str, *, known_key: str = "") -> None:
        self._store = store
        self.name = name
        self._known_key = known_key
        self.ours = False

    def find(self) -> Peer | None:
        """Return the Peer of this name as stored, or None.

        Raises:
            MembershipError: the Peer is invalid.
            kgctl.ClusterError: the Peer cannot be read.
        """
        try:
            found = peer_of(self._store.get(self.name))
        except NotFoundError as error:
            if error.reason == "NotFound":
                return None
            raise
        if isinstance(found, InvalidPeer):
            raise MembershipError(
                f'the Peer "{printable(self.name)}" is invalid: {", ".join(found.problems)}; '
                "correct it or delete it"
            )
        if self._known_key and str(found.public_key) == self._known_key:
            self.ours = True
        return found

    def knows(self, public_key: PublicKey) -> bool:
        """Return whether this is the key of a killed kgctl."""
        return str(public_key) == self._known_key

    def join(self, found: Peer | None, application: Application) -> bool:
        """Ensure that the Peer exists with this host's key; return whether it was created.

        The Peer of a killed kgctl gets the new key. A Peer that somebody else created with another
        key stays unchanged.

        Raises:
            MembershipError: the Peer has another key.
            kgctl.ClusterError: the Peer cannot be created.
        """
        if found is None:
            self.ours = True  # before the request: an interrupted create may have succeeded
            self._store.create(application.manifest())
            return True
        self.check(found, application)
        if found.public_key != application.public_key:
            self._store.patch(self.name, {"spec": {"publicKey": str(application.public_key)}})
        return False

    def check(self, found: Peer, application: Application) -> None:
        """Check that the existing Peer can belong to this host.

        Raises:
            MembershipError: the Peer has another key, and kgctl did not create it.
        """
        if found.public_key != application.public_key and not self.ours:
            raise MembershipError(_foreign(found, application), field="private_key")

    def leave(self, public_key: PublicKey, store: PeerStore | None = None) -> bool:
        """Delete the Peer if it is ours and still has that key; return whether it was deleted.

        ``store`` is another access to it, with shorter timeouts.

        Raises:
            kgctl.ClusterError: the Peer cannot be deleted.
        """
        if not self.ours:
            return False
        store = store or self._store
        try:
            stored = store.get(self.name)
            found = peer_of(stored)
            if not isinstance(found, Peer) or found.public_key != public_key:
                return False
            store.delete(self.name, uid=str(stored["metadata"].get("uid") or "") or None)
        except NotFoundError:
            return False
        return True


def _foreign(found: Peer, application: Application) -> str:
    name = printable(application.name)
    return (
        f'the Peer "{name}" exists, and its public key {found.public_key} is not that of '
        f"the private key here ({application.public_key}): join under another name "
        f"(kgctl connect NAME), delete it (kubectl delete peer {name}), or give its key"
    )


DEFAULT_ADDRESS = "10.10.10.10/32"
"""The allowed IP of a new Peer, as in the reference."""


class RejectedError(MembershipError):
    """Somebody changed the key of this host's Peer: nodes no longer answer this host.

    ``final`` means that this host has no way to get the new private key.
    """

    def __init__(self, text: str, *, final: bool) -> None:
        super().__init__(text, field="private_key" if final else "")
        self.final = final


Said = tuple[str, dict[str, object]]


@dataclass(frozen=True, slots=True)
class Identity:
    """This host's key, and its Peer: the existing one (``found``) or the one to create.

    ``generated`` means that the key is new and known to nobody yet. ``stale`` is a Peer of another
    name that a killed kgctl left, and its key.
    """

    private_key: PrivateKey
    application: Application
    membership: Membership
    found: Peer | None
    addresses: tuple[Cidr, ...]
    generated: bool = False
    stale: tuple[Membership, PublicKey] | None = None

    def enter(self) -> Iterator[Said]:
        """Ensure that the Peer exists; yield what was done, for the log.

        Raises:
            KgctlError: the Peer has another key, or cannot be created.
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
        """Create the Peer again; yield what was done, for the log.

        Raises:
            KgctlError: the Peer cannot be created.
        """
        if self.membership.join(self.membership.find(), self.application):
            yield "created the peer again: it was deleted", {"peer": self.application.name}

    def with_key_of_peer(self, file: Path | None) -> Identity:
        """Return the identity after the Peer's key changed.

        The Peer is read again, since the copy may be old. If its key differs, it must be the key
        in ``file``, which may have changed as well.

        Raises:
            RejectedError: the file does not have the Peer's key, or there is no file.
            KgctlError: the Peer or the file cannot be read.
        """
        found = self.membership.find()
        own = self.application.public_key
        if found is None or found.public_key in (own, None):
            return self
        assert found.public_key is not None
        if self.membership.knows(found.public_key):  # an old state of the cluster was restored
            self.membership.join(found, self.application)
            return self
        if file is not None:
            private_key = _key_in(file)
            if private_key.public_key() == found.public_key:
                application = replace(self.application, public_key=found.public_key)
                return replace(self, private_key=private_key, application=application)
        raise RejectedError(_rejected(found, own, file), final=file is None)

    def leave(self, store: PeerStore) -> bool:
        """Delete the Peer if it is ours; return whether it was deleted.

        Raises:
            KgctlError: the Peer cannot be deleted.
        """
        if not self.membership.ours:
            return False
        return self.membership.leave(self.application.public_key, store)


def _rejected(found: Peer, own: PublicKey, file: Path | None) -> str:
    name = printable(found.name)
    text = (
        f'the public key of the Peer "{name}" changed to {found.public_key}; nodes no longer '
        f"answer this host's key ({own})"
    )
    if file is None:
        return f"{text}: connect again and give the new private key"
    where = printable(str(file))
    return f"{text}: put the new private key into {where}; kgctl uses it at once"


def establish(
    options: Options, store: PeerStore, record: Record | None, leftover: DeviceState | None
) -> Identity:
    """Return the identity of this host, without changing anything.

    The private key is that of the file; else that of the device that a killed kgctl left; else a
    new one, which is never written to disk.

    Raises:
        KgctlError: the key cannot be read, the Peer is invalid, or the MTU is too small for the
            addresses.
    """
    known = record.peer_key if record is not None and record.peer == options.name else ""
    membership = Membership(store, options.name, known_key=known)
    found = membership.find()
    kept = _private_key(options, leftover)
    private_key = PrivateKey.generate() if kept is None else kept
    addresses = _addresses(options, found)
    require_mtu(options.mtu, addresses)
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


def _key_in(file: Path) -> PrivateKey:
    """Return the key of a file as the device holds it; else each look finds a key to set again."""
    return read_private_key(file).clamped()


def _private_key(options: Options, leftover: DeviceState | None) -> PrivateKey | None:
    """Return the key of the file or of the leftover device, or None."""
    if options.private_key is not None:
        return _key_in(options.private_key)
    return None if leftover is None else leftover.private_key


def _addresses(options: Options, found: Peer | None) -> tuple[Cidr, ...]:
    """Return the address of the options; else the Peer's allowed IPs that can be addresses."""
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
    """Return the Peer of another name that a killed kgctl created, and its key."""
    if record is None or not record.peer or record.peer == options.name:
        return None
    key = PublicKey.parse(record.peer_key)
    if key is None:
        return None
    membership = Membership(store, record.peer)
    membership.ours = True
    return membership, key
