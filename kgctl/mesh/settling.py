"""What keeps an agent from ever finding its WireGuard device as it wants it.

``kgctl.mesh.comparison`` finds it out.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Cidr
    from kgctl.mesh.endpoint import Endpoint


class Cause(Enum):
    """Why a device can never be as it is wanted."""

    HOST_BITS = "host-bits"
    """WireGuard keeps the network without the bits right of the prefix."""
    TWICE = "twice"
    """WireGuard keeps the network once, at the last of those that claim it."""
    MOVED = "moved"
    """The endpoint is where packets came from, and may not move, for want of a keepalive."""
    CALLS = "calls"
    """There is an endpoint once it calls, and none is wanted, for want of a keepalive."""
    KEY = "key"
    """WireGuard knows a peer by its key: of two with one key there is one, of its own none."""
    KEEPALIVE = "keepalive"
    """WireGuard's keepalive has 16 bits."""


class Owner(NamedTuple):
    """Who brings something into the network: a ``node`` or a ``peer``."""

    kind: str
    name: str


class Leaders(NamedTuple):
    """Leaders whose agents are at it ``now``: how many, and the names of the first.

    ``hidden`` are those that are not yet, as a peer that never connected, ``behind``, ends their
    comparison before. ``total`` is how many leaders the network has.
    """

    now: int
    names: tuple[str, ...]
    hidden: int = 0
    behind: str = ""
    total: int = 0

    @property
    def every(self) -> bool:
        """Whether each leader is at it, or will be."""
        return self.now + self.hidden == self.total


class Unsettled(NamedTuple):
    """Something that some leaders' agents can never see as they want it.

    ``network`` is the one at issue, ``other`` who claims it too, ``seen`` the endpoint that a
    device has.
    """

    cause: Cause
    owner: Owner
    leaders: Leaders
    network: Cidr | None = None
    other: Owner | None = None
    seen: Endpoint | None = None
