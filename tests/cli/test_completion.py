"""Completion scripts, as the shells themselves run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recorded import kgctl

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
    ],
)
def test_bash_completes(words: list[str], completions: list[str]) -> None:
    assert _completed(*words) == completions
