"""Runs scripts on other machines with the system's OpenSSH client.

ssh's own configuration, agent and known hosts decide who is reached, and how. Nobody is asked for a
password. Scripts go over stdin, so that nothing of them is on a command line. What comes back is
bounded in size and time.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from threading import Lock, Thread
from typing import IO, TYPE_CHECKING, NamedTuple

from kgctl.errors import KgctlError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from kgctl.mesh.peer import SshTarget

CONNECT_SECONDS = 10
LONGEST = 32 << 20
"""The longest answer, in bytes; a dump of 100,000 peers has 30 MB."""
_LONGEST_ERROR = 1 << 16
_LAST_WORDS = 2.0  # seconds

_OPTIONS = (
    "BatchMode=yes",
    "ClearAllForwardings=yes",
    "ControlMaster=no",
    "ControlPath=none",  # a new session has to show that the machine can still be reached
    "ForwardAgent=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
)


class SshError(KgctlError):
    """The script could not be run on the machine, or not to its end; the message says why."""


class InterruptedRunError(KgctlError):
    """The program is about to end."""


class Said(NamedTuple):
    """What came back: the exit code of ssh, stdout, and the last line of stderr, printable."""

    code: int
    output: bytes
    error: str


def command(
    target: SshTarget, *, sudo: bool, connect_seconds: int, program: str = "ssh"
) -> list[str]:
    """Return the command line that runs a script from stdin on a machine."""
    options = [f"-o{one}" for one in (*_OPTIONS, f"ConnectTimeout={connect_seconds}")]
    user = ["-l", target.user] if target.user else []
    port = ["-p", str(target.port)] if target.port is not None else []
    return [
        *(program, "-T", *options, *user, *port, "--", target.host),
        "sudo -n sh -s" if sudo else "sh -s",
    ]


class Ssh:
    """Runs scripts with ``program``, from any thread, until it is stopped."""

    def __init__(self, program: str = "ssh") -> None:
        self._program = program
        self._lock = Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, target: SshTarget, script: bytes, seconds: float, *, sudo: bool) -> Said:
        """Run a script on a machine, for at most so many seconds.

        Raises:
            SshError: ssh is not installed, took too long, or printed too much.
            InterruptedRunError: ``stop`` was called.
        """
        connect = max(1, min(CONNECT_SECONDS, round(seconds)))
        argv = command(target, sudo=sudo, connect_seconds=connect, program=self._program)
        process = self._start(argv)
        try:
            return _talk(process, script, seconds)
        finally:
            _end(process)
            with self._lock:
                self._running.discard(process)
                if self._stopped:
                    raise InterruptedRunError("interrupted")

    def stop(self) -> None:
        """End all that is running, and start nothing more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                with suppress(OSError):
                    process.kill()

    def _start(self, argv: list[str]) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        with self._lock:
            if self._stopped:
                raise InterruptedRunError("interrupted")
            try:
                process = subprocess.Popen(  # noqa: S603 - no shell; the target was parsed
                    argv, stdin=pipe, stdout=pipe, stderr=pipe
                )
            except OSError as error:
                reason = printable(error.strerror or type(error).__name__)
                hint = ": install OpenSSH's client" if isinstance(error, FileNotFoundError) else ""
                raise SshError(f"cannot run ssh: {reason}{hint}") from error
            self._running.add(process)
            return process


def _talk(process: subprocess.Popen[bytes], script: bytes, seconds: float) -> Said:
    output, error = bytearray(), bytearray()
    assert process.stdin is not None  # all three are pipes
    assert process.stdout is not None
    assert process.stderr is not None
    threads = [
        Thread(target=_write, args=(process.stdin, script), daemon=True),
        Thread(target=_read, args=(process, process.stdout, output, LONGEST), daemon=True),
        Thread(target=_read, args=(process, process.stderr, error, _LONGEST_ERROR), daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        _end(process)
        raise SshError(f"no answer within {seconds:.0f} s") from None
    for thread in threads:  # a program that ssh started may keep the pipes open
        thread.join(_LAST_WORDS)
    if len(output) > LONGEST or len(error) > _LONGEST_ERROR:
        raise SshError("it printed too much: not an answer of this program")
    return Said(code, bytes(output), _last_line(bytes(error)))


def _write(pipe: IO[bytes], content: bytes) -> None:
    with suppress(OSError, ValueError):
        pipe.write(content)
    with suppress(OSError, ValueError):
        pipe.close()


def _read(process: subprocess.Popen[bytes], pipe: IO[bytes], into: bytearray, most: int) -> None:
    """Read to the end, or to one byte too much, which ends the program."""
    with suppress(OSError, ValueError), pipe:
        while len(into) <= most:
            content = os.read(pipe.fileno(), min(1 << 16, most + 1 - len(into)))
            if not content:
                return
            into += content
        process.kill()


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        process.kill()
    process.wait()


def _last_line(content: bytes) -> str:
    lines = [line.strip() for line in content.decode("utf-8", "replace").split("\n")]
    return printable(next((line for line in reversed(lines) if line), ""), 300)
