"""Runs of kgctl in this process that must succeed, or fail as every command of it fails."""

from __future__ import annotations

from tests.support.recorded import kgctl


def run(*arguments: str) -> str:
    """Return the stdout of a command, which must succeed."""
    done = kgctl(*arguments)
    assert done.code == 0, done.stderr
    return done.stdout


def fails(*arguments: str) -> str:
    """Return the one line on stderr of a command, which must fail and print nothing else."""
    done = kgctl(*arguments)
    assert done.code != 0
    assert (done.stdout, done.stderr.count("\n")) == ("", 1), done.stderr
    return done.stderr
