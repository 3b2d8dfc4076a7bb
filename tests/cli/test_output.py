"""Output to a closed pipe, a full disk, and a terminal with few characters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = f"{sys.executable} -m kgctl"
COMMANDS = ["--example graph", "--example get nodes", "--example showconf peer laptop", "--help"]


def _shell(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.needs("bash")
@pytest.mark.parametrize("command", [*COMMANDS, "--version", "completion bash"])
@pytest.mark.parametrize("reader", ["head -0", "head -c 1", "true"])
def test_a_reader_that_goes_away_is_no_matter_of_words(command: str, reader: str) -> None:
    run = _shell(f"{MAIN} {command} | {reader}")
    assert run.stderr == ""


@pytest.mark.needs("bash")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
@pytest.mark.parametrize("command", [*COMMANDS, "--version"])
def test_a_disk_that_is_full_is_one_line(command: str) -> None:
    run = _shell(f"{MAIN} {command} >/dev/full")
    assert run.returncode == 1
    assert "No space left on device" in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.mark.needs("bash")
@pytest.mark.parametrize("command", COMMANDS[:3])
def test_an_output_that_is_closed_is_one_line(command: str) -> None:
    run = _shell(f"{MAIN} {command} >&-")
    assert run.returncode == 1
    assert run.stderr == "cannot write the answer: standard output is closed\n"


@pytest.mark.needs("bash")
@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_any_locale_does(locale: str, tmp_path: Path) -> None:
    """Names are not of ASCII in files that people write; the answer is UTF-8 everywhere."""
    path = tmp_path / "n.yaml"
    path.write_text(
        'apiVersion: v1\nkind: Node\nmetadata: {name: "a\u00f1\\x85b"}\n', encoding="utf-8"
    )
    run = _shell(
        f"{MAIN} -f {path} get nodes -o name; {MAIN} -f {path} graph >&2",
        LC_ALL=locale,
        PYTHONIOENCODING="ascii",
        PYTHONUTF8="0",
    )
    assert run.stdout == "node/añ\\x85b\n"
    assert "did not find any valid Kilo nodes" in run.stderr
    assert "Traceback" not in run.stderr
    assert "fault" not in run.stderr
