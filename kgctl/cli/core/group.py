"""The commands of the table, as Typer has them: each imported only when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer.main
from typer.core import TyperGroup

from kgctl.cli.core.table import COMMANDS
from kgctl.cli.core.typer_private import completion_item


class Commands(TyperGroup):
    """The group of all commands: calling one imports it alone, listing them imports none."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            module = import_module(f"kgctl.cli.{cmd_name}")
            command = typer.main.get_command(module.app)
            command.name = cmd_name
            command.context_settings.update(ctx.command.context_settings)
            self.commands[cmd_name] = command
        return self.commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is called; an unknown one gets the nearest suggested."""
        if args[0] not in COMMANDS:
            from kgctl.mesh.text import nearest

            found = nearest(args[0], COMMANDS)
            hint = f' Did you mean "{found}"?' if found else ""
            ctx.fail(f'There is no command "{args[0]}".{hint}')
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
