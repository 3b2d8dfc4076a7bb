"""``kgctl completion SHELL``: print a completion script."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from kgctl.cli.core.output import answer
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.cli.core.table import COMPLETE_VARIABLE, PROGRAM
from kgctl.cli.core.typer_private import completion_script


class Shell(StrEnum):
    """A shell with completion for kgctl."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@with_shared
def completion(shared: Shared, shell: Annotated[Shell, typer.Argument(help="The shell.")]) -> None:
    """Print the completion script for a shell.

    bash: source <(kgctl completion bash). zsh: the same, after compinit. fish: kgctl completion
    fish | source. PowerShell: kgctl completion powershell | Out-String | Invoke-Expression.
    """
    script = completion_script(PROGRAM, COMPLETE_VARIABLE, shell.value)
    answer(script.rstrip("\n") + "\n")
