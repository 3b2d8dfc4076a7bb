"""The kernel's IP in IP, which the machines of the other tests lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.kernel.forked import Running
from tests.kernel.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path


def test_an_agent_makes_uses_and_removes_it(tmp_path: Path) -> None:
    with Machine.create("alone") as one:
        steps = Running(one.name, one.directory, "tests.kernel.encapsulation_steps", str(tmp_path))
        done = steps.wait(240)
    assert (done.code, done.stdout) == (0, ""), done.stderr
