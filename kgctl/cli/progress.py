"""A progress bar on stderr, on a terminal, for what takes longer than a second."""

from __future__ import annotations

import sys
from threading import Event, Thread
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from types import TracebackType

PATIENCE = 1.0
"""Seconds that pass before anything is shown."""

_BETWEEN = 0.1  # seconds between two looks at how far it has come


class ProgressBar:
    """Shows how far something has come, while the context lasts.

    ``stream`` stands for stderr. Where it is no terminal, nothing is shown, ever.
    """

    def __init__(self, what: str, stream: TextIO | None = None, patience: float = PATIENCE) -> None:
        self._what = what
        self._stream = sys.stderr if stream is None else stream
        self._patience = patience
        self._done, self._total = 0, 0
        self._over = Event()
        self._thread = Thread(target=self._show, daemon=True)

    def advance(self, done: int, total: int) -> None:
        """Take note that ``done`` of ``total`` is done, in any unit."""
        self._done, self._total = done, total

    def __enter__(self) -> ProgressBar:
        if self._stream.isatty():
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _show(self) -> None:
        if self._over.wait(self._patience):
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        console = Console(file=self._stream)
        with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
            task = progress.add_task(self._what, total=None)
            while not self._over.wait(_BETWEEN):
                progress.update(task, completed=self._done, total=self._total or None)
