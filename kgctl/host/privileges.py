"""What this process may do to the network of this machine (capabilities(7)).

With which address this machine would send somewhere.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kgctl.errors import HostError, PrivilegeError
from kgctl.mesh.cidr import parse_address

if TYPE_CHECKING:
    from kgctl.mesh.cidr import Address


CAP_NET_ADMIN = 12
"""The one capability that setting up a tunnel takes: links, addresses, routes, WireGuard."""

_STATUS = Path("/proc/self/status")


def has_net_admin(status: Path = _STATUS) -> bool:
    """Tell whether this process has CAP_NET_ADMIN in effect."""
    for line in status.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value, 16) >> CAP_NET_ADMIN & 1)
    return False


def require_linux(platform: str = sys.platform) -> None:
    """Make sure that this is a machine that ``kgctl.host`` knows how to set up.

    Raises:
        HostError: it is another system.
    """
    if platform != "linux":
        raise HostError(
            "connect and status are for Linux; elsewhere join with a file: "
            "kgctl showconf peer NAME -o wg-quick"
        )


def require_net_admin(status: Path = _STATUS) -> None:
    """Make sure that this process may set up a tunnel.

    Raises:
        PrivilegeError: it may not; the message says how it may.
    """
    if not has_net_admin(status):
        raise PrivilegeError(
            "kgctl connect sets up an interface and routes, which takes the capability "
            "CAP_NET_ADMIN and nothing else: run it with sudo, as the systemd unit "
            "kgctl-connect@.service, or in a container (docker run --cap-add NET_ADMIN)",
            field="dry_run",
        )


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
