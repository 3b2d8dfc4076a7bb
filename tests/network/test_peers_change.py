"""Peers are added, removed, and change their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.network import plan, probe

if TYPE_CHECKING:
    from tests.network.live import LiveNetwork

TARGET = plan.FRA_1.ipv4.pod


def test_a_removed_machine_is_out_and_comes_back_as_a_new_one(live: LiveNetwork) -> None:
    live.add(plan.LAPTOP)
    live.add(plan.PHONE)
    live.lead()
    laptop = live["laptop"]
    live.join(plan.LAPTOP)
    assert probe.reaches(laptop, TARGET)

    live.remove(plan.LAPTOP, plan.PHONE)
    live.lead()
    assert not probe.reaches(laptop, TARGET, within=2)
    assert "laptop" not in live.read("get", "peers")

    (live.directory / "laptop.key").unlink()
    live.add(plan.LAPTOP)
    live.lead()
    live.leave(plan.LAPTOP)
    live.join(plan.LAPTOP)
    assert probe.reaches(laptop, TARGET)


def test_after_a_rotation_only_the_new_key_opens(live: LiveNetwork) -> None:
    live.add(plan.LAPTOP)
    live.lead()
    laptop, before = live["laptop"], live.peer(plan.LAPTOP)
    old = live.join(plan.LAPTOP)
    assert probe.reaches(laptop, TARGET)

    live.rotate(plan.LAPTOP)

    after = live.peer(plan.LAPTOP)
    assert after["publicKey"] != before["publicKey"]
    assert after["allowedIPs"] == before["allowedIPs"]
    live.lead()
    assert not probe.reaches(laptop, TARGET, within=2), "the old key is worth nothing"
    live.leave(plan.LAPTOP)
    new = live.join(plan.LAPTOP)
    assert new != old
    assert probe.reaches(laptop, TARGET)
