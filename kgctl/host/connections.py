"""Where the connections of this very process go."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kgctl.mesh.cidr import parse_address

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Address

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def remote_addresses() -> frozenset[Address]:
    """Return the addresses at the other ends of this process' TCP connections.

    They are what it really talks to, whatever a name stands for by now.
    """
    found = map(_remote_address, list(Path("/proc/self/fd").iterdir()))
    return frozenset(one for one in found if one is not None)


def _remote_address(descriptor: Path) -> Address | None:
    """Return where a file descriptor is connected to; None where it is no TCP connection."""
    with suppress(OSError):  # another thread closes what was listed
        if not str(descriptor.readlink()).startswith("socket:"):
            return None
        with socket.socket(fileno=os.dup(int(descriptor.name))) as found:
            if found.family in _FAMILIES and found.type == socket.SOCK_STREAM:
                return parse_address(str(found.getpeername()[0]).partition("%")[0])
    return None
