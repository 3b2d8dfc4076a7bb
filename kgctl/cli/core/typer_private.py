"""The private parts of Typer that kgctl uses, in one place to check at an update.

``pyproject.toml`` restricts Typer to versions that have them.
"""

from __future__ import annotations

from typing import Any

NO_ARGUMENTS = "NoArgsIsHelpError"
"""The error whose text is the help of a command that was called without arguments."""


def completion_item(name: str, help_: str) -> Any:
    """Return an item for a group's ``shell_complete``."""
    from typer._click.shell_completion import CompletionItem

    return CompletionItem(name, help=help_)


def completion_script(program: str, variable: str, shell: str) -> str:
    """Return the completion script of ``program`` for ``shell``."""
    from typer._completion_shared import get_completion_script

    return get_completion_script(prog_name=program, complete_var=variable, shell=shell)


def answer_completions() -> None:
    """Make Typer answer the requests of its completion scripts.

    By itself it does so only for programs that keep its ``--install-completion``.
    """
    from typer._completion_classes import completion_init

    completion_init()


def is_help(error: Exception) -> bool:
    """Return whether an error only shows the help of a command called without arguments."""
    return type(error).__name__ == NO_ARGUMENTS
