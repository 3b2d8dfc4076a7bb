"""``--watch`` of lists and trees: a terminal is drawn anew when the cluster has changed."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.docs.pictures import cluster
from tests.recorded import kgctl

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 20.0  # seconds until a terminal must show what is waited for
CLEAR = "\x1b[2J"


class Screen:
    """A kgctl on a terminal, and all that it has written there."""

    def __init__(self, *arguments: str) -> None:
        self._fd, slave = pty.openpty()
        environment = {**os.environ, "NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "200"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kgctl", *arguments],
            stdin=slave, stdout=slave, stderr=slave, env=environment,
        )  # fmt: skip
        os.close(slave)
        self.text = ""

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + PATIENCE
        while text not in self.text:
            assert time.monotonic() < end, self.text
            self._read(0.2)

    def stays(self, seconds: float) -> bool:
        """Tell whether nothing more is written for so long."""
        before, end = len(self.text), time.monotonic() + seconds
        while time.monotonic() < end:
            self._read(0.2)
        return len(self.text) == before

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def _read(self, seconds: float) -> None:
        if select.select([self._fd], [], [], seconds)[0]:
            self.text += os.read(self._fd, 65536).decode()


@pytest.mark.parametrize("command", [["get", "nodes"], ["graph", "-o", "tree"]], ids=" ".join)
def test_a_change_is_shown(command: list[str], tmp_path: Path) -> None:
    file, new = tmp_path / "c.json", tmp_path / "new"
    file.write_text(json.dumps(cluster(3, 3, 1)))
    screen = Screen("-f", str(file), *command, "--watch")
    screen.wait_for("node-00002")
    assert "node-00003" not in screen.text
    assert screen.text.count(CLEAR) == 1
    assert screen.stays(3) or "get" in command  # what is the same is not drawn anew; ages grow
    new.write_text(json.dumps(cluster(4, 3, 1)))
    new.replace(file)
    screen.wait_for("node-00003")
    assert screen.text.count(CLEAR) >= 2
    file.write_text("{")
    screen.wait_for("what is shown stays as it is")
    assert screen.end() == 0
    assert "Traceback" not in screen.text


def test_it_needs_a_terminal_and_a_format_that_can_be_drawn_anew() -> None:
    for arguments, reason in (
        (("get", "nodes", "-w"), "--watch draws a terminal anew, and the output is none"),
        (("graph", "-o", "tree", "-w"), "--watch draws a terminal anew, and the output is none"),
        (
            ("get", "nodes", "-w", "-o", "json"),
            "--watch is for tables; it does not go with -o json",
        ),
        (("graph", "-w"), "--watch draws a tree on the terminal anew: -o tree, without a file"),
    ):
        answer = kgctl("--example", *arguments)
        assert (answer.code, answer.stdout, answer.stderr) == (1, "", f"{reason}\n")
