"""The commands of kgctl, each imported only when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer.main
from typer.core import TyperGroup

COMMANDS = {
    "graph": "Draw the network: for Graphviz, as a picture, a page, or a tree.",
    "showconf": "Print the WireGuard configuration of a node or a peer.",
    "get": "List nodes, peers or segments, and why one is not ready.",
    "check": "Find what is wrong with the network, and what to do.",
    "explain": "Print the page of a rule of check.",
    "path": "Show how a packet travels from one machine to another, or where it stops.",
    "diff": "Show what a change would do to the network, before it is made.",
    "drift": "Show how the WireGuard of a machine differs from what it should be.",
    "node": "Set Kilo's annotations on nodes.",
    "peer": "Add, change and remove the machines outside the cluster.",
    "link": "Make several clusters one network.",
    "unlink": "Remove the links between clusters.",
    "genkey": "Print a new private key.",
    "pubkey": "Print the public key of the private key on stdin.",
    "genpsk": "Print a new preshared key.",
    "connect": "Join the network with this host, and stay on it.",
    "serve": "Show the network in a browser, live, and count it for Prometheus.",
    "status": "Show how this host's tunnels do, and why a peer is not connected.",
    "completion": "Print the completion script for a shell.",
    "help": "Print the help of a command.",
}
"""Each command and what it does; its Typer app is ``app`` in ``kgctl.cli.NAME``."""


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
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete the name of a command, or an option of kgctl itself."""
        from typer._click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=summary)
            for name, summary in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*found, *super(TyperGroup, self).shell_complete(ctx, incomplete)]
