"""Who this host is in the network: its key, its Peer, its addresses.

The Peer object of this host: found or created, and deleted again where it was created.
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
from kgctl.wireguard.keys import PrivateKey, read_private_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kgctl.connect.interface import Options
    from kgctl.host.record import Record
    from kgctl.wireguard.device import DeviceState


class MembershipError(KgctlError):
    """There is a Peer of our name, and it is not ours."""


class PeerStore(Protocol):
    """Where Peer objects are kept; see ``kgctl.state.peers.PeerObjects``."""

    def get(self, name: str) -> dict[str, Any]:
        """Return the object, or raise ``NotFoundError``."""
        ...

    def create(self, peer: Mapping[str, Any]) -> dict[str, Any]:
        """Create it, and return it as it is stored."""
        ...

    def patch(self, name: str, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Change it by a merge patch, and return it as it is stored."""
        ...

    def delete(self, name: str, *, uid: str | None = None) -> None:
        """Delete it, if it is the one of that uid."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What a Peer is created from. ``keepalive`` is in seconds."""

    name: str
    allowed_ips: tuple[Cidr, ...]
    public_key: PublicKey
    keepalive: int

    def manifest(self) -> dict[str, Any]:
        """Return the Peer object to be created."""
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
    """Our Peer object. ``ours`` says that kgctl created it, now or before it was killed."""

    def __init__(self, store: PeerStore, name: str, *, known_key: str = "") -> None:
        self._store = store
        self.name = name
        self._known_key = known_key
        self.ours = False

    def find(self) -> Peer | None:
        """Return the Peer of our name as it is stored; None where there is none.

        Raises:
            MembershipError: it is invalid.
            kgctl.ClusterError: it cannot be read.
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
        """Tell whether that is the key of the kgctl that was killed."""
        return str(public_key) == self._known_key

    def join(self, found: Peer | None, application: Application) -> bool:
        """See to it that the Peer is there, with our key; tell whether it was created.

        A Peer that was left over from a kgctl that was killed gets the new key. One that somebody
        else made with another key is left alone.

        Raises:
            MembershipError: the Peer has another key.
            kgctl.ClusterError: it cannot be created.
        """
        if found is None:
            self.ours = True  # from here on: a create that broke off may have been carried out
            self._store.create(application.manifest())
            return True
        self.check(found, application)
        if found.public_key != application.public_key:
            self._store.patch(self.name, {"spec": {"publicKey": str(application.public_key)}})
        return False

    def check(self, found: Peer, application: Application) -> None:
        """Make sure that the Peer that is there can be ours.

        Raises:
            MembershipError: it has another key, and kgctl did not create it.
        """
        if found.public_key != application.public_key and not self.ours:
            raise MembershipError(_foreign(found, application), field="private_key")

    def leave(self, public_key: PublicKey, store: PeerStore | None = None) -> bool:
        """Delete the Peer if it is ours and still has that key; tell whether it was deleted.

        ``store`` is another way to it, with less patience.

        Raises:
            kgctl.ClusterError: it cannot be deleted.
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
        f'there is a Peer "{name}" already, and its public key {found.public_key} is not that of '
        f"the private key here ({application.public_key}): join under another name "
        f"(kgctl connect NAME), delete it (kubectl delete peer {name}), or give its key"
    )


DEFAULT_ADDRESS = "10.10.10.10/32"
"""The allowed IP of a Peer that is created, as in the reference."""


class RejectedError(MembershipError):
    """Somebody gave our Peer another key: no node answers this host any more.

    ``final`` says that the private key for it cannot come to us.
    """

    def __init__(self, text: str, *, final: bool) -> None:
        super().__init__(text, field="private_key" if final else "")
        self.final = final


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

    def with_key_of_peer(self, file: Path | None) -> Identity:
        """Return who this host is now that another key was read of its Peer.

        The Peer is read again: what was read of it may be old. Where it has another key, that has
        to be the one in ``file``, which may have changed as well.

        Raises:
            RejectedError: it is not.
            KgctlError: the Peer cannot be read, or the file.
        """
        found = self.membership.find()
        own = self.application.public_key
        if found is None or found.public_key in (own, None):
            return self
        assert found.public_key is not None
        if self.membership.knows(found.public_key):  # an old state of the cluster is back
            self.membership.join(found, self.application)
            return self
        if file is not None:
            private_key = read_private_key(file).clamped()
            if private_key.public_key() == found.public_key:
                application = replace(self.application, public_key=found.public_key)
                return replace(self, private_key=private_key, application=application)
        raise RejectedError(_rejected(found, own, file), final=file is None)

    def leave(self, store: PeerStore) -> bool:
        """Delete the Peer if it is ours; tell whether it was deleted.

        Raises:
            KgctlError: it cannot be deleted.
        """
        if not self.membership.ours:
            return False
        return self.membership.leave(self.application.public_key, store)


def _rejected(found: Peer, own: PublicKey, file: Path | None) -> str:
    name = printable(found.name)
    text = (
        f'the Peer "{name}" was given another public key, {found.public_key}; nodes do not answer '
        f"the one of this host ({own}) any more"
    )
    if file is None:
        return f"{text}: connect again, and give the new private key"
    where = printable(str(file))
    return f"{text}: put the new private key into {where}, from where it is taken at once"


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
        # as the device holds it, or it would be another one at every look, and set again
        return read_private_key(options.private_key).clamped()
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
