"""Progress: only on a terminal, and only after a delay."""

from __future__ import annotations

import io
import time

import pytest

from kgctl.cli.core.source import ProgressBar
from kgctl.state.manifests import read_documents


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, text: str, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while text not in stream.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)
    return text in stream.getvalue()


def test_a_terminal_is_shown_a_bar_until_it_is_over() -> None:
    terminal = Terminal()
    with ProgressBar("reading files", terminal, patience=0) as progress:
        progress.advance(1, 2)
        assert shown(terminal, "reading files")
    assert terminal.getvalue().endswith("\x1b[2K")  # the bar is gone


def test_what_is_over_soon_is_not_shown() -> None:
    terminal = Terminal()
    with ProgressBar("reading files", terminal, patience=60):
        pass
    assert terminal.getvalue() == ""


def test_a_pipe_is_shown_nothing() -> None:
    pipe = io.StringIO()
    with ProgressBar("reading files", pipe, patience=0):
        assert not shown(pipe, "reading files", 0.3)


@pytest.mark.fast_lane(reason="PyYAML does not tell how far it has come")
def test_reading_yaml_tells_how_far_it_has_come() -> None:
    told: list[tuple[int, int]] = []
    text = b"items:\n- kind: A\n- kind: B\n"
    read_documents("f", text, lambda done, total: told.append((done, total)))
    assert told == [(9, len(text)), (19, len(text))]
