"""Programs that kgctl has started and left to themselves: known again for certain, and ended."""

from __future__ import annotations

import os
import select
import signal
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from kgctl.host.errors import HostError

BY_ITSELF = 3.0
"""Seconds in which a program may end whose interface was removed."""

ASKED = 2.0
"""Seconds in which it may end after SIGTERM; then it is killed."""

_KILLED = 5.0  # seconds that the kernel may take
_PROC = Path("/proc")
_STARTED = 19  # the field starttime of /proc/PID/stat (proc(5)), counted from the state
_ENDED = ("Z", "X")


class Process(NamedTuple):
    """A process: its id, and when it was started, in ticks since the machine was.

    An id alone may be another process' by now.
    """

    pid: int
    started: int


def process(pid: int) -> Process | None:
    """Return the process that has an id; None where none has, or it has ended."""
    with suppress(OSError, ValueError, IndexError):
        # the name in parentheses may hold anything
        fields = (
            (_PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        )
        if pid > 1 and fields[0] not in _ENDED:
            return Process(pid, int(fields[_STARTED]))
    return None


def holder_of_socket(path: Path) -> Process | None:
    """Return this user's process that listens at a path, the latest one; None where none does.

    Only sockets of this network namespace count: programs in several may have one path.
    """
    sockets = {f"socket:[{inode}]" for inode in _bound_to(path)}
    if not sockets:
        return None
    found = (
        one
        for folder in _PROC.iterdir()
        if folder.name.isdigit() and _is_of_this_user(folder) and _holds(folder, sockets)
        if (one := process(int(folder.name))) is not None and one.pid != os.getpid()
    )
    return max(found, key=lambda one: one.started, default=None)


def _bound_to(path: Path) -> list[str]:
    """Return the numbers of the sockets that are bound to a path."""
    with suppress(OSError):
        text = (_PROC / "net" / "unix").read_text("utf-8", "replace")
        rows = (line.split(maxsplit=7) for line in text.splitlines()[1:])
        names = {str(path), os.path.realpath(path)}
        return [row[6] for row in rows if len(row) > 7 and row[7] in names]
    return []


def _is_of_this_user(folder: Path) -> bool:
    with suppress(OSError):
        return folder.stat().st_uid == os.geteuid()
    return False


def _holds(folder: Path, sockets: set[str]) -> bool:
    with suppress(OSError):  # it has ended, or may not be looked at
        return any(_link(one) in sockets for one in (folder / "fd").iterdir())
    return False


def _link(path: Path) -> str:
    with suppress(OSError):
        return str(path.readlink())
    return ""


def end(one: Process, *, by_itself: float = BY_ITSELF, asked: float = ASKED) -> None:
    """See to it that a process ends: by itself, else by SIGTERM, else by SIGKILL.

    Raises:
        HostError: it does not end, or may not be ended.
    """
    try:
        descriptor = os.pidfd_open(one.pid)
    except ProcessLookupError:
        return
    except OSError as error:
        raise HostError(f"cannot end process {one.pid}: {error.strerror}") from error
    with closing(_Descriptor(descriptor)) as opened:
        if process(one.pid) != one:  # the descriptor is another one's
            return
        for number, seconds in (
            (None, by_itself),
            (signal.SIGTERM, asked),
            (signal.SIGKILL, _KILLED),
        ):
            if number is not None:
                _send(descriptor, number, one)
            if opened.has_ended(seconds) or process(one.pid) != one:
                return
    raise HostError(f"process {one.pid} does not end, even when it is killed")


def _send(descriptor: int, number: signal.Signals, one: Process) -> None:
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return
    except OSError as error:
        raise HostError(f"cannot end process {one.pid}: {error.strerror}") from error


class _Descriptor:
    """A file descriptor of a process."""

    def __init__(self, number: int) -> None:
        self._number = number

    def close(self) -> None:
        os.close(self._number)

    def has_ended(self, seconds: float) -> bool:
        """Wait at most so long for its end; tell whether it has ended."""
        found, _, _ = select.select([self._number], [], [], seconds)
        return bool(found)
