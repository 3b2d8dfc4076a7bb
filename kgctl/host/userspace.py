"""A WireGuard device of a program's, through its control socket, and starting such a program.

Programs that kgctl has started and left to themselves: known again for certain, and ended.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from kgctl.errors import HostError, InterfaceGoneError, NoWireGuardError, UnresponsiveError
from kgctl.files.writing import remove_own
from kgctl.mesh.text import printable
from kgctl.wireguard.uapi import GET, check, read_state, write_change

if TYPE_CHECKING:
    from kgctl.wireguard.device import DeviceChange, DeviceState


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


SOCKETS = Path("/var/run/wireguard")
"""Where every userspace WireGuard puts its control sockets (wireguard.com/xplatform)."""

PROGRAM = "wireguard-go"
PROGRAM_VARIABLE = "WG_USERSPACE_IMPLEMENTATION"
"""Names another program, as for wg-quick(8)."""

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_ANSWER_SECONDS = 10.0
_START_SECONDS = 10.0
_ANSWER_BYTES = 64 << 20
_ERROR_BYTES = 1 << 16


class UserspaceDevice:
    """The device that listens at ``/var/run/wireguard/NAME.sock``; a ``Device``.

    With ``own``, it has to be a program of this user or root: it gets a private key, or gives one.
    """

    def __init__(self, name: str, sockets: Path = SOCKETS, *, own: bool = False) -> None:
        self._name = name
        self._path = sockets / f"{name}.sock"
        self._own = own

    def close(self) -> None:
        """Do nothing: each request has a connection of its own."""

    def read(self) -> DeviceState:
        """Return its state; see ``Device``."""
        return read_state(self._ask(GET))

    def apply(self, change: DeviceChange) -> None:
        """Carry out a change in one request; see ``Device``."""
        check(self._ask(write_change(change)))

    def listens(self) -> bool:
        """Tell whether a program listens there, even one that hangs."""
        try:
            self._connect().close()
        except OSError:
            return False
        return True

    def process(self) -> Process | None:
        """Return the process that listens there, if it is this user's; else None.

        The kernel's answer to who is at the other end would be the process that began to listen:
        wireguard-go does so before it goes into the background, as another process.
        """
        return holder_of_socket(self._path)

    def forget(self) -> None:
        """Remove the socket that a program which was killed has left; nobody listens there."""
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self._path))
            except ConnectionRefusedError:
                remove_own(self._path)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(str(self._path))
        except OSError:
            connection.close()
            raise
        return connection

    def _ask(self, request: str) -> str:
        try:
            with self._connect() as connection:
                self._check(connection)
                connection.sendall(request.encode())
                return _answer(connection)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise InterfaceGoneError(f"no userspace WireGuard listens at {self._path}") from error
        except TimeoutError as error:
            raise UnresponsiveError(
                f"the userspace WireGuard at {self._path} gives no answer"
            ) from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise HostError(f"cannot speak to WireGuard at {self._path}: {reason}") from error

    def _check(self, connection: socket.socket) -> None:
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, user, _ = _CREDENTIALS.unpack(found)
        if self._own and user not in (0, os.geteuid()):
            raise HostError(
                f"a program of another user (number {user}) answers for the interface {self._name} "
                f"at {self._path}, and would get the private key: end it, or use another interface"
            )


def _answer(connection: socket.socket) -> str:
    """Return what is said until the empty line that ends an answer."""
    said = bytearray()
    while not said.endswith(b"\n\n") and len(said) < _ANSWER_BYTES:
        piece = connection.recv(1 << 16)
        if not piece:
            break
        said += piece
    return said.decode("utf-8", "replace")


def program() -> str:
    """Return the userspace WireGuard to start: a name on the PATH, or a path."""
    return os.environ.get(PROGRAM_VARIABLE) or PROGRAM


def start(name: str, *, sockets: Path = SOCKETS) -> None:
    """Start a userspace WireGuard that makes the interface ``name``, and goes on by itself.

    It goes into the background as those programs do; whoever removes the interface ends it.

    Raises:
        NoWireGuardError: there is no such program.
        HostError: it did not come up.
    """
    wanted = program()
    with os.fdopen(os.memfd_create("said"), "w+b") as said:
        try:
            done = _run([wanted, name], said)
        except FileNotFoundError:
            raise NoWireGuardError(
                f"this kernel has no WireGuard, and there is no {printable(wanted)}: install "
                f"{PROGRAM}, or name another program in {PROGRAM_VARIABLE}"
            ) from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HostError(f"cannot start {printable(wanted)}: {error}") from error
        if done.returncode != 0:
            said.seek(0)
            why = _last_error(said.read(_ERROR_BYTES))
            raise HostError(f"{printable(wanted)} did not come up: {why}")
    _await_socket(UserspaceDevice(name, sockets), wanted)


def _run(argv: list[str], said: IO[bytes]) -> subprocess.CompletedProcess[bytes]:
    """Run what goes into the background; its errors go to a file, which is in memory.

    Not to a pipe: some such programs hold on to it, and it would be waited for its end.
    """
    quiet = "LOG_LEVEL" not in os.environ
    return subprocess.run(  # noqa: S603 - the program that the user names
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else None,
        stderr=said if quiet else None,
        timeout=_START_SECONDS,
        check=False,
        start_new_session=True,
    )


def _last_error(said: bytes) -> str:
    """Return the line in which the program says what is wrong, as far as it does."""
    lines = said.decode("utf-8", "replace").split("\n")
    errors = [line for line in lines if "rror" in line or "ailed" in line]
    return printable(errors[-1].strip(), 300) if errors else "it does not say why"


def _await_socket(device: UserspaceDevice, wanted: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not device.listens():
        if time.monotonic() > deadline:
            raise HostError(f"{printable(wanted)} opened no control socket in {SOCKETS}")
        time.sleep(0.01)
