"""The commands in Typer, and Typer's reading of a command line."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from kgctl.cli.core.line import normalised
from kgctl.cli.core.program import app
from kgctl.cli.core.shared import shared_of
from kgctl.cli.core.table import HELP, OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.cli.core.line import Shared

ROOT: Any = typer.main.get_command(app)
SHARED = {option.field for option in OPTIONS}


def commands(command: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield each command and group with its path, such as ``showconf peer``; empty for the root."""
    yield " ".join(path), command
    if hasattr(command, "list_commands"):
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))


def options(command: Any) -> list[Any]:
    """Return the options of a command."""
    return [one for one in command.params if one.param_type_name == "option"]


def own_options(command: Any) -> list[Any]:
    """Return the options of the command that not all commands have."""
    names = {name for option in OPTIONS for name in (option.name, option.short)} | set(HELP)
    return [
        one
        for one in options(command)
        if one.name != "version" and not (one.name in SHARED and names & set(one.opts))
    ]


class TypersReading(NamedTuple):
    """Typer's reading of a command line."""

    path: tuple[str, ...]
    shared: Shared
    own: frozenset[str]
    """The given options and switches that belong to the command itself."""


def read_by_typer(words: Sequence[str]) -> TypersReading | None:
    """Return Typer's reading; None for an error, or if Typer prints something and exits."""
    path: list[str] = []
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            context = ROOT.make_context("kgctl", normalised(words))
            while hasattr(context.command, "resolve_command"):
                rest = [*context._protected_args, *context.args]
                if not rest:
                    return None
                name, command, rest = context.command.resolve_command(context, rest)
                path.append(name)
                context = command.make_context(name, rest, parent=context)
    except Exception:  # usage errors, and Typer's exit
        return None
    own = {
        one.name
        for one in own_options(context.command)
        if context.get_parameter_source(one.name).name == "COMMANDLINE"
    }
    return TypersReading(tuple(path), shared_of(context), frozenset(own))
