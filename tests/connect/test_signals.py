"""Signals end a session, except those that its parent process ignored."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from kgctl.connect.schedule import Signals
from kgctl.state.follow import Inbox

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def disposition(number: signal.Signals, handler: signal.Handlers) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_is_taken(number: signal.Signals) -> None:
    inbox = Inbox()
    with disposition(number, signal.SIG_DFL), Signals(inbox).taken():
        os.kill(os.getpid(), number)
        assert inbox.get(5) == number.name


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_one_that_is_ignored_stays_so(number: signal.Signals) -> None:
    inbox = Inbox()
    with disposition(number, signal.SIG_IGN):
        with Signals(inbox).taken():
            os.kill(os.getpid(), number)
            assert inbox.get(0) is None
        assert signal.getsignal(number) is signal.SIG_IGN


def test_sigterm_is_taken_though_it_was_ignored() -> None:
    inbox = Inbox()
    with disposition(signal.SIGTERM, signal.SIG_IGN), Signals(inbox).taken():
        os.kill(os.getpid(), signal.SIGTERM)
        assert inbox.get(5) == "SIGTERM"


def test_one_breaks_off_a_calculation_and_is_not_lost() -> None:
    inbox = Inbox()
    signals = Signals(inbox)
    with disposition(signal.SIGTERM, signal.SIG_DFL), signals.taken():
        went_on = False
        try:
            with signals.interrupting():
                os.kill(os.getpid(), signal.SIGTERM)
                went_on = True
        except KeyboardInterrupt:
            assert not went_on
        else:
            pytest.fail("nothing broke it off")
        assert signals.came()
        assert signals.name == "SIGTERM"
        with pytest.raises(KeyboardInterrupt), signals.interrupting():
            went_on = True
        assert not went_on
