"""Kernel parameters that a node needs to forward packets: forwarding, and loose source checks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kgctl.host.node_record import ChangedSysctl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_ROOT = Path("/proc/sys")
_STRICT, _LOOSE = "1", "2"


class SysctlProblem(NamedTuple):
    """A kernel parameter that has another value than a node needs, and why it stays so."""

    name: str
    value: str
    wanted: str
    reason: str

    def __str__(self) -> str:
        """One line for a log."""
        return (
            f"cannot set the kernel parameter {self.name} to {self.wanted}: {self.reason}; "
            f"it is {self.value or 'unknown'}: set it on the host"
        )


class SysctlResult(NamedTuple):
    """What was changed, and what could not be."""

    changed: tuple[ChangedSysctl, ...] = ()
    problems: tuple[SysctlProblem, ...] = ()


class Sysctls:
    """The kernel parameters of this network namespace, below ``root``."""

    def __init__(self, root: Path = _ROOT) -> None:
        self._root = root

    def read(self, name: str) -> str | None:
        """Return a value without white space; None if there is no such parameter."""
        try:
            return self._path(name).read_text().strip()
        except OSError:
            return None

    def wanted(self, devices: Iterable[str], *, ipv6: bool) -> dict[str, str]:
        """Return the parameters that have to change, with the values that a node needs.

        A node forwards packets. On the interfaces ``devices`` it takes packets whose way back is
        another one; of ``rp_filter``, the kernel uses the larger value of the interface and of
        ``all``. With ``ipv6``, it forwards IPv6 too: then the kernel ignores router
        advertisements, except on interfaces with ``accept_ra`` 2.
        """
        needed = {"net.ipv4.ip_forward": "1"}
        if ipv6:
            needed["net.ipv6.conf.all.forwarding"] = "1"
        everywhere = self.read("net.ipv4.conf.all.rp_filter") or "0"
        for device in devices:
            name = f"net.ipv4.conf.{_escaped(device)}.rp_filter"
            own = self.read(name)
            if own is not None and max(own, everywhere) == _STRICT:
                needed[name] = _LOOSE
        return {name: value for name, value in needed.items() if self.read(name) != value}

    def set(
        self,
        wanted: dict[str, str],
        record: Callable[[Sequence[ChangedSysctl]], None] = lambda _changes: None,
    ) -> SysctlResult:
        """Set parameters; one that cannot be set, as on a read-only /proc/sys, stops no other.

        ``record`` is called with all changes before the first.
        """
        planned, problems = [], []
        for name, value in wanted.items():
            old = self.read(name)
            if old is None:
                problems.append(SysctlProblem(name, "", value, "this kernel does not have it"))
            elif old != value:
                planned.append(ChangedSysctl(name, old, value))
        if planned:
            record(planned)
        changed = []
        for one in planned:
            reason = self._write(one.name, one.new)
            if reason is None:
                changed.append(one)
            else:
                problems.append(SysctlProblem(one.name, one.old, one.new, reason))
        return SysctlResult(tuple(changed), tuple(problems))

    def restore(self, changed: Iterable[ChangedSysctl]) -> list[SysctlProblem]:
        """Restore old values, the last change first, unless somebody changed them meanwhile."""
        problems = []
        for one in reversed(list(changed)):
            if self.read(one.name) == one.new:
                reason = self._write(one.name, one.old)
                if reason is not None:
                    problems.append(SysctlProblem(one.name, one.new, one.old, reason))
        return problems

    def _path(self, name: str) -> Path:
        """Return the file of a parameter; in names, ``/`` stands for a dot of an interface."""
        parts = [part.replace("/", ".") for part in name.split(".")]
        if not all(parts) or ".." in parts:
            raise ValueError(name)
        return self._root.joinpath(*parts)

    def _write(self, name: str, value: str) -> str | None:
        """Set a value; return the reason if that fails."""
        try:
            # the file of a parameter is neither created nor truncated
            handle = os.open(self._path(name), os.O_WRONLY)
        except OSError as error:
            return error.strerror
        try:
            os.write(handle, value.encode())
        except OSError as error:
            return error.strerror
        finally:
            os.close(handle)
        return None


def _escaped(device: str) -> str:
    return device.replace(".", "/")
