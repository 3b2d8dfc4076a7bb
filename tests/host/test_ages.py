"""Ages of handshakes stay true when the clock is changed."""

from __future__ import annotations

import pytest

from kgctl.host.tunnel import HandshakeAges
from kgctl.wireguard.device import DevicePeer, DeviceState
from tests.wireguard.test_device import KEYS

UNIX = 1_700_000_000.0


def told(handshake: float) -> DeviceState:
    return DeviceState(peers={KEYS[0]: DevicePeer(public_key=KEYS[0], last_handshake=handshake)})


def age(ages: HandshakeAges, handshake: float, steady: float, unix: float) -> float:
    return unix - ages.corrected(told(handshake), steady, unix).peers[KEYS[0]].last_handshake


@pytest.mark.parametrize("hours", [-10, -1, 1, 1000])
def test_a_clock_that_is_set_makes_no_handshake_older_or_younger(hours: int) -> None:
    ages, step = HandshakeAges(), hours * 3600.0
    assert age(ages, UNIX - 20, 100.0, UNIX) == pytest.approx(20)
    assert age(ages, UNIX - 20, 130.0, UNIX + 30 + step) == pytest.approx(50)
    # the next one is told by the new clock
    assert age(ages, UNIX + 40 + step, 150.0, UNIX + 50 + step) == pytest.approx(10)
    assert age(ages, UNIX + 40 + step, 400.0, UNIX + 300 + step) == pytest.approx(260)


def test_one_that_is_new_since_the_last_look_is_no_older_than_that() -> None:
    ages = HandshakeAges()
    age(ages, UNIX - 20, 100.0, UNIX)
    # a handshake just before the clock was set on by a day
    assert age(ages, UNIX + 5, 110.0, UNIX + 86_400) <= 10


def test_none_is_none_and_what_is_right_is_left_alone() -> None:
    ages = HandshakeAges()
    for number, state in enumerate((told(0.0), told(UNIX - 3))):
        assert ages.corrected(state, 5.0 * number, UNIX) is state
    assert ages.corrected(DeviceState(), 6.0, UNIX + 1) == DeviceState()
