"""Clean-up of what a session created: routes, the interface, name resolution and the Peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.errors import HostError, KgctlError
from kgctl.host import names as resolver
from kgctl.host.tunnel import Origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from kgctl.connect.identity import Identity, PeerStore
    from kgctl.connect.journal import Journal
    from kgctl.host.record import RecordFile
    from kgctl.host.tunnel import Tunnel


class Departure:
    """Removes what a session created; logs a step that fails and continues.

    ``farewell`` returns the Peer objects to delete this host's Peer from, with short timeouts.
    """

    def __init__(
        self,
        tunnel: Tunnel,
        file: RecordFile,
        journal: Journal,
        farewell: Callable[[], PeerStore],
    ) -> None:
        self._tunnel = tunnel
        self._file = file
        self._journal = journal
        self._farewell = farewell
        self._whole = True

    def clean_up(self, identity: Identity | None, *, resolving: bool) -> None:
        """Remove routes, the interface and the Peer, and the record if all of these succeed.

        ``resolving`` means that name resolution was set up.
        """
        if self._tunnel.touched:
            if resolving and self._tunnel.origin is Origin.FOUND:  # else it goes with the link
                self._attempt("undo name resolution", lambda: resolver.revert(self._tunnel.name))
            self._attempt("clean up the interface", self._close_tunnel)
        if identity is not None:
            self._attempt("delete the peer", lambda: self._delete_peer(identity))
        if self._whole and not self._is_left():
            self._attempt("remove the record", self._file.remove)

    def _close_tunnel(self) -> None:
        before, self._whole = self._whole, True
        if self._tunnel.close(self._failed) and self._whole:
            self._journal.info("cleaned up the interface and its routes", name=self._tunnel.name)
        self._whole = self._whole and before

    def _delete_peer(self, identity: Identity) -> None:
        if identity.leave(self._farewell()):
            self._journal.info("deleted peer", peer=identity.application.name)

    def _is_left(self) -> bool:
        """Return whether a killed kgctl left an interface."""
        if self._tunnel.touched:
            return False
        try:
            return self._tunnel.leftover() is not None
        except HostError:
            return True

    def _attempt(self, what: str, step: Callable[[], None]) -> None:
        try:
            step()
        except KgctlError as error:
            self._failed(what, error)

    def _failed(self, what: str, error: KgctlError) -> None:
        self._whole = False
        self._journal.error(f"failed to {what}", err=error)
