"""``kgctl connect`` as a process in a namespace, and its log."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.network.commands import environment, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from tests.network.namespace import Namespace

PATIENCE = 40.0
"""Seconds that something gets to happen."""


class Connection:
    """A running ``kgctl connect``. A context manager: on leaving it is ended, by force if need be.

    ``within`` is a program that runs it, such as setpriv; a ``module`` with its arguments is run in
    the place of kgctl; a ``program`` is a module that runs kgctl in another way. ``lines`` are the
    log lines so far, decoded; ``errors`` is stderr.
    """

    def __init__(
        self,
        namespace: Namespace,
        kubeconfig: Path,
        *options: str,
        within: Sequence[str] = (),
        module: Sequence[str] = (),
        program: str = "kgctl",
    ) -> None:
        self.namespace = namespace
        connect = (program, "--kubeconfig", str(kubeconfig), "connect", *options)
        argv = [sys.executable, "-m", *(module or connect)]
        self.lines: list[dict[str, Any]] = []
        self.errors = ""
        self._process = subprocess.Popen(
            namespace.entered(*within, *argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(), "RUNTIME_DIRECTORY": str(namespace.directory)},
        )
        self._readers = [threading.Thread(target=read) for read in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """The process id: `ip netns exec` and the shell in between have become kgctl."""
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(json.loads(line))

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.errors += line

    def said(self, message: str) -> list[dict[str, Any]]:
        """Return the lines so far whose message begins so."""
        return [line for line in self.lines if line["msg"].startswith(message)]

    def until(self, message: str, count: int = 1, within: float = PATIENCE) -> dict[str, Any]:
        """Wait for the ``count``-th line whose message begins so, and return it."""
        deadline = time.monotonic() + within
        while len(self.said(message)) < count:
            assert time.monotonic() < deadline, f"never said {message!r}:\n{self.describe()}"
            assert self._process.poll() is None or self._drained(), self.describe()
            time.sleep(0.02)
        return self.said(message)[count - 1]

    def _drained(self) -> bool:
        for reader in self._readers:
            reader.join(1)
        return False

    def describe(self) -> str:
        """Return all that it said."""
        return "\n".join([*(json.dumps(line) for line in self.lines), self.errors])

    def end(self, number: signal.Signals = signal.SIGTERM, within: float = PATIENCE) -> int:
        """Send a signal and return the exit code."""
        self._process.send_signal(number)
        return self.wait(within)

    def wait(self, within: float = PATIENCE) -> int:
        """Wait for the end and return the exit code."""
        code = self._process.wait(within)
        for reader, stream in zip(
            self._readers, (self._process.stdout, self._process.stderr), strict=True
        ):
            reader.join(within)
            assert stream is not None
            stream.close()
        return code

    def kill(self) -> None:
        """End it as the kernel would for want of memory."""
        self.end(signal.SIGKILL)

    def threads(self) -> int:
        """Return how many threads it has."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
        if self._process.poll() is None:
            self._process.kill()
        self.wait()


def kgctl(namespace: Namespace, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run any kgctl command in a namespace, with the records of its connections."""
    setting = f"RUNTIME_DIRECTORY={namespace.directory}"
    command = ("env", setting, sys.executable, "-m", "kgctl", *argv)
    return run(namespace.entered(*command), timeout=60, check=check)
