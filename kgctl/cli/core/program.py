"""The command line as Typer reads it: all commands, and the options before their names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import typer

from kgctl.cli.core.group import Commands
from kgctl.cli.core.line import normalised
from kgctl.cli.core.output import answer
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.cli.core.table import COMPLETE_VARIABLE, HELP, PROGRAM
from kgctl.cli.core.typer_private import answer_completions, is_help

if TYPE_CHECKING:
    from collections.abc import Sequence

_SETTINGS: dict[str, Any] = {"help_option_names": list(HELP), "max_content_width": 100}

app = typer.Typer(
    name=PROGRAM,
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings=_SETTINGS,
)


@app.callback()
@with_shared
def root(shared: Shared) -> None:
    """Manage a Kilo network: draw its topology, write the configurations that join it."""


def call(arguments: Sequence[str]) -> int:
    """Read the command line, and call the command; return its exit code.

    Raises:
        KgctlError: the command failed.
        KeyboardInterrupt: a person ended it.
        Exception: the command line is wrong; it has a ``format_message``.
    """
    if COMPLETE_VARIABLE in os.environ:
        answer_completions()
    try:
        code = app(args=normalised(arguments), prog_name=PROGRAM, standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        if not is_help(error):
            raise
        answer(f"{error}\n")
        code = 0
    return code if isinstance(code, int) else 0
