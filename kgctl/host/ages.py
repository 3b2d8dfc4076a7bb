"""How old handshakes are, whatever somebody does to this host's clock."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from kgctl.steady import steady

if TYPE_CHECKING:
    from kgctl.host.interface import Device
    from kgctl.mesh.key import PublicKey
    from kgctl.wireguard.device import DeviceChange, DeviceState

_SLACK = 1.0
"""Seconds by which clocks differ that nobody has set."""


class _Seen(NamedTuple):
    """A handshake as the device tells it, and when it was by a clock that nobody sets."""

    told: float
    steady: float


class HandshakeAges:
    """Follows the handshakes of a device, which it tells in Unix seconds of this host's clock.

    A clock that is put right makes them seem hours old, or of the future.
    """

    def __init__(self) -> None:
        self._seen: dict[PublicKey, _Seen] = {}
        self._looked = float("-inf")

    def corrected(self, state: DeviceState, steady: float, unix: float) -> DeviceState:
        """Return the state with each handshake as long before ``unix`` as it really was.

        ``steady`` is now by a clock that nobody sets. A handshake that is new since the last look
        is not older than that.
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
    """A device whose handshakes are as old as they really are; a ``Device``."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._ages = HandshakeAges()

    def read(self) -> DeviceState:
        """Return its state; see ``Device``."""
        return self._ages.corrected(self._device.read(), steady(), time.time())

    def apply(self, change: DeviceChange) -> None:
        """Carry out a change; see ``Device``."""
        self._device.apply(change)
