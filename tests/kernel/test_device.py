"""The kernel's WireGuard device, set and read by kgctl, and by ``wg``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.kernel.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine.create("alone") as one:
        yield one


def test_what_is_set_is_what_is_read_and_what_wg_sees(machine: Machine) -> None:
    done = machine.run(sys.executable, "-m", "tests.kernel.device_steps", timeout=240)
    assert done.stdout == ""


def test_rounds_of_a_session(machine: Machine) -> None:
    done = machine.run(sys.executable, "-m", "tests.network.soak", "30", timeout=240)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["failures"] == []
    assert report["writes"] == 30
