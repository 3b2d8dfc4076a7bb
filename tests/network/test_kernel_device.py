"""The kernel's WireGuard, if this machine's kernel has it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.network.layout import SmallCluster
    from tests.network.namespace import Namespace


@pytest.fixture
def machine(cluster: SmallCluster) -> Namespace:
    """A machine whose kernel can do WireGuard."""
    laptop = cluster["laptop"]
    add = ("ip", "link", "add", "kgprobe0", "type", "wireguard")
    if laptop.run(*add, check=False).returncode != 0:
        pytest.skip("this kernel has no WireGuard; the userspace one is tried instead")
    laptop.ip("link", "delete", "kgprobe0")
    return laptop


def test_what_is_set_is_what_is_read_and_what_wg_sees(machine: Namespace) -> None:
    done = machine.run(sys.executable, "-m", "tests.network.kerneldevice", timeout=120)
    assert done.stdout == ""


def test_a_session_on_the_kernel_s_device(machine: Namespace) -> None:
    done = machine.run(sys.executable, "-m", "tests.network.soak", "100", timeout=120)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["failures"] == []
    assert report["writes"] == 100
