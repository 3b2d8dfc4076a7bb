"""Completion scripts, run by the shells themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.recorded import kgctl

BIN = Path(sys.executable).parent
SHELLS = ["bash", "zsh", "fish", "powershell"]


@pytest.mark.parametrize("shell", SHELLS)
def test_there_is_a_script_for_each_shell(shell: str) -> None:
    answer = kgctl("completion", shell)
    assert answer.code == 0
    assert "_KGCTL_COMPLETE" in answer.stdout


def test_another_shell_is_refused() -> None:
    assert "'tcsh' is not one of" in kgctl("completion", "tcsh").stderr


def _completed(*words: str) -> list[str]:
    """Let bash complete the last of ``words``, with the script that kgctl prints for it."""
    script = """
        source <(kgctl completion bash) || exit 1
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        handler=$(complete -p kgctl | sed -E 's/.*-F ([^ ]+).*/\\1/')
        "$handler" kgctl "${COMP_WORDS[COMP_CWORD]}" ""
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    run = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "KUBECONFIG": "/nonexistent"},
    )
    assert run.stderr == ""
    return run.stdout.split()


@pytest.mark.needs("bash")
@pytest.mark.parametrize(
    ("words", "completions"),
    [
        (["kgctl", "gr"], ["graph"]),
        (["kgctl", "showconf", ""], ["node", "peer"]),
        (["kgctl", "--example", "showconf", "peer", "l"], ["laptop"]),
        (["kgctl", "showconf", "node", "--example", "home-n"], ["home-nas"]),
        (["kgctl", "--example", "get", "peers", "ph"], ["phone"]),
        (["kgctl", "showconf", "peer", "l"], []),  # no cluster to be reached: quietly nothing
        (["kgctl", "-f", "/nonexistent.yaml", "showconf", "peer", "l"], []),
        (["kgctl", "showconf", "peer", "laptop", "--servi"], ["--service-cidr"]),
        (["kgctl", "completion", "f"], ["fish"]),
        (["kgctl", "get", "se"], ["segments", "segment"]),
    ],
)
def test_bash_completes(words: list[str], completions: list[str]) -> None:
    assert _completed(*words) == completions


@pytest.mark.needs("bash")
def test_names_complete_from_files_and_none_that_a_shell_acts_on(tmp_path: Path) -> None:
    names = ["web-1", "web-2", "web-$(touch owned)", "web-;ls", "web-*", "web-\x1b[2J", "other"]
    manifest = tmp_path / "nodes.json"
    nodes = [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}} for name in names]
    manifest.write_text("\n".join(map(json.dumps, nodes)))
    words = ["kgctl", "showconf", "node", "-f", str(manifest), "web-"]
    assert _completed(*words) == ["web-1", "web-2"]


@pytest.mark.parametrize(
    "shell",
    [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("bash", "zsh", "fish")],
)
def test_the_shell_takes_its_script(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(kgctl("completion", shell).stdout)
    run = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=True)
    assert run.stderr == ""
