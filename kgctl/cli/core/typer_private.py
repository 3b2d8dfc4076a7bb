"""All that kgctl uses of Typer which has no public name, so that an update has one place to check.

``pyproject.toml`` holds Typer to the versions in which it is so.
"""

from __future__ import annotations

from typing import Any

NO_ARGUMENTS = "NoArgsIsHelpError"
"""The error whose text is the help of a command that was called without anything."""


def completion_item(name: str, help_: str) -> Any:
    """Return what a group's ``shell_complete`` returns for each name."""
    from typer._click.shell_completion import CompletionItem

    return CompletionItem(name, help=help_)


def completion_script(program: str, variable: str, shell: str) -> str:
    """Return the script with which ``shell`` completes ``program``."""
    from typer._completion_shared import get_completion_script

    return get_completion_script(prog_name=program, complete_var=variable, shell=shell)


def answer_completions() -> None:
    """Make Typer answer what its completion scripts ask.

    It does so by itself only for programs that keep Typer's own ``--install-completion``.
    """
    from typer._completion_classes import completion_init

    completion_init()


def is_help(error: Exception) -> bool:
    """Tell whether an error is but the help of a command that was called without anything."""
    return type(error).__name__ == NO_ARGUMENTS
