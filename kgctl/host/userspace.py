"""WireGuard devices of userspace programs: their control sockets, and starting and ending them.

kgctl leaves a program that it started in the background. It identifies the program later by process
id and start time, and never signals another process.
"""

from __future__ import annotations

import errno
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
from kgctl.files.atomic import remove_own
from kgctl.host.links import PortTakenError
from kgctl.mesh.text import printable
from kgctl.wireguard.uapi import GET, StateReader, UapiError, check, write_change

if TYPE_CHECKING:
    from kgctl.wireguard.device import DeviceChange, DeviceState


BY_ITSELF = 3.0
"""Seconds for a program to end after its interface was removed."""

ASKED = 2.0
"""Seconds for it to end after SIGTERM; then it is killed."""

_KILLED = 5.0  # seconds for the kernel to end it after SIGKILL
_PROC = Path("/proc")
_STARTED = 19  # the field starttime of /proc/PID/stat (proc(5)), counted from the state
_ENDED = ("Z", "X")


class Process(NamedTuple):
    """A process: its id, and its start time in clock ticks since boot.

    The kernel may reuse an id for another process.
    """

    pid: int
    started: int


def process(pid: int) -> Process | None:
    """Return the process of an id; None if there is none, or if it has ended."""
    with suppress(OSError, ValueError, IndexError):
        # the name in parentheses may contain anything
        fields = (
            (_PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        )
        if pid > 1 and fields[0] not in _ENDED:
            return Process(pid, int(fields[_STARTED]))
    return None


def holder_of_socket(path: Path) -> Process | None:
    """Return this user's latest process that listens at a path, or None.

    Only sockets of this network namespace count: other namespaces may use the same path.
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
    """Return the inodes of the sockets that are bound to a path."""
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
    with suppress(OSError):  # it has ended, or access is denied
        return any(_link(one) in sockets for one in (folder / "fd").iterdir())
    return False


def _link(path: Path) -> str:
    with suppress(OSError):
        return str(path.readlink())
    return ""


def end(one: Process, *, by_itself: float = BY_ITSELF, asked: float = ASKED) -> None:
    """Wait for a process to end; else send SIGTERM, then SIGKILL.

    Raises:
        HostError: the process does not end, or may not be signalled.
    """
    try:
        descriptor = os.pidfd_open(one.pid)
    except ProcessLookupError:
        return
    except OSError as error:
        raise HostError(f"cannot end process {one.pid}: {error.strerror}") from error
    with closing(_Descriptor(descriptor)) as opened:
        if process(one.pid) != one:  # the id was reused
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
        """Wait at most ``seconds`` for the process to end; return whether it ended."""
        found, _, _ = select.select([self._number], [], [], seconds)
        return bool(found)


SOCKETS = Path("/var/run/wireguard")
"""The directory of control sockets of every userspace WireGuard (wireguard.com/xplatform)."""

PROGRAM = "wireguard-go"
PROGRAM_VARIABLE = "WG_USERSPACE_IMPLEMENTATION"
"""The environment variable that names another program, as for wg-quick(8)."""

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_ANSWER_SECONDS = 10.0
_START_SECONDS = 10.0
_ANSWER_BYTES = 64 << 20
_ERROR_BYTES = 1 << 16


class UserspaceDevice:
    """The device that listens at ``/var/run/wireguard/NAME.sock``; a ``Device``.

    With ``own``, the program must belong to this user or root, since private keys are exchanged.
    """

    def __init__(self, name: str, sockets: Path = SOCKETS, *, own: bool = False) -> None:
        self._name = name
        self._path = sockets / f"{name}.sock"
        self._own = own
        self._reader = StateReader()

    def close(self) -> None:
        """Do nothing: each request opens a new connection."""

    def read(self) -> DeviceState:
        """Return the state; see ``Device``."""
        return self._reader.read(self._ask(GET))

    def apply(self, change: DeviceChange) -> None:
        """Apply a change in one request; see ``Device``."""
        try:
            check(self._ask(write_change(change)))
        except UapiError as error:
            if change.listen_port is not None and error.code == errno.EADDRINUSE:
                raise PortTakenError(self._name, change.listen_port) from error
            raise

    def listens(self) -> bool:
        """Return whether a program listens there, even one that hangs."""
        try:
            self._connect().close()
        except OSError:
            return False
        return True

    def process(self) -> Process | None:
        """Return the process that listens there if it belongs to this user, else None.

        SO_PEERCRED would return the process that called listen(2): wireguard-go does so before it
        forks into the background.
        """
        return holder_of_socket(self._path)

    def forget(self) -> None:
        """Remove the socket of a killed program, at which nothing listens."""
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
                f"the userspace WireGuard at {self._path} does not answer"
            ) from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise HostError(f"cannot talk to WireGuard at {self._path}: {reason}") from error

    def _check(self, connection: socket.socket) -> None:
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, user, _ = _CREDENTIALS.unpack(found)
        if self._own and user not in (0, os.geteuid()):
            raise HostError(
                f"a program of another user (uid {user}) controls the interface {self._name} "
                f"at {self._path}, and would get the private key: end it, or use another interface"
            )


def _answer(connection: socket.socket) -> str:
    """Return the answer, which an empty line ends."""
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
    """Start a userspace WireGuard that creates the interface ``name`` and keeps running.

    The program forks into the background, and ends when somebody removes the interface.

    Raises:
        NoWireGuardError: the program is not installed.
        HostError: the program failed to start.
    """
    wanted = program()
    with os.fdopen(os.memfd_create("said"), "w+b") as said:
        try:
            done = _run([wanted, name], said)
        except FileNotFoundError:
            raise NoWireGuardError(
                f"this kernel has no WireGuard, and {printable(wanted)} is not installed: install "
                f"{PROGRAM}, or name another program in {PROGRAM_VARIABLE}"
            ) from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HostError(f"cannot start {printable(wanted)}: {error}") from error
        if done.returncode != 0:
            said.seek(0)
            why = _last_error(said.read(_ERROR_BYTES))
            raise HostError(f"{printable(wanted)} failed to start: {why}")
    _await_socket(UserspaceDevice(name, sockets), wanted)


def _run(argv: list[str], said: IO[bytes]) -> subprocess.CompletedProcess[bytes]:
    """Run a program that forks into the background; write its errors to a file in memory.

    A pipe would not work: some such programs keep it open, and reading would wait for them.
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
    """Return the last line that looks like an error, or a substitute."""
    lines = said.decode("utf-8", "replace").split("\n")
    errors = [line for line in lines if "rror" in line or "ailed" in line]
    return printable(errors[-1].strip(), 300) if errors else "it printed no error"


def _await_socket(device: UserspaceDevice, wanted: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not device.listens():
        if time.monotonic() > deadline:
            raise HostError(f"{printable(wanted)} opened no control socket in {SOCKETS}")
        time.sleep(0.01)
