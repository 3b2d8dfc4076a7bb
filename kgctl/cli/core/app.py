"""The program: how it is called, and what becomes of an error."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from kgctl.cli.core.direct import plain_call
from kgctl.cli.core.line import normalised
from kgctl.cli.core.output import discard_rest
from kgctl.cli.core.table import COMPLETE_VARIABLE, PROGRAM
from kgctl.cli.core.verdict import exit_code_of
from kgctl.cli.hints import message
from kgctl.kube.fast import fast_lane
from kgctl.mesh.errors import KgctlError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130
_LONGEST_MESSAGE = 1000  # characters; an argument may be of any length, and is quoted in some


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code: 0, or 1 for an error, 130 if interrupted.

    Of commands whose 1 is an answer, an error is 2.
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
    """Return what to tell of an error that is not ours: of usage, or a fault of kgctl."""
    if hasattr(error, "format_message"):  # a usage error of Typer's; its class has no public name
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
