"""Many peers: messages of netlink are split both ways, and nothing is lost between two."""

from __future__ import annotations

import json
import sys

from tests.kernel.machine import Machine


def test_many_peers_with_many_allowed_ips() -> None:
    with Machine.create("alone") as machine:
        argv = (sys.executable, "-m", "tests.kernel.many_steps", "300", "1000", "2000")
        report = json.loads(machine.run(*argv, timeout=400).stdout)
    print(report)
    assert [(count, steps["wrong"]) for count, steps in report.items() if steps["wrong"]] == []
