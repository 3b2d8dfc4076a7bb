"""Many peers: messages of netlink are split both ways, and nothing is lost between two."""

from __future__ import annotations

import json

from tests.kernel.forked import Running
from tests.kernel.machine import Machine


def test_many_peers_with_many_allowed_ips() -> None:
    with Machine.create("alone") as machine:
        argv = ("tests.kernel.many_steps", "300", "1000", "2000")
        done = Running(machine.name, machine.directory, *argv).wait(400)
    assert done.code == 0, done.stderr
    report = json.loads(done.stdout)
    print(report)
    assert [(count, steps["wrong"]) for count, steps in report.items() if steps["wrong"]] == []
