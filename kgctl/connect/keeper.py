"""Keeps sessions alive across what makes nodes drop them: a turn of the loop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kgctl.connect.renewal import Renewals
from kgctl.connect.rewrites import rewritten
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.text import some

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgctl.connect.journal import Journal
    from kgctl.connect.network import Wanted
    from kgctl.connect.synchroniser import Synchroniser
    from kgctl.host.tunnel import Tunnel
    from kgctl.mesh.key import PublicKey

_NAMED = 5  # nodes in one line of the log


class SessionKeeper:
    """Begins sessions anew that nodes have dropped, as far as that can be known."""

    def __init__(self, tunnel: Tunnel, synchroniser: Synchroniser, journal: Journal) -> None:
        self._tunnel = tunnel
        self._synchroniser = synchroniser
        self._journal = journal
        self._renewals = Renewals()
        self._names: Mapping[PublicKey, str] = {}

    def network_changed(self, before: Wanted, after: Wanted) -> None:
        """Take note of a change of the network."""
        self._names = after.names
        keys = rewritten(before.devices, after.devices)
        self._renewals.rewritten(keys, time.monotonic(), hosts=len(after.devices.peers))

    def changed(self, _now: float) -> None:
        """Ignore an event: the round that it brings says what changed."""

    def wait(self, _now: float) -> float:
        """Return the seconds until there is something to do; infinite where there is nothing."""
        return self._renewals.wait(time.monotonic())

    def run(self) -> None:
        """Look at the device, and begin anew what is dead. A failure is of no matter."""
        try:
            self._look()
        except KgctlError as error:  # the next round says so, if it lasts
            self._journal.debug("failed to restart sessions", err=error)

    def _look(self) -> None:
        device = self._tunnel.device
        try:
            state = device.read()
        except KgctlError:
            self._renewals.stop()
            raise
        peers = self._renewals.look(state, time.monotonic(), time.time())
        if peers:
            self._synchroniser.renew(device, state, peers)
            named = [self._names.get(one.public_key, str(one.public_key)) for one in peers]
            self._journal.info("restarted sessions", peers=some(named, _NAMED))
