"""``kgctl help [COMMAND...]``: the same as ``kgctl COMMAND --help``."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def help_(
    command: Annotated[list[str] | None, typer.Argument(metavar="[COMMAND...]")] = None,
) -> None:
    """Print the help of a command, as ``kgctl COMMAND --help`` does."""
    from kgctl.cli.app import run

    raise typer.Exit(run([*(command or []), "--help"]))
