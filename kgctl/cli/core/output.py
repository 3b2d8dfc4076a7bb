"""Output of commands: answers, notes, secrets, confirmations, and exit codes of errors.

The answer goes to stdout, whole or not at all; everything else goes to stderr. Commands that the
table marks as ``verdict`` answer by their exit code: 0 and 1 are answers, 2 is an error.
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kgctl.cli.core.arguments import UsageError
from kgctl.cli.core.table import COMMANDS
from kgctl.errors import KgctlError
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kgctl.mesh.key import SecretKey
    from kgctl.wireguard.conf import Configuration


class OutputError(KgctlError):
    """The answer cannot be written, for example because the disk is full."""


def answer(text: str) -> None:
    """Write the answer to stdout as UTF-8, in one go.

    Raises:
        BrokenPipeError: the reader closed the pipe.
        OutputError: it cannot be written for another reason.
    """
    answer_bytes(text.encode("utf-8", "backslashreplace"))


def answer_bytes(content: bytes) -> None:
    """Write an answer in bytes to stdout; otherwise like ``answer``."""
    if sys.stdout is None:  # it was closed before kgctl started
        raise OutputError("cannot write the answer: standard output is closed")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_rest()
        raise OutputError(f"cannot write the answer: {error.strerror}") from error


def on_terminal() -> bool:
    """Return whether stdout is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def discard_rest() -> None:
    """Redirect stdout to the null device: Python would flush its buffer again at exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """Write a line to stderr."""
    print(text, file=sys.stderr)  # noqa: T201


class Printer:
    """The ``Reporter`` of the command line."""

    def show(self, text: str, /) -> None:
        """Print a line of the answer to stdout."""
        answer(f"{text}\n")

    def inform(self, text: str, /) -> None:
        """Print a line to stderr."""
        note(text)

    def warn(self, text: str, /) -> None:
        """Print a line to stderr."""
        note(text)

    def worded(self, error: object, /) -> str:
        """Return the message of an error with the option that helps."""
        from kgctl.cli.core.hints import message

        return message(error)

    def setting(self, name: str, value: str = "", /) -> str:
        """Return the option for a setting, with its value."""
        option = f"--{name.replace('_', '-')}"
        return f"{option} {value}" if value else option


TROUBLE = 2
"""The exit code for an error of a command whose 1 is an answer, as of ``kubectl diff``."""


@contextmanager
def trouble_exits_2(context: Any) -> Iterator[None]:
    """Make errors exit with 2 if exit code 1 of the command is an answer.

    ``context`` is the command's Typer context.
    """
    try:
        yield
    except Exception as error:
        error.trouble = is_verdict(context)  # type: ignore[attr-defined]
        raise


def exit_code_of(error: Exception) -> int:
    """Return the exit code for an error: 1, or 2 if exit code 1 of the command is an answer.

    A usage error of Typer's has the command in ``ctx``.
    """
    context = getattr(error, "ctx", None)
    if context is None:
        return TROUBLE if getattr(error, "trouble", False) else 1
    return TROUBLE if is_verdict(context) else 1


def is_verdict(context: Any) -> bool:
    """Return whether the exit code of the command with this Typer context is its answer."""
    while context is not None:
        command = COMMANDS.get(context.info_name)
        if command is not None and command.verdict:
            return True
        context = context.parent
    return False


class DeclinedError(KgctlError):
    """The user declined."""


def ask(question: str) -> None:
    """Ask on the terminal whether to go on; any answer except y or yes is no.

    Raises:
        UsageError: stdin is not a terminal.
        DeclinedError: the answer is no.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("cannot ask for confirmation without a terminal; give --yes or --dry-run")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise DeclinedError("nothing was changed")


def print_secret(key: SecretKey) -> None:
    """Print a key; warn if stdout is a file that others can read, as ``wg`` does."""
    answer_with_secret(f"{key.reveal()}\n")


def answer_with_secret(text: str, *, holds_one: bool = True) -> None:
    """Print an answer that may hold a key; warn if stdout is a file that others can read."""
    if holds_one and _others_can_read_stdout():
        note(
            "stdout is a file that others can read, and a secret key is in it now: chmod 600 it, "
            "and set the umask to 077 next time"
        )
    answer(text)


def print_configuration(configuration: Configuration) -> None:
    """Print a configuration; warn as ``answer_with_secret`` does if it holds a secret key."""
    answer_with_secret(str(configuration), holds_one=holds_secret(configuration))


def warn_of_others(path: Path) -> None:
    """Warn if others can replace a file that kgctl will write: root may read it later.

    Raises:
        OutputFileError: the file cannot be written.
    """
    from kgctl.files.atomic import others_who_exchange

    who = others_who_exchange(path)
    if who is not None:
        note(
            f"{who} can replace {printable(str(path))}: write a file that sets up a tunnel to a "
            "directory of your own"
        )


def holds_secret(configuration: Configuration) -> bool:
    """Return whether a configuration holds a private or a preshared key."""
    interface = configuration.interface
    private = interface is not None and interface.private_key is not None
    return private or any(peer.preshared_key is not None for peer in configuration.peers)


def _others_can_read_stdout() -> bool:
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (AttributeError, OSError, ValueError):  # closed, or without a file descriptor
        return False
    others = stat.S_IRWXG | stat.S_IRWXO
    return os.name == "posix" and stat.S_ISREG(mode) and bool(mode & others)
