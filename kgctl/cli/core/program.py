"""The Typer application: the commands of the table, and the options before their names.

A command is imported only when it is called.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
import typer.main
from typer.core import TyperGroup

from kgctl.cli.core.line import normalised
from kgctl.cli.core.output import answer
from kgctl.cli.core.shared import Shared, with_shared
from kgctl.cli.core.table import COMMANDS, COMPLETE_VARIABLE, HELP, PROGRAM
from kgctl.cli.core.typer_private import answer_completions, completion_item, is_help

if TYPE_CHECKING:
    from collections.abc import Sequence


class Commands(TyperGroup):
    """The group of all commands; calling a command imports only it, listing them imports none."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command with this name, or None."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            module, name = COMMANDS[cmd_name].place
            command = typer.main.get_command(getattr(import_module(module), name))
            command.name = cmd_name
            command.context_settings.update(ctx.command.context_settings)
            _name_the_command_in_mistakes(command)
            self.commands[cmd_name] = command
        return self.commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is called; suggest the nearest name for an unknown one."""
        if args[0] not in COMMANDS:
            from kgctl.mesh.text import nearest

            found = nearest(args[0], COMMANDS)
            hint = f' Did you mean "{found}"?' if found else ""
            ctx.fail(f'Unknown command "{args[0]}".{hint}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands into the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(command.name, command.help) for command in COMMANDS.values()])

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete the name of a command, or an option of kgctl itself."""
        found = [
            completion_item(command.name, command.help)
            for command in COMMANDS.values()
            if command.name.startswith(incomplete)
        ]
        return [*found, *super(TyperGroup, self).shell_complete(ctx, incomplete)]


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
    """Inspect and manage a Kilo network: draw it, check it, and join machines to it."""


def _name_the_command_in_mistakes(command: Any) -> None:
    """Give the errors of a command's option parser the command's context, which they lack."""
    for one in getattr(command, "commands", {}).values():
        _name_the_command_in_mistakes(one)
    parse = command.parse_args

    def parse_args(ctx: Any, args: list[str]) -> Any:
        try:
            return parse(ctx, args)
        except Exception as error:
            if getattr(error, "ctx", ctx) is None:
                error.ctx = ctx  # type: ignore[attr-defined]
            raise

    command.parse_args = parse_args


def call(arguments: Sequence[str]) -> int:
    """Parse the command line, run the command, and return its exit code.

    Raises:
        KgctlError: the command failed.
        KeyboardInterrupt: the user interrupted it.
        Exception: the command line is wrong; the error has a ``format_message``.
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
