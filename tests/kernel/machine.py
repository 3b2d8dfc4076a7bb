"""A machine on a network of the guest's own: a network namespace, without what a real host needs.

The guest is thrown away after its tests, so nothing here has to survive a killed run, and no mount
namespace is needed: the kernel's WireGuard has no sockets in the file system.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from tests.network.commands import run
from tests.network.namespace import Namespace

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Machine(Namespace):
    """One machine; a context manager that removes it, and with it its devices."""

    @classmethod
    def create(cls, label: str) -> Self:
        """Make a machine with its loopback up."""
        machine = cls(label, f"{label}-{os.getpid()}-{next(_NUMBERS)}")
        machine.directory.mkdir()
        run(["ip", "netns", "add", machine.name])
        machine.ip("link", "set", "lo", "up")
        return machine

    @classmethod
    def guest(cls, label: str) -> Self:
        """Return the guest itself as a machine: its daemons are nowhere else."""
        machine = cls(label, f"{label}-{os.getpid()}-{next(_NUMBERS)}")
        machine.directory.mkdir()
        run(["ip", "netns", "attach", machine.name, "1"])
        return machine

    def entered(self, *argv: str) -> list[str]:
        """Return the command line that runs ``argv`` inside."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *argv]

    def batch(self, *lines: str) -> None:
        """Run several ``ip`` commands at once: starting a program is slow in an emulator."""
        run(["ip", "-n", self.name, "-batch", "-"], stdin="".join(f"{one}\n" for one in lines))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        run(["ip", "netns", "delete", self.name])

    def within(self, make: Callable[[], T]) -> T:
        """Call a function inside, in a thread of its own: a socket stays where it was made.

        Raises:
            AssertionError: it raised.
        """
        made: list[T] = []

        def work() -> None:
            enter(self.name)
            made.append(make())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert made
        return made[0]


def enter(name: str) -> None:
    """Have this thread enter a network namespace for good."""
    handle = os.open(Path("/run/netns", name), os.O_RDONLY)
    try:
        if _LIBC.setns(handle, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(handle)
