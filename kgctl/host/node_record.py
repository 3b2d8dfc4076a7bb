"""The record file of a node's agent: what it made and changed on this machine.

It is written before each change. After ``kill -9``, the next start reads what is left, and removes
or restores it. In a container, its directory has to be one of the host.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from kgctl.host.host_routes import HostRoute
from kgctl.host.record import NODE_RECORD, OwnFile
from kgctl.mesh.cidr import Cidr, parse_address, parse_cidr

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


_NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})


class MadeLink(NamedTuple):
    """A link that the agent created; ``number`` 0: it was killed before it knew the index."""

    name: str
    number: int = 0


class GivenAddress(NamedTuple):
    """An address that the agent gave to a link."""

    link: str
    address: Cidr


class ChangedSysctl(NamedTuple):
    """A kernel parameter that the agent changed, with its value before and after."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """What an agent made and changed. ``routes`` are those on the private interface.

    ``settings`` are the agent's, as ``kgctl.agent.recorded`` writes them; empty after an agent that
    undid everything.
    """

    interface: str
    pid: int = 0
    links: tuple[MadeLink, ...] = ()
    addresses: tuple[GivenAddress, ...] = ()
    routes: tuple[HostRoute, ...] = ()
    sysctls: tuple[ChangedSysctl, ...] = field(default=())
    settings: Mapping[str, Any] = field(default_factory=dict)


class NodeRecordFile(OwnFile):
    """The record file of the agent of one WireGuard interface, and the lock of the interface."""

    def __init__(self, interface: str, place: Path | None = None) -> None:
        super().__init__(interface, NODE_RECORD, place)

    def claim(self, settings: Mapping[str, Any] = _NO_SETTINGS) -> NodeRecord:
        """Lock the interface, record this process, and return what an earlier one left.

        ``settings`` are those of the agent; see ``NodeRecord``.

        Raises:
            BusyError: another kgctl holds the lock.
            HostError: a file cannot be written.
        """
        self.lock()
        left = self.read()
        self.write(replace(left, pid=os.getpid(), settings=dict(settings)))
        return left

    def release(self, *, keep_settings: bool = False) -> None:
        """Unlock the interface; the record stays only if it names anything.

        The settings stay with ``keep_settings``, of an agent that left its network set up.

        Raises:
            HostError: the file cannot be written.
        """
        left = replace(self.read(), pid=0)
        if not keep_settings:
            left = replace(left, settings={})
        if left == NodeRecord(interface=self.interface):
            self.remove()
        else:
            self.write(left)
        self.unlock()

    def read(self) -> NodeRecord:
        """Return the record; an empty one if there is none, or if it is invalid."""
        content = self.content()
        found = None if content is None else parse(content)
        if found is None or found.interface != self.interface:
            return NodeRecord(interface=self.interface)
        return found

    def write(self, record: NodeRecord) -> None:
        """Write the record atomically, unless it is the same as the present one.

        Raises:
            HostError: the file cannot be written.
        """
        content = dump(record)
        if content != self.content():
            self.replace(content)


def dump(record: NodeRecord) -> bytes:
    """Return a record as JSON."""
    fields = {
        "interface": record.interface,
        "pid": record.pid,
        "links": [[one.name, one.number] for one in record.links],
        "addresses": [[one.link, str(one.address)] for one in record.addresses],
        "routes": [
            [str(one.dst), one.device, _text(one.via), _text(one.src), one.table]
            for one in record.routes
        ],
        "sysctls": [list(one) for one in record.sysctls],
        "settings": record.settings,
    }
    return json.dumps(fields).encode()


def _text(value: object) -> str:
    return "" if value is None else str(value)


def parse(content: bytes) -> NodeRecord | None:
    """Return a record, or None if it is invalid."""
    try:
        found = json.loads(content)
        return NodeRecord(
            interface=_of_type(str, found["interface"]),
            pid=_of_type(int, found["pid"]),
            links=tuple(
                MadeLink(_of_type(str, name), _of_type(int, number))
                for name, number in found["links"]
            ),
            addresses=tuple(
                GivenAddress(_of_type(str, link), _network(text))
                for link, text in found["addresses"]
            ),
            routes=tuple(_routes(found["routes"])),
            sysctls=tuple(
                ChangedSysctl(*(_of_type(str, text) for text in one)) for one in found["sysctls"]
            ),
            settings=_of_type(dict, found.get("settings", {})),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _routes(found: Any) -> Iterable[HostRoute]:
    for dst, device, via, src, table in found:
        gateway, source = (parse_address(text) if text else None for text in (via, src))
        name, number = _of_type(str, device), _of_type(int, table)
        yield HostRoute(_network(dst), name, gateway, source, number)


def _network(text: str) -> Cidr:
    found = parse_cidr(text)
    if found is None:
        raise ValueError(text)
    return found


def _of_type(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(value)
    return value
