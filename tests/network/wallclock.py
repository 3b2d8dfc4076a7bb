"""A wall clock that jumps for one program only; its other clocks stay right."""

from __future__ import annotations

from pathlib import Path

from tests.network.commands import run

SOURCE = Path(__file__).with_name("wallclock.c")


class WallClock:
    """The wall clock of what runs ``within``: ``ahead`` seconds ahead of this machine's.

    That of wireguard-go stays right: a Go program does not ask the C library for the time.
    """

    def __init__(self, directory: Path, ahead: int = 0) -> None:
        """Compile, with cc, what is preloaded into the program."""
        library = directory / "wallclock.so"
        run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(SOURCE)])
        self._file = directory / "ahead"
        self.jump(ahead)
        self.within = ("env", f"LD_PRELOAD={library}", f"WALL_CLOCK_AHEAD={self._file}")

    def jump(self, ahead: int) -> None:
        """Set it, at once."""
        draft = self._file.with_suffix(".new")
        draft.write_text(str(ahead))
        draft.replace(self._file)  # it is read all the time
