"""Changes that others make to a node's routes, policy rules and interfaces, as they happen.

The kernel reports each change to those who listen (rtnetlink(7)). It reports no IPv4 route that
goes with an interface: so the interfaces themselves count.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from kgctl.host.netlink import attributes, told
from kgctl.host.policy_rules import is_of_table
from kgctl.host.route_messages import MAIN, read_route
from kgctl.mesh.agent_plan import STATIC, TABLE
from kgctl.steady import steady

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

REST = 0.05
"""Seconds without a change that end a burst."""

LONGEST = 1.0
"""Seconds after which a burst is reported though it goes on."""

_HEADER = struct.Struct("=LHHLL")  # nlmsghdr: length, type, flags, number, port
_LINK = struct.Struct("=BxHiLL")  # ifinfomsg: family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBi")  # ifaddrmsg: family, prefix length, flags, scope, index
_NEW_LINK, _DEL_LINK, _NEW_ADDRESS, _DEL_ADDRESS = 16, 17, 20, 21
_NEW_ROUTE, _DEL_ROUTE, _NEW_RULE, _DEL_RULE = 24, 25, 32, 33
_NAME = 3  # IFLA_IFNAME
# RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE, IPV6_RULE
_GROUPS = sum(1 << group - 1 for group in (1, 5, 7, 8, 9, 11, 19))
_BUFFER = 1 << 20


class ChangeWatcher:
    """Calls ``changed`` in a thread of its own, once for each burst of changes by others.

    ``changed`` must not raise. ``devices`` are the interfaces that count. Changes of the netlink
    ports that ``own_ports`` returns do not; the kernel marks no change to IPv6 addresses, nor,
    before Linux 6.0, to links, so after such a change of its own a caller is told once too often.
    """

    def __init__(
        self,
        changed: Callable[[], None],
        devices: Collection[str],
        own_ports: Callable[[], Collection[int]] = frozenset,
        rest: float = REST,
    ) -> None:
        self._changed = changed
        self._own_ports = own_ports
        self._rest = rest
        self._relevance = _Relevance(devices)
        with told("listen to changes of this machine's network"):
            self._socket = _listening()
        self._stopping, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run, name="changes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, which calls ``changed`` no more then. Do not call it from there."""
        os.write(self._stop, b"\0")
        self._thread.join()
        self._socket.close()
        os.close(self._stopping)
        os.close(self._stop)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._stopping, selectors.EVENT_READ)
            while self._wait(selector, None):
                if not self._relevant():
                    continue
                latest = steady() + LONGEST
                while steady() < latest:
                    if self._wait(selector, self._rest) is False:
                        return
                    if not self._relevant():
                        break
                self._changed()

    def _wait(self, selector: selectors.BaseSelector, seconds: float | None) -> bool:
        """Wait for a change; return False if this is to end."""
        ready = selector.select(seconds)
        return all(key.fileobj is self._socket for key, _ in ready)

    def _relevant(self) -> bool:
        """Read what is there; return whether any of it counts."""
        found = False
        own = self._own_ports()
        while True:
            try:
                data = self._socket.recv(_BUFFER, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    return found
                found = True  # there were too many changes: any may have been among them
                continue
            for kind, port, body in _messages(data):
                found = found or (port not in own and self._relevance(kind, body))


def _listening() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    try:
        with suppress(OSError):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        made.bind((0, _GROUPS))
    except BaseException:
        made.close()
        raise
    return made


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield type, port of who made the change, and body of each message."""
    at = 0
    while at + _HEADER.size <= len(data):
        size, kind, _, _, port = _HEADER.unpack_from(data, at)
        if size < _HEADER.size:
            return
        yield kind, port, data[at + _HEADER.size : at + size]
        at += size + -size % 4


class _Relevance:
    """Decides which changes concern an agent: not those of pods, and of other routing daemons."""

    def __init__(self, devices: Collection[str]) -> None:
        self._devices = frozenset(devices)

    def __call__(self, kind: int, body: bytes) -> bool:
        """Return whether a message counts."""
        if kind in (_NEW_ROUTE, _DEL_ROUTE):
            return _is_agents_route(body)
        if kind in (_NEW_RULE, _DEL_RULE):
            return is_of_table(body)
        if kind in (_NEW_LINK, _DEL_LINK):
            return self._is_link(body)
        return kind in (_NEW_ADDRESS, _DEL_ADDRESS) and self._is_address(body)

    def _is_link(self, body: bytes) -> bool:
        name = attributes(body[_LINK.size :]).get(_NAME, b"")
        return name.rstrip(b"\0").decode("utf-8", "replace") in self._devices

    def _is_address(self, body: bytes) -> bool:
        if len(body) < _ADDRESS.size:
            return False
        try:
            return socket.if_indextoname(_ADDRESS.unpack_from(body)[4]) in self._devices
        except (OSError, OverflowError):  # it is gone, of which its own message tells
            return False


def _is_agents_route(body: bytes) -> bool:
    """Return whether a route may be an agent's."""
    route = read_route(body)
    if route is None:
        return False
    return route.table == TABLE or (route.table, route.protocol) == (MAIN, STATIC)
