"""The recorded answers of the reference, and their comparison with kgctl's."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from kgctl.cli.core.app import run
from tests.support.dotgraph import parsed_graph

if TYPE_CHECKING:
    from collections.abc import Sequence

DIRECTORY = Path(__file__).parents[1] / "golden"
CLUSTERS = sorted(DIRECTORY.glob("[0-9]*.json"))


class Answer(NamedTuple):
    """The result of a run of kgctl."""

    code: int
    stdout: str
    stderr: str


class _Stream(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


def kgctl(*arguments: str) -> Answer:
    """Run kgctl in this process."""
    stdout, stderr = _Stream(), _Stream()
    argv, sys.argv = sys.argv, ["kgctl", *arguments]
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            code = run(list(arguments))
    finally:
        sys.argv = argv
    return Answer(code, stdout.text(), stderr.text())


def difference(case: dict[str, Any], answer: Answer) -> str | None:
    """Describe how ``answer`` differs from the recorded ``case``; None if it does not.

    WireGuard configurations are compared byte by byte, graphs as graphs, manifests as objects, and
    errors by exit code and the last line of stderr.
    """
    what = " ".join(case["argv"])
    if answer.code != case["rc"]:
        return f"{what}: exit code {answer.code}, not {case['rc']}: {answer.stderr}"
    if _last_line(answer.stderr) != _last_line(case["stderr"]):
        return f"{what}: stderr is {answer.stderr!r}, not {case['stderr']!r}"
    if not _same_output(case, answer.stdout):
        return f"{what}:\n{answer.stdout}\nis not\n{case.get('manifest', case['stdout'])}"
    return None


def differences(cases: Sequence[dict[str, Any]], *source: str) -> list[str]:
    """Run every case of one cluster on ``source``, and return the differences."""
    found = (difference(case, kgctl(*source, *case["argv"])) for case in cases)
    return [text for text in found if text is not None]


def load(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the cluster, as a List object, and the cases of one recording."""
    recording = json.loads(path.read_text())
    return recording["cluster"], recording["cases"]


_OURS = "as Kilo's own kgctl does, but the agents"
"""Part of an additional note: the reference ignores that agents choose another leader."""


def _last_line(text: str) -> str:
    return ([""] + [line for line in text.strip().splitlines() if _OURS not in line])[-1]


def _same_output(case: dict[str, Any], stdout: str) -> bool:
    if "manifest" in case:
        return bool(yaml.safe_load(stdout) == case["manifest"])
    if case["argv"][0] == "graph":
        return parsed_graph(stdout) == parsed_graph(case["stdout"])
    return bool(stdout == case["stdout"])
