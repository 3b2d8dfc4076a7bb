"""The kernel's routing socket, and the conversion of its errors."""

from __future__ import annotations

import errno
import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kgctl.errors import HostError, InterfaceGoneError, PrivilegeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_GONE = (errno.ENODEV, errno.ENXIO)
_NOT_ALLOWED = (errno.EPERM, errno.EACCES)


def open_netlink() -> Any:
    """Return pyroute2's ``IPRoute`` on a socket of its own; the caller closes it."""
    from pyroute2.iproute.linux import IPRoute

    return IPRoute()


def errno_of(error: BaseException) -> int:
    """Return the errno of an error of pyroute2 or of the system; 0 if it has none."""
    code = getattr(error, "code", None) or getattr(error, "errno", None)
    return code if isinstance(code, int) else 0


@contextmanager
def told(what: str) -> Iterator[None]:
    """Convert netlink errors to kgctl's: "cannot ``what``", and the reason.

    Raises:
        PrivilegeError: the process lacks the privilege.
        InterfaceGoneError: the link does not exist.
        HostError: any other error.
    """
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except struct.error as error:  # pyroute2 packs what it is given as it is
        raise HostError(f"cannot {what}: a number is too large for the kernel's message") from error
    except (NetlinkError, OSError) as error:
        code = errno_of(error)
        text = f"cannot {what}: {os.strerror(code) if code else error}"
        if code in _NOT_ALLOWED:
            raise PrivilegeError(f"{text}; CAP_NET_ADMIN is required") from error
        raise (InterfaceGoneError if code in _GONE else HostError)(text) from error
