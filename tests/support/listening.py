"""An imitation of how Kilo's agent sees Peers: the last valid state of each, by key."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from kgctl.mesh.peer import InvalidPeer, Peer
from kgctl.state.peer_objects import peer_of

if TYPE_CHECKING:
    from tests.support.living import LivingTransport
    from tests.support.memory import Request


class Listener:
    """An agent that watches ``server``; ``known`` are the peers of its device, by public key."""

    def __init__(self, server: LivingTransport) -> None:
        self.known: dict[str, Peer] = {}
        self._server = server
        self._last: dict[str, dict[str, Any]] = {}
        server.after = self._after
        self.look()

    def _after(self, request: Request) -> None:
        if request.method != "GET":
            self.look()

    def look(self) -> None:
        """Process the changes since the last call, as events of a watch."""
        now = copy.deepcopy(self._server.peers)
        for name in self._last.keys() | now.keys():
            old, new = self._last.get(name), now.get(name)
            if old != new:
                self._hear(_valid(old), _valid(new), added=old is None, deleted=new is None)
        self._last = now

    def _hear(self, old: Peer | None, new: Peer | None, *, added: bool, deleted: bool) -> None:
        if deleted:
            if old is not None:
                self.known.pop(str(old.public_key), None)
        elif new is not None and (added or old is not None):
            if old is not None and old.public_key != new.public_key:
                self.known.pop(str(old.public_key), None)
            self.known[str(new.public_key)] = new


def _valid(peer: dict[str, Any] | None) -> Peer | None:
    if peer is None:
        return None
    found = peer_of(peer)
    if isinstance(found, InvalidPeer) and found.only_kilo_accepts_it:
        found = peer_of({**peer, "spec": {**peer["spec"], "persistentKeepalive": 1}})
    return found if isinstance(found, Peer) else None
