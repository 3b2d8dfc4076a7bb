"""Privileges of this process over the network (capabilities(7)), and its source addresses."""

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
"""The only capability that a tunnel needs: for links, addresses, routes and WireGuard."""

_STATUS = Path("/proc/self/status")


def has_net_admin(status: Path = _STATUS) -> bool:
    """Return whether CAP_NET_ADMIN is effective for this process."""
    for line in status.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value, 16) >> CAP_NET_ADMIN & 1)
    return False


def require_linux(platform: str = sys.platform) -> None:
    """Check that ``kgctl.host`` supports this system.

    Raises:
        HostError: the system is not Linux.
    """
    if platform != "linux":
        raise HostError(
            "connect and status need Linux; on other systems join with a file: "
            "kgctl showconf peer NAME -o wg-quick"
        )


def require_net_admin(status: Path = _STATUS) -> None:
    """Check that this process may set up a tunnel.

    Raises:
        PrivilegeError: it may not; the message names the ways to get the privilege.
    """
    if not has_net_admin(status):
        raise PrivilegeError(
            "kgctl connect sets up an interface and routes, which needs only the capability "
            "CAP_NET_ADMIN: run it with sudo, as the systemd unit "
            "kgctl-connect@.service, or in a container (docker run --cap-add NET_ADMIN)",
            field="dry_run",
        )


_DISCARD = 9  # any port: nothing is sent


def source_towards(address: Address) -> Address | None:
    """Return the source address that the kernel chooses for ``address``; None without a route."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), _DISCARD))
            return parse_address(str(probe.getsockname()[0]).partition("%")[0])
    except OSError:  # a kernel without IPv6 has no such socket
        return None
