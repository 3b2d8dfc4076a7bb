"""Entry point of the program: plain calls without Typer, error messages and exit codes.

Plain calls are ``graph``, ``showconf node NAME`` and ``showconf peer NAME`` with no options except
those that the table marks as ``plain``. Scripts run them in loops, and importing Typer would take
20 to 40 of their 100 ms, so they run without it. Typer handles all other command lines, mistakes
included. It reads plain calls in the same way; ``tests/cli/test_direct.py`` verifies that.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from kgctl.cli.core.hints import message
from kgctl.cli.core.line import normalised, read_line
from kgctl.cli.core.output import discard_rest, exit_code_of
from kgctl.cli.core.surroundings import surrounded
from kgctl.cli.core.table import COMPLETE_VARIABLE, PROGRAM
from kgctl.errors import KgctlError
from kgctl.kube.fast import fast_lane
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kgctl.cli.core.line import Shared


def plain_call(arguments: Sequence[str]) -> Callable[[], None] | None:
    """Return a function that runs the command line ``arguments``, or None if it is not plain.

    The function raises ``KgctlError`` if the cluster cannot be read or the name is not found, as
    this does for the folder that an environment variable names.
    """
    line = read_line(arguments)
    if line is None or not line.plain or line.shared.several:
        return None
    return _call(line.words, surrounded(line.command.name, line.shared))


def _call(commands: Sequence[str], shared: Shared) -> Callable[[], None] | None:
    match commands:
        case ["graph"]:
            from kgctl.cli.core.plain import print_graph

            return partial(print_graph, shared)
        case ["showconf", "node", name] if name:
            from kgctl.cli.core.plain import print_node

            return partial(print_node, shared, name)
        case ["showconf", "peer", name] if name:
            from kgctl.cli.core.plain import print_peer

            return partial(print_peer, shared, name)
    return None


_INTERRUPTED = 130
_LONGEST_MESSAGE = 1000  # characters; messages quote arguments, which may have any length


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code: 0, 1 for an error, 130 if interrupted.

    An error is 2 for commands whose exit code 1 is an answer.
    """
    try:
        return _run(arguments)
    except KgctlError as error:
        return _fail(message(error), error, max(error.exit_code, exit_code_of(error)))
    except KeyboardInterrupt:
        return _fail("interrupted", None, _INTERRUPTED)
    except BrokenPipeError:
        discard_rest()
        return 1
    except OSError as error:
        discard_rest()
        return _fail(
            f"the system refuses: {error}; --debug shows where", error, exit_code_of(error)
        )
    except Exception as error:
        return _fail(_in_one_line(error), error, exit_code_of(error))


def _run(arguments: Sequence[str]) -> int:
    plain = COMPLETE_VARIABLE not in os.environ and fast_lane()
    call = plain_call(arguments) if plain else None
    if call is not None:
        call()
        code = 0
    else:
        from kgctl.cli.core.program import call as call_command

        code = call_command(arguments)
    if sys.stdout is not None:
        sys.stdout.flush()
    return code


def _in_one_line(error: Exception) -> str:
    """Return the message for an error that is no ``KgctlError``: of usage, or a bug in kgctl."""
    if hasattr(error, "format_message"):  # Typer's usage error; its class has no public name
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else PROGRAM
        text = printable(" ".join(str(error.format_message()).split()), _LONGEST_MESSAGE)
        return f"{text} See: {command} --help" if text else f"See: {command} --help"
    return (
        f"internal error: {type(error).__name__}; run it again with --debug, "
        f"and report what it prints"
    )


def _fail(text: str, error: BaseException | None, code: int) -> int:
    if error is not None and "--debug" in normalised(sys.argv):
        import traceback

        from kgctl.mesh.text import without_logins

        sys.stderr.write(without_logins("".join(traceback.format_exception(error))))
    print(text, file=sys.stderr)  # noqa: T201
    return code
