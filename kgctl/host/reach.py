"""With which address this machine would send somewhere."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from kgctl.mesh.cidr import parse_address

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Address

_DISCARD = 9  # any port: nothing is sent


def source_towards(address: Address) -> Address | None:
    """Return the address that the kernel would choose; None where it has no route there."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), _DISCARD))
            return parse_address(str(probe.getsockname()[0]))
    except OSError:  # a kernel without IPv6 has no such socket
        return None
