"""The offset of this machine's clock, as far as a server's answers show it."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgctl.kube.http.client import Api, Body
from kgctl.kube.lists import JSON, NODES
from kgctl.kube.timeout import ServerClock, http_date
from tests.support.memory import ACCESS, Answer, MemoryTransport

SERVER = 1_700_000_000


@given(st.integers(0, 253402300799))
def test_every_date_is_read(seconds: int) -> None:
    assert http_date(formatdate(seconds, usegmt=True)) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:49 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 -8:49:37 GMT",
    ],
)
def test_what_is_no_date_says_nothing(text: str) -> None:
    assert http_date(text) is None
    clock = ServerClock()
    clock.answered(text, SERVER, SERVER + 1)
    assert clock.ahead() is None


@pytest.mark.parametrize(
    ("asked", "answered", "ahead"),
    [
        (0, 0, 0),
        (0.9, 1.1, 0),  # a date has no fraction
        (-3, 4, 0),  # it took long, and the server's time is within
        (300, 301, 299),
        (-301, -300, -300),
    ],
)
def test_a_clock_is_ahead_by_what_the_way_does_not_explain(
    asked: float, answered: float, ahead: float
) -> None:
    clock = ServerClock()
    clock.answered(formatdate(SERVER, usegmt=True), SERVER + asked, SERVER + answered)
    assert clock.ahead() == ahead


@given(
    off=st.floats(-1e6, 1e6), there=st.floats(0, 60), back=st.floats(0, 60), at=st.floats(1e9, 2e9)
)
def test_a_clock_is_never_called_more_wrong_than_it_is(
    off: float, there: float, back: float, at: float
) -> None:
    clock = ServerClock()
    clock.answered(formatdate(int(at), usegmt=True), at - there + off, at + back + off)
    ahead = clock.ahead()
    assert ahead is not None
    assert min(off, 0) - 1e-3 <= ahead <= max(off, 0) + 1e-3
    assert abs(ahead) >= abs(off) - there - back - 1.001


def test_an_answer_that_was_asked_for_long_ago_is_no_slow_clock() -> None:
    """A command asks ahead, and takes the answer when it has found out what it needs."""
    transport = MemoryTransport(Answer({}, headers={"date": formatdate(SERVER, usegmt=True)}))
    times = iter([SERVER + 0.5, SERVER + 60.0, SERVER + 60.1])
    api = Api(ACCESS, transport, now=lambda: next(times))
    assert api.clock.ahead() is None
    api.ask(NODES, {}, JSON)
    api.get(NODES, {}, JSON, Body.json)
    assert api.clock.ahead() == 0
