"""The kernel's WireGuard device, set and read by kgctl, and by ``wg``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.kernel.forked import Running
from tests.kernel.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine.create("alone") as one:
        yield one


def test_what_is_set_is_what_is_read_and_what_wg_sees(machine: Machine) -> None:
    done = Running(machine.name, machine.directory, "tests.kernel.device_steps").wait(240)
    assert (done.code, done.stdout) == (0, ""), done.stderr


def test_rounds_of_a_session(machine: Machine) -> None:
    done = Running(machine.name, machine.directory, "tests.network.soak", "30").wait(240)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["failures"] == []
    assert report["writes"] == 30
