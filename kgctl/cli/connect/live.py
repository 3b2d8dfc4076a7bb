"""A live view of a session on a terminal: peers, handshakes, rates, and what happened last."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from kgctl.cli.hints import message
from kgctl.connect.journal import Journal
from kgctl.connect.status import peer_statuses
from kgctl.mesh.errors import KgctlError

if TYPE_CHECKING:
    from kgctl.connect.session import Session
    from kgctl.wireguard.device import DeviceState


class LiveView:
    """Draws a table below the log lines, again each time ``show`` is called."""

    def __init__(self, level: str) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(highlight=False, emoji=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self.journal = Journal(self._print, level=level, as_json=False, worded=message)
        self._session: Session | None = None
        self._before: tuple[float, DeviceState] | None = None

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._live.stop()

    def watch(self, session: Session) -> None:
        """Show this session from now on."""
        self._session = session

    def show(self) -> None:
        """Draw the view as it is now."""
        if self._session is None:
            return
        try:
            state = self._session.tunnel.device.read()
        except KgctlError:
            return  # the next round says what is wrong
        with suppress(OSError):  # the terminal is gone, and with it whoever looked
            self._live.update(self._table(self._session, state), refresh=True)
        self._before = (time.monotonic(), state)

    def _print(self, line: str) -> None:
        from rich.text import Text

        with suppress(OSError):
            self._console.print(Text(line), soft_wrap=True)

    def _table(self, session: Session, state: DeviceState) -> Any:
        from rich.console import Group
        from rich.text import Text

        from kgctl.cli.status import status_table
        from kgctl.host.reach import source_towards
        from kgctl.mesh.text import printable

        then, before = self._before or (0.0, None)
        statuses = peer_statuses(
            state,
            session.known_peers(),
            now=time.time(),
            source=source_towards,
            before=before,
            seconds=time.monotonic() - then if before is not None else 0.0,
        )
        connected = sum(one.connected for one in statuses)
        heading = f"{session.tunnel.name}: {connected} of {len(statuses)} peers connected"
        event = f"last event: {printable(session.last_event or 'none')}"
        rows = max(3, self._console.height - 6)
        if session.rejected:
            heading = f"{session.tunnel.name}: rejected: {printable(session.rejected, 1000)}"
        style = "bold red" if session.rejected else "bold"
        return Group(Text(heading, style=style), status_table(statuses[:rows]), Text(event))
