"""Python programs as processes on a machine, kgctl above all.

They are forked, not started: in an emulator imports take seconds.

The fork server imports what is below ``PRELOADED`` once. Arguments, environment, outputs, signals
and the exit status are those of a process that was started.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.kernel.machine import enter

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess
    from pathlib import Path

PATIENCE = 90.0
"""Seconds that something gets to happen: an emulator on a busy machine is slow."""

PRELOADED = [
    "tests.kernel.forked",
    "kgctl.cli.core.app",
    "kgctl.cli.core.program",
    "kgctl.cli.commands.connect",
    "kgctl.cli.commands.showconf",
    "kgctl.cli.commands.status",
    "kgctl.connect.dryrun",
    "kgctl.connect.session",
    "kgctl.host.kernel",
    "kgctl.kube.http.client",
    "kgctl.state.api_server",
    "kgctl.state.feeds",
    "nacl.bindings",
    "pyroute2.iproute.linux",
    "pyroute2.netlink.generic.wireguard",
    "yaml",
]

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(PRELOADED)


@dataclass(frozen=True)
class Done:
    """How a program ended."""

    code: int
    stdout: str
    stderr: str


class Running:
    """``python -m MODULE ARGV`` in the network namespace ``machine``.

    ``directory`` is for its outputs, and for the records of kgctl.
    """

    def __init__(
        self, machine: str, directory: Path, module: str, *argv: str, stdin: str = ""
    ) -> None:
        number = sum(1 for _ in directory.glob("*.out"))
        self.outputs = [directory / f"{number}.{name}" for name in ("in", "out", "err")]
        self.outputs[0].write_text(stdin)
        for path in self.outputs[1:]:
            path.touch()
        work = (machine, str(directory), module, argv, [str(path) for path in self.outputs])
        self.process: ForkServerProcess = _FORKING.Process(target=_run, args=work)
        self.process.start()

    @property
    def stdout(self) -> str:
        """What it wrote so far."""
        return self.outputs[1].read_text()

    @property
    def stderr(self) -> str:
        """What it wrote so far."""
        return self.outputs[2].read_text()

    @property
    def ended(self) -> bool:
        """Tell whether it has ended."""
        return not self.process.is_alive()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def wait(self, seconds: float = PATIENCE) -> Done:
        """Wait for its end.

        Raises:
            AssertionError: it does not end in time.
        """
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"still running:\n{self.stdout}{self.stderr}"
        return Done(self.process.exitcode, self.stdout, self.stderr)

    def force(self) -> None:
        """End it by SIGKILL, unless it has ended."""
        if not self.ended:
            self.signal(signal.SIGKILL)
            self.process.join(PATIENCE)


def within(seconds: float, condition: object) -> float:
    """Wait until a condition holds, and return how long it took.

    Raises:
        AssertionError: it does not hold after so many seconds.
    """
    assert callable(condition)
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"not within {seconds:g} s"
        time.sleep(0.1)
    return time.monotonic() - start


def _run(
    machine: str, directory: str, module: str, argv: tuple[str, ...], outputs: list[str]
) -> None:
    for number, path in enumerate(outputs):
        flags = os.O_WRONLY | os.O_APPEND if number else os.O_RDONLY
        os.dup2(os.open(path, flags), number)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    enter(machine)
    os.environ["RUNTIME_DIRECTORY"] = directory
    sys.argv = [module, *argv]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
