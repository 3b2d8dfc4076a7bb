"""Runs kgctl as on a kernel without WireGuard, whether or not that of this machine has it.

python -m tests.network.without_wireguard ARGUMENT...

Such a kernel refuses to add a link of the kind ``wireguard``.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

from kgctl.__main__ import main
from kgctl.host import links
from kgctl.host.netlink import open_netlink


class _Socket:
    """A routing socket of a kernel that knows no links of kind ``wireguard``."""

    def __init__(self, netlink: Any) -> None:
        self._netlink = netlink

    def __getattr__(self, name: str) -> Any:
        return getattr(self._netlink, name)

    def link(self, command: str, **request: Any) -> Any:
        """Refuse to add such a link."""
        if command == "add" and request.get("kind") == "wireguard":
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return self._netlink.link(command, **request)


if __name__ == "__main__":
    setattr(links, "open_netlink", lambda: _Socket(open_netlink()))  # noqa: B010 - imported there
    sys.exit(main())
