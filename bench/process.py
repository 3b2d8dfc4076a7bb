"""Measurement of commands, run in turn."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

LAUNCH = Path(__file__).with_name("launch.py")
TIMEOUT = 120.0
"""Timeout of one run of a command in seconds."""


class FailedError(Exception):
    """A measured command failed; the message has the end of its output."""


@dataclass
class Figures:
    """The figures of the runs of one command, in seconds and bytes."""

    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)

    @property
    def wall(self) -> float:
        """The median of the wall-clock seconds."""
        return statistics.median(self.walls)

    @property
    def cpu(self) -> float:
        """The median of the processor seconds."""
        return statistics.median(self.cpus)

    @property
    def peak(self) -> int:
        """The largest peak memory, in bytes."""
        return max(self.peaks)


def beyond(one: Figures, other: Figures) -> float:
    """Return the median of the differences in seconds of ``one`` and ``other``, by round.

    Both ran in turn, so a temporarily slow machine is slow for both.
    """
    return statistics.median(a - b for a, b in zip(one.walls, other.walls, strict=True))


def measure(
    commands: Mapping[str, Sequence[str]],
    *,
    rounds: int,
    environment: Mapping[str, str] | None = None,
    accepted: Collection[int] = (0,),
) -> dict[str, Figures]:
    """Run the commands in turn, ``rounds`` times after an uncounted first round.

    ``accepted`` are the exit codes of a command that did its work.

    Raises:
        FailedError: a command failed.
    """
    figures = {name: Figures() for name in commands}
    env = {**os.environ, **(environment or {})}
    # the uncounted round writes the bytecode, as an installation does; without it each run would
    # compile all modules, and measure how long their texts are
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    for number in range(rounds + 1):
        for name, command in commands.items():
            taken = _run(command, env, accepted)
            if number:
                figures[name].walls.append(taken["wall"])
                figures[name].cpus.append(taken["cpu"])
                figures[name].peaks.append(int(taken["peak"]))
    return figures


def _run(
    command: Sequence[str], environment: Mapping[str, str], accepted: Collection[int]
) -> dict[str, float]:
    with tempfile.NamedTemporaryFile() as output:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(LAUNCH), output.name, *command],
            capture_output=True,
            text=True,
            check=True,
            env=dict(environment),
            timeout=TIMEOUT,
        )
        taken: dict[str, float] = json.loads(done.stdout)
        if taken["code"] not in accepted:
            said = Path(output.name).read_bytes()[-500:].decode(errors="replace")
            raise FailedError(f"{' '.join(command)}: exit code {taken['code']}: {said}")
    return taken
