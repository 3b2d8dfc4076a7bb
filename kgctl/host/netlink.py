"""Netlink sockets, and the conversion of their errors."""

from __future__ import annotations

import errno
import os
import socket
import struct
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from kgctl.errors import HostError, InterfaceGoneError, PrivilegeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_GONE = (errno.ENODEV, errno.ENXIO)
_NOT_ALLOWED = (errno.EPERM, errno.EACCES)

_MESSAGE = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_GENERIC = struct.Struct("=BBxx")  # command, version
_CODE = struct.Struct("=i")
_ATTRIBUTE = struct.Struct("=HH")  # length with this header, type
_TYPE = 0x3FFF  # the other two bits are flags
_FAMILY_ID = struct.Struct("=H")
_NETLINK_GENERIC = 16
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP, _NLM_F_DUMP_INTR = 0x1, 0x4, 0x300, 0x10
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_GET_STRICT_CHK = 270, 10, 12
_CTRL, _CTRL_CMD_GETFAMILY, _CTRL_VERSION = 16, 3, 1
_CTRL_ATTR_FAMILY_ID, _CTRL_ATTR_FAMILY_NAME = 1, 2
_SECONDS = 10.0
_BUFFER = 1 << 18  # the kernel fills at most 32 KiB at once


def open_netlink() -> Any:
    """Return pyroute2's ``IPRoute`` on a socket of its own; the caller closes it."""
    from pyroute2.iproute.linux import IPRoute

    return IPRoute()


class Netlink:
    """A netlink socket of a ``protocol``, which requests and reads one thing after the other.

    pyroute2 decodes each attribute into a tree of objects, in 18 times the time for a device with
    2,000 peers, and hides the flag NLM_F_DUMP_INTR. Protocol: netlink(7).
    """

    def __init__(self, protocol: int) -> None:
        self._number = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._socket.settimeout(_SECONDS)
        self._set_option(_NETLINK_CAP_ACK)  # an answer does not repeat the request
        self._set_option(_NETLINK_GET_STRICT_CHK)  # a dump is filtered, since Linux 4.20

    def _set_option(self, option: int) -> None:
        with suppress(OSError):  # an older kernel
            self._socket.setsockopt(_SOL_NETLINK, option, 1)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def dump(self, kind: int, body: bytes) -> tuple[list[bytes], bool]:
        """Return the bodies of a dump's messages, and whether the kernel calls it consistent.

        It does not if the objects changed while they were read.

        Raises:
            OSError: the kernel refused the request, or does not answer.
        """
        self._send(kind, _NLM_F_REQUEST | _NLM_F_DUMP, body)
        return self._answers()

    def request(self, kind: int, body: bytes) -> list[bytes]:
        """Send a request, and return the bodies of its answers.

        Raises:
            OSError: the kernel refused the request, or does not answer.
        """
        self._send(kind, _NLM_F_REQUEST | _NLM_F_ACK, body)
        return self._answers()[0]

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._number = self._number % 0xFFFF_FFFF + 1
        size = _MESSAGE.size + len(body)
        self._socket.send(_MESSAGE.pack(size, kind, flags, self._number, 0) + body)

    def _answers(self) -> tuple[list[bytes], bool]:
        answers: list[bytes] = []
        whole = True
        while True:
            for kind, flags, number, body in _messages(self._socket.recv(_BUFFER)):
                if number != self._number:
                    continue  # an answer that an earlier request did not wait for
                whole = whole and not flags & _NLM_F_DUMP_INTR
                if kind in (_NLMSG_ERROR, _NLMSG_DONE):
                    code = -_CODE.unpack_from(body)[0] if len(body) >= _CODE.size else 0
                    if code:
                        raise OSError(code, os.strerror(code))
                    return answers, whole
                answers.append(body)


def _messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield type, flags, number and body of each message."""
    at = 0
    while at + _MESSAGE.size <= len(data):
        size, kind, flags, number, _ = _MESSAGE.unpack_from(data, at)
        yield kind, flags, number, data[at + _MESSAGE.size : at + size]
        at += max(_MESSAGE.size, size + -size % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """Return the attributes of a message by their types; the last one of a type counts.

    Malformed data, which the kernel never sends, ends the reading.
    """
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, at)
        if size < _ATTRIBUTE.size:
            break
        found[kind & _TYPE] = data[at + _ATTRIBUTE.size : at + size]
        at += size + -size % 4
    return found


class GenericSocket:
    """A socket of a generic netlink ``family``, of which it uses the ``version``.

    Raises:
        OSError: the kernel has no such family.
    """

    def __init__(self, family: str, version: int) -> None:
        self._version = version
        self._netlink = Netlink(_NETLINK_GENERIC)
        name = family.encode() + b"\0"
        size = _ATTRIBUTE.size + len(name)
        wanted = _ATTRIBUTE.pack(size, _CTRL_ATTR_FAMILY_NAME) + name + bytes(-size % 4)
        try:
            (answer,) = self._netlink.request(
                _CTRL, _GENERIC.pack(_CTRL_CMD_GETFAMILY, _CTRL_VERSION) + wanted
            )
        except BaseException:
            self._netlink.close()
            raise
        found = attributes(answer[_GENERIC.size :])
        (self._kind,) = _FAMILY_ID.unpack(found[_CTRL_ATTR_FAMILY_ID])

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()

    def dump(self, command: int, body: bytes) -> tuple[list[bytes], bool]:
        """Return the attributes of a dump's messages; see ``Netlink.dump``."""
        answers, whole = self._netlink.dump(self._kind, self._head(command) + body)
        return [answer[_GENERIC.size :] for answer in answers], whole

    def request(self, command: int, body: bytes) -> None:
        """Send a request; see ``Netlink.request``."""
        self._netlink.request(self._kind, self._head(command) + body)

    def _head(self, command: int) -> bytes:
        return _GENERIC.pack(command, self._version)


def errno_of(error: BaseException | None) -> int:
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
    from pyroute2.netlink.exceptions import NetlinkDecodeError, NetlinkError

    try:
        yield
    except (struct.error, OverflowError) as error:  # pyroute2 packs what it is given as it is
        raise HostError(f"cannot {what}: a number is too large for the kernel's message") from error
    except NetlinkDecodeError as error:
        raise HostError(f"cannot {what}: pyroute2 cannot read the kernel's answer") from error
    except (NetlinkError, OSError) as error:
        code = errno_of(error)
        text = f"cannot {what}: {os.strerror(code) if code else error}"
        if code in _NOT_ALLOWED:
            raise PrivilegeError(f"{text}; CAP_NET_ADMIN is required") from error
        raise (InterfaceGoneError if code in _GONE else HostError)(text) from error
