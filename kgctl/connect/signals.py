"""Signals that end a session in good order."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgctl.state.follow import Inbox


class Signals:
    """Has SIGTERM, and SIGINT and SIGHUP unless they are ignored, end a session.

    A shell starts a background job with SIGINT ignored, and nohup(1) a program with SIGHUP
    ignored: who does so means it.

    Usually a signal is left in the inbox, and nothing is broken off half done.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._interruptible = False
        self._came = False
        self.name = ""

    def came(self) -> bool:
        """Tell whether a signal came."""
        return self._came

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take signals for a while."""
        numbers = [
            number
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if number is signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN
        ]
        before = {number: signal.signal(number, self._take) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Have a signal break off what waits; nothing half made may depend on it.

        Raises:
            KeyboardInterrupt: a signal came, now or before.
        """
        self._interruptible = True
        try:
            if self._came:
                raise KeyboardInterrupt
            yield
        finally:
            self._interruptible = False

    def _take(self, number: int, _frame: object) -> None:
        self._came = True
        self.name = signal.Signals(number).name
        if self._interruptible:
            self._interruptible = False
            raise KeyboardInterrupt
        self._inbox.end(self.name)
