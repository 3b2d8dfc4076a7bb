"""The program: its commands, and what becomes of an error."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import typer

from kgctl.cli.arguments import normalised
from kgctl.cli.commands import Commands
from kgctl.cli.output import answer, discard_rest
from kgctl.cli.shared import Shared, with_shared
from kgctl.cli.verdict import exit_code_of
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "kgctl"
_INTERRUPTED = 130
_LONGEST_MESSAGE = 1000  # characters; an argument may be of any length, and is quoted in some
_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

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


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code: 0, or 1 for an error, 130 if interrupted.

    Of commands whose 1 is an answer, an error is 2.
    """
    try:
        return _run(arguments)
    except KgctlError as error:
        return _fail(str(error), error, max(error.exit_code, exit_code_of(error)))
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", None, _INTERRUPTED)
    except BrokenPipeError:
        discard_rest()
        return 1
    except OSError as error:
        discard_rest()
        return _fail(
            f"the system refuses: {error}; --debug tells where", error, exit_code_of(error)
        )
    except Exception as error:
        return _fail(_in_one_line(error), error, exit_code_of(error))


def _run(arguments: Sequence[str]) -> int:
    if "_KGCTL_COMPLETE" in os.environ:
        from kgctl.cli.completion import prepare

        prepare()
    try:
        code = app(args=normalised(arguments), prog_name=PROGRAM, standalone_mode=False)
    except Exception as error:
        if type(error).__name__ != "NoArgsIsHelpError":  # Typer's; it has no public name
            raise
        answer(f"{error}\n")
        code = 0
    if sys.stdout is not None:
        sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _in_one_line(error: Exception) -> str:
    """Return what to tell of an error that is not ours: of usage, or a fault of kgctl."""
    if hasattr(error, "format_message"):  # a usage error of Typer's; its class has no public name
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else PROGRAM
        message = printable(" ".join(str(error.format_message()).split()), _LONGEST_MESSAGE)
        return f"{message} See: {command} --help" if message else f"See: {command} --help"
    return (
        f"kgctl has a fault: {type(error).__name__}; run it again with --debug, "
        f"and report what it prints"
    )


def _fail(message: str, error: BaseException | None, code: int) -> int:
    if error is not None and {"--debug", "--debug=true"} & set(sys.argv):
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    print(message, file=sys.stderr)  # noqa: T201
    return code
