"""``--watch`` of lists and trees: a terminal that is drawn anew when what it shows has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.output import on_terminal
from kgctl.cli.watch import Upkeep, watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, RenderableType

    from kgctl.cli.core.shared import Shared
    from kgctl.cli.reading import Reading

_INTERVAL = 10  # seconds: nodes grow old without a change in the cluster
_BETWEEN_LOOKS = 2  # seconds between two looks at files


def redraw(
    shared: Shared, drawing: Callable[[Reading, Console], RenderableType], *, ages: bool
) -> None:
    """Show what ``drawing`` makes of the cluster, and again whenever that changes, until a signal.

    ``ages`` says that it shows ages: then they go on with the clock.

    Raises:
        UsageError: stdout is no terminal, which could be drawn anew.
        KgctlError: it cannot be read at all; later errors are said, and lived through.
    """
    if not on_terminal():
        raise UsageError("--watch draws a terminal anew, and the output is none")
    watch(shared, _Screen(drawing, ages=ages), _INTERVAL, _BETWEEN_LOOKS)


class _Screen(Upkeep):
    """A terminal, and what is on it."""

    def __init__(
        self, drawing: Callable[[Reading, Console], RenderableType], *, ages: bool
    ) -> None:
        super().__init__("what is shown")
        from rich.console import Console

        self._console = Console(highlight=False)
        self._drawing = drawing
        self._ages = ages
        self._shown = ""

    @property
    def ticks(self) -> bool:
        """Whether something on the terminal grows older."""
        return self._ages or bool(self.trouble)

    def _write(self, reading: Reading) -> None:
        with self._console.capture() as capture:
            self._console.print(self._drawing(reading, self._console))
            if self.trouble:
                from rich.text import Text

                self._console.print(Text(self.trouble, style="yellow"))
        if capture.get() != self._shown:
            self._shown = capture.get()
            self._console.clear()
            self._console.file.write(self._shown)
            self._console.file.flush()
