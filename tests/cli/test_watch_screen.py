"""``--watch`` of lists and trees: the terminal is redrawn when the cluster changes."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.pictures import cluster
from tests.support.quiet import QuietServer, node
from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 60.0  # seconds until a terminal must show what is waited for
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
        self.wait_until(lambda shown: text in shown)

    def wait_until(self, holds: Callable[[str], bool]) -> None:
        """Wait until something holds of all that was written."""
        end = time.monotonic() + PATIENCE
        while not holds(self.text):
            assert time.monotonic() < end, self.text
            self._read(0.2)

    @property
    def last(self) -> str:
        """What was written since the terminal was cleared last."""
        return self.text.rpartition(CLEAR)[2]

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
    screen.wait_for("the screen stays as it is")
    assert screen.end() == 0
    assert "Traceback" not in screen.text


def test_it_needs_a_terminal_and_a_format_that_can_be_drawn_anew() -> None:
    for arguments, reason in (
        (("get", "nodes", "-w"), "--watch needs a terminal"),
        (("graph", "-o", "tree", "-w"), "--watch needs a terminal"),
        (
            ("get", "nodes", "-w", "-o", "json"),
            "--watch is for tables; it does not go with -o json",
        ),
        (("graph", "-w"), "--watch redraws a tree in the terminal: -o tree, without a file"),
    ):
        answer = kgctl("--example", *arguments)
        assert (answer.code, answer.stdout, answer.stderr) == (1, "", f"{reason}\n")


def ages(text: str, pattern: str) -> list[int]:
    """Return the seconds that stand where the pattern has its group, in their order."""
    return [int(found) for found in re.findall(pattern, text)]


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the time of the processor")
def test_heartbeats_grow_older_while_nothing_happens(tmp_path: Path) -> None:
    with QuietServer([node("a-1", 2), node("b-1", 40)]) as server:
        options = ("--kubeconfig", str(server.kubeconfig(tmp_path)))
        screen = Screen(*options, "get", "nodes", "--watch")
        screen.wait_for("a-1")
        began, used = time.monotonic(), processor_seconds(screen.process.pid)
        first = ages(screen.last, r"a-1 .* (\d+)s +yes")[-1]
        screen.wait_until(lambda text: ages(text, r"a-1 .* (\d+)s +yes")[-1] >= first + 4)
        busy = (processor_seconds(screen.process.pid) - used) / (time.monotonic() - began)
        assert busy < 0.5
        shown = ages(screen.text, r"a-1 .* (\d+)s +yes")
        assert shown == sorted(shown)
        assert len(server.requests) <= 6  # they were read twice, and watched; never again
        assert "ago" not in screen.text

        server.away.set()
        # what it knew last is judged as of then, and it says so
        screen.wait_until(lambda text: len(set(ages(text, r"last heard (\d+)s ago: "))) >= 3)
        heard = ages(screen.text, r"last heard (\d+)s ago: ")
        assert heard == sorted(heard)
        assert re.search(r"b-1 .* yes", screen.last)
        assert screen.end() == 0


def test_peers_are_not_drawn_for_the_sake_of_the_clock(tmp_path: Path) -> None:
    with QuietServer([node("a-1", 2)]) as server:
        options = ("--kubeconfig", str(server.kubeconfig(tmp_path)))
        screen = Screen(*options, "get", "segments", "--watch")
        screen.wait_for("a-1")
        assert screen.stays(3)
        server.away.set()
        screen.wait_until(lambda text: len(set(ages(text, r"last heard (\d+)s ago: "))) >= 2)
        assert screen.end() == 0


def test_a_file_that_cannot_be_read_any_more_is_told_with_its_age(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps(cluster(3, 3, 1)))
    screen = Screen("-f", str(file), "--at", "newest", "get", "nodes", "--watch")
    screen.wait_for("node-00002")
    assert screen.stays(3)  # at a time that is given nothing grows older
    file.unlink()
    screen.wait_until(lambda text: len(set(ages(text, r"last read (\d+)s ago: cannot read"))) >= 2)
    assert screen.text.count("the screen stays as it is") == 1
    file.write_text(json.dumps(cluster(3, 3, 1)))
    screen.wait_until(lambda _text: "last read" not in screen.last)
    assert screen.end() == 0
