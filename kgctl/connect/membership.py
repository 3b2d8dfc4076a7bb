"""The Peer object of this host: found or created, and deleted again where it was created."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from kgctl.kilo import API_VERSION
from kgctl.kube.errors import NotFoundError
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.peer import InvalidPeer, Peer
from kgctl.mesh.text import printable
from kgctl.state.peer_objects import peer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.key import PublicKey


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
